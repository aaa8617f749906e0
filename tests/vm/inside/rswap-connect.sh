#!/bin/bash
# What attach and detach ask of the kernel's nbd, by netlink: the device that the
# kernel chooses, its settings and its name; what refuses a disconnect (swap, a
# mount, device mapper, an exclusive open); a device that is open already; and one
# that was disconnected, and connected by somebody else.
#
#	rswap-connect.sh TRANSPORT
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"

transport=${1:?rdma or tcp}
address=10.77.0.1
said=/run/said
run=/run/rswap/far

# connect [OPTION...]: attach by name, without a device
connect()
{
	"$rswapctl" attach "$address" --size=64M --name=far --lanes=4 \
		--transport="$transport" "${front_options[@]}" \
		--psk-file="$psk_file" "$@" >"$said" 2>&1 ||
		die "attach: $(<"$said")"
}

end()
{
	"$rswapctl" detach far >"$said" 2>&1 || die "detach: $(<"$said")"
}

# refused WORDS: detach is, with these words, and the device stays connected
refused()
{
	if "$rswapctl" detach far >"$said" 2>&1; then
		die "it was not refused: $(<"$said")"
	fi
	grep -qF -e "$1" "$said" || die "it says: $(<"$said")"
	[ "$(<$sys/backend)" = $run/nbd.sock ] || die "it is disconnected"
	dd if="$device" of=/dev/null bs=4096 count=1 iflag=direct \
		2>/dev/null || die "it does not read"
}

swapped()
{
	[ "$(awk '$1 ~ /nbd/ { print int($4 / 1024) }' /proc/swaps)" -gt 10 ]
}

free()
{
	[ ! -e "$sys/pid" ] && [ "$(<$sys/size)" = 0 ] && [ ! -e "$sys/backend" ]
}

start_memserver "$transport" "$address" 256M
nbd_up
device=/dev/nbd0
sys=/sys/block/nbd0

say "the kernel chooses a device, with the settings and the name that we give"
connect --timeout=30 --connections=3
grep -q "^$device " /proc/swaps || die "/proc/swaps: $(</proc/swaps)"
[ "$(<$sys/backend)" = $run/nbd.sock ] || die "backend: $(<$sys/backend)"
[ "$(<$sys/size)" = $((64 << 11)) ] || die "size: $(<$sys/size)"
[ "$(<$sys/queue/logical_block_size)" = 4096 ] || die "the block size"
[ "$(<$sys/queue/io_timeout)" = 45000 ] ||
	die "io_timeout: $(<$sys/queue/io_timeout) ms"
[ "$(<$sys/queue/discard_max_bytes)" -gt 0 ] || die "no discard"
[ "$(<$sys/ro)" = 0 ] || die "read-only"
[ "$(status_value connections $run/control.sock)" = 3 ] ||
	die "connections: $(status_value connections $run/control.sock)"

say "what uses the device is named, and nothing is taken from it"
swapoff $device
mke2fs -q -F $device
mkdir -p /run/mounted
mount $device /run/mounted
refused "$device is mounted on /run/mounted"
umount /run/mounted
load_modules dm_mod
dmsetup create over --table "0 131072 linear $device 0"
refused "(over) stands on $device"
mkswap /dev/dm-0 >/dev/null
swapon /dev/dm-0
refused "swap is on /dev/dm-0 (over), which stands on $device"
"$rswapctl" check far >"$said" 2>&1 || true
! grep "nothing swaps" "$said" || die "check does not see the swap"
swapoff /dev/dm-0
dmsetup remove over
perl -MFcntl -e 'sysopen(my $f, $ARGV[0], O_RDONLY | O_EXCL) or die "$!\n";
	$| = 1; print "open\n"; sleep' $device >/run/opened &
holder=$!
await 10 test -s /run/opened || die "it does not open"
refused "$device: a program has it open exclusively: process $holder (perl)"
kill "$holder"
wait "$holder" || true
end
free || die "it is not free: $(ls $sys)"

say "a device that is open is not taken, though sysfs shows it as free"
exec 7<$device
connect
grep -q "^/dev/nbd1 " /proc/swaps || die "/proc/swaps: $(</proc/swaps)"
end
if "$rswapctl" attach "$address" --size=64M --device=$device --lanes=4 \
	--transport="$transport" "${front_options[@]}" \
	--psk-file="$psk_file" >"$said" 2>&1; then
	die "it was taken"
fi
grep -q "failed to connect the device: $device is in use" "$said" ||
	die "it says: $(<"$said")"
"$rswapctl" attach "$address" --size=64M --lanes=4 \
	--transport="$transport" "${front_options[@]}" \
	--psk-file="$psk_file" >"$said" 2>&1 ||
	die "attach: $(<"$said")"
grep -q "^$device went to another" "$said" || die "it says: $(<"$said")"
"$rswapctl" detach nbd1 >"$said" 2>&1 || die "detach: $(<"$said")"
exec 7<&-

say "disconnected by hand, and connected by somebody else: left alone"
connect
swapoff $device
nbd-client -d $device >/dev/null
await 10 free || die "it is not free"
nbdkit -P /run/other.pid -U /run/other.sock memory 64M
await 10 test -s /run/other.pid || die "the other nbdkit does not start"
nbd-client -unix /run/other.sock $device -block-size 4096 >/dev/null
mkswap $device >/dev/null
swapon $device
end
grep -q "^$device " /proc/swaps || die "the other's swap was taken off"
dd if=$device of=/dev/null bs=4096 count=1 iflag=direct 2>/dev/null ||
	die "the other's device was disconnected"
[ ! -e $run ] || die "its directory is still there"
swapoff $device
nbd-client -d $device >/dev/null
kill "$(</run/other.pid)"

say "a dead front end: what is lost is said, and the device is taken away"
connect
make_cgroup limited 30M
# it gets SIGBUS later, or not: it is not asked
run_in_cgroup limited "$RSWAP_BUILD/tests/pagecheck" --size=60M --passes=0 \
	--seconds=120 >/dev/null 2>&1 &
await 60 swapped || die "nothing is swapped out"
kill -KILL "$(<$run/pid)"
status=0
"$rswapctl" detach far >"$said" 2>&1 || status=$?
[ "$status" = 2 ] || die "detach: exit status $status: $(<"$said")"
grep -q "MiB are lost.*is gone" "$said" || die "it says: $(<"$said")"
free || die "it is not free"
! grep -q nbd /proc/swaps || die "/proc/swaps: $(</proc/swaps)"

stop_memserver
say "done: the kernel's nbd by netlink, over $transport"
