#!/bin/bash
# What goes wrong beside a swap device: attach warns of it, and doctor tells it.  Other
# swap, dm-crypt, lines in /etc, and programs that look for swap once.
. "$(dirname "$0")/harness.sh"

# swap PRIORITY...: of zram0, zram1
zram() {
	local n=0 priority
	for priority; do
		printf '/dev/zram%d                              partition\t102400\t\t0\t\t%d\n' \
			$((n++)) "$priority"
	done | swap_lines
}

doctor() {
	"$ctl" doctor --role=compute >"$dir/said" 2>&1 || true
}

says() { # FILE WORD...
	local file=$dir/$1
	shift
	expect_line "$file" "$@"
}

says_not() { # FILE CODE
	! has "$dir/$1" "[$2]" || fail "$2: $(cat "$dir/$1")"
}

attach_one() {
	attach one "$@" || fail "attach: $(cat "$dir/one.log")"
}

detach_one() {
	detach gone nbd0 || fail "detach: $(cat "$dir/gone.log")"
}

cp -a /etc "$dir/etc"
mount --bind "$dir/etc" /etc
rm -f /etc/fstab /etc/crypttab
start_server a --memory=64M --slab-size=1M

say "zram of a higher priority"
zram 200 5
doctor
says said warn "/dev/zram0 has a higher priority than the 110 of rswapctl attach" \
	"[zram-in-front]" zswap
attach_one
says one.log "warning: /dev/zram0 has a higher priority than the 110 of /dev/nbd0" \
	"[zram-in-front]" "-> use zswap"
doctor
says said warn "than the 110 of /dev/nbd0" "[zram-in-front]"
detach_one
zram 110
doctor
says_not said zram-in-front
swap_lines </dev/null

say "zram writes back to a device"
mkdir -p "$RSWAP_FAKE/block/zram0"
echo /dev/sda4 >"$RSWAP_FAKE/block/zram0/backing_dev"
doctor
says_not said zram-writeback
echo /dev/nbd3 >"$RSWAP_FAKE/block/zram0/backing_dev"
doctor
says said warn "zram0 writes back to /dev/nbd3" "[zram-writeback]"
attach_one
says one.log "warning: zram0 writes back to /dev/nbd3" "[zram-writeback]"
rm -r "$RSWAP_FAKE/block/zram0"

say "dm-crypt on the device"
doctor
says_not said sealed-twice
swapoff /dev/nbd0
hold_device 0 0 swapcrypt
printf '/dev/dm-0                              partition\t16380\t\t0\t\t110\n' | swap_lines
echo LVM-0123 >"$RSWAP_FAKE/block/dm-0/dm/uuid"
doctor
says_not said sealed-twice
echo CRYPT-PLAIN-swapcrypt >"$RSWAP_FAKE/block/dm-0/dm/uuid"
doctor
says said warn "/dev/dm-0 (swapcrypt) encrypts with dm-crypt what /dev/nbd0 seals" \
	"[sealed-twice]" --encrypt=off
swap_lines </dev/null
no_holder 0 0
detach_one

say "dm-crypt, with pages that are not sealed"
attach_one --encrypt=off
swapoff /dev/nbd0
hold_device 0 0 swapcrypt
echo CRYPT-PLAIN-swapcrypt >"$RSWAP_FAKE/block/dm-0/dm/uuid"
printf '/dev/dm-0                              partition\t16380\t\t0\t\t110\n' | swap_lines
doctor
says said ok "attached nbd0"
says_not said sealed-twice
swap_lines </dev/null
no_holder 0 0
detach_one

say "lines in /etc"
printf '/dev/sda2 none swap sw 0 0\n#/dev/nbd1 none swap sw 0 0\n' >/etc/fstab
printf 'swap /dev/sda3 /dev/urandom swap\n# swap /dev/nbd1 /dev/urandom swap\n' >/etc/crypttab
# other disks behind nbd and ublk
printf '/dev/nbd3 /srv ext4 _netdev 0 0\n/dev/ublkb3 /mnt ext4 noauto 0 0\n' >>/etc/fstab
printf 'disk /dev/nbd3 none luks,noswap\nother /dev/ublkb3\n' >>/etc/crypttab
doctor
says_not said device-in-fstab
echo '/dev/nbd2 none swap sw 0 0' >>/etc/fstab
echo 'swap /dev/ublkb0 /dev/urandom cipher=aes-xts-plain64,swap' >>/etc/crypttab
doctor
says said warn "/etc/fstab has a line for /dev/nbd2" "[device-in-fstab]" rswap@NAME
says said warn "/etc/crypttab has a line for /dev/ublkb0" "[device-in-fstab]"
attach_one
says one.log "warning: /etc/fstab has a line for /dev/nbd2" "[device-in-fstab]"
! has "$dir/one.log" nbd3 || fail "it is a disk: $(cat "$dir/one.log")"
detach_one

say "lines in /etc for a device that is attached"
echo '/dev/nbd0 /srv ext4 _netdev 0 0' >/etc/fstab
echo 'disk /dev/nbd0 none luks' >/etc/crypttab
doctor
says_not said device-in-fstab
attach_one
says one.log "warning: /etc/fstab has a line for /dev/nbd0" "[device-in-fstab]"
doctor
says said warn "/etc/crypttab has a line for /dev/nbd0" "[device-in-fstab]"
detach_one
rm /etc/fstab /etc/crypttab

say "programs that look for swap once"
for program in kubelet systemd-oomd; do
	cp "$(command -v sleep)" "$dir/bin/$program"
	"$program" 1000 &
	pid[$program]=$!
	expect 5 grep -qx "$program" "/proc/${pid[$program]}/comm"
	# as a machine's clock has it: in hundredths of a second
	sleep 0.05
	attach_one
	says one.log "warning: $program started before this swap" \
		"[started-before-swap]" "systemctl restart $program"
	doctor
	says said warn "$program started before" "[started-before-swap]"
	stop $program || true
	"$program" 1000 &
	pid[$program]=$!
	expect 5 grep -qx "$program" "/proc/${pid[$program]}/comm"
	doctor
	! has "$dir/said" "$program started" || fail "$(cat "$dir/said")"
	stop $program || true
	detach_one
done
umount /etc
expect_nothing_left "the end"
