#!/bin/bash
# Swap beside a device of rswap, and between it and the programs: what the kernel
# puts where, that every page comes back, and what doctor says of it.  The figures at
# the end are those of docs/tiers.md.
#
#	rswap-tiers.sh TRANSPORT
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"

transport=${1:?rdma or tcp}
address=10.77.0.1
results=/run/pagecheck.results
table=/run/tiers.table

# The program has 96 MiB in a group of 40 MiB; a page compresses to a third.
make_cgroup limited 40M
start_memserver "$transport" "$address" 700M

# used_mib DEVICE: of a swap device
used_mib()
{
	awk -v d="$1" '$1 == d { print int($4 / 1024); found = 1 }
		END { if (!found) print 0 }' /proc/swaps
}

# holds_over DEVICE MIB
holds_over()
{
	[ "$(used_mib "$1")" -gt "$2" ]
}

# doctor says CODE, or not
doctor_tells()
{
	"$rswapctl" doctor --role=compute >/run/doctor.said 2>&1 || true
	grep -qF "[$1]" /run/doctor.said
}

# A control socket counts requests that needed a server.
counted()
{
	if [ -S "$block_run/control.sock" ]; then
		status_value "$1"
	else
		echo 0
	fi
}

# run_tier NAME [OPTIONS...]: the program, and a row of the table
run_tier()
{
	local name=$1 writes reads
	shift
	writes=$(counted writes)
	reads=$(counted reads)
	run_in_cgroup limited "$RSWAP_BUILD/tests/pagecheck" --size=96M \
		--period=1365 --zipf=0.8 --random=3000 --passes=0 "$@" >"$results" ||
		die "$name: the program ended with status $?"
	printf '%s|%s|%s|%s|%s|%s\n' "$name" "$(result_value seconds $results)" \
		"$(result_value fault_p50_us $results)" \
		"$(result_value fault_p99_us $results)" \
		"$(($(counted writes) - writes))" "$(($(counted reads) - reads))" \
		>>$table
	say "$(tail -n 1 $table)"
}

# start_program OPTIONS...: while other things happen; SIGTERM ends its touches, and
# it checks all its pages then.
start_program()
{
	start_in_cgroup limited "$RSWAP_BUILD/tests/pagecheck" --size=96M \
		--period=1365 --passes=0 --seconds=3000 "$@" >"$results"
}

end_program()
{
	kill "$program"
	wait "$program" || die "the program ended with status $?"
	[ "$(result_value mismatches $results)" = 0 ] || die "pages are wrong"
}

# zram_on SIZE [BACKING-DEVICE]
zram_on()
{
	load_modules zram
	[ -z "${2:-}" ] || echo "$2" >/sys/block/zram0/backing_dev
	echo "$1" >/sys/block/zram0/disksize
	mkswap /dev/zram0 >/dev/null
}

zram_off()
{
	swapoff /dev/zram0
	echo 1 >/sys/block/zram0/reset
}

zswap()
{
	echo "$1" >/sys/module/zswap/parameters/enabled
}

say "rswap alone"
attach "$transport" 300M "$address"
run_tier "rswap alone"
detach

say "zswap in front"
zswap Y
attach "$transport" 300M "$address"
run_tier "zswap in front"
stored=$(($(cat /sys/kernel/debug/zswap/stored_pages) + 0))
say "zswap has $stored pages, $(cat /sys/kernel/debug/zswap/written_back_pages) were written back"
detach
zswap N
[ "$(awk -F'|' '/^zswap/ { print $5 }' $table)" -lt \
	"$(awk -F'|' '/^rswap alone/ { print $5 }' $table)" ] ||
	die "zswap kept no page"

say "zswap in front, with a pool that is too small"
zswap Y
echo 8M >/sys/fs/cgroup/limited/memory.zswap.max
attach "$transport" 300M "$address"
run_tier "zswap in front, 8 MiB at most"
detach
echo max >/sys/fs/cgroup/limited/memory.zswap.max
zswap N
awk -F'|' '/^zswap in front, 8/ { exit !($5 > 0) }' $table ||
	die "what had no place in zswap did not go to the device"

say "zram at a lower priority"
zram_on 200M
swapon --priority 50 /dev/zram0
attach "$transport" 300M "$address"
! doctor_tells zram-in-front || die "doctor warns of zram at a lower priority"
start_program
await 60 holds_over "$block_device" 40
[ "$(used_mib /dev/zram0)" = 0 ] || die "zram was filled first"
end_program
run_tier "zram at a lower priority"
detach
zram_off

say "a device that is full, and zram at a lower priority"
zram_on 200M
swapon --priority 50 /dev/zram0
attach "$transport" 32M "$address"
start_program
await 60 holds_over /dev/zram0 10
end_program
run_tier "32 MiB of rswap, then zram"
detach
zram_off

say "zram at a higher priority"
zram_on 32M
swapon --priority 200 /dev/zram0
attach "$transport" 300M "$address" 2>&1 | tee /run/attach.said
grep -qF "[zram-in-front]" /run/attach.said || die "attach does not warn"
doctor_tells zram-in-front || die "doctor does not tell"
start_program
await 60 holds_over "$block_device" 10
[ "$(used_mib /dev/zram0)" -gt 25 ] || die "zram was not filled first"
end_program
run_tier "32 MiB of zram, then rswap"
detach
zram_off

say "the same priority"
zram_on 200M
swapon --priority 110 /dev/zram0
attach "$transport" 300M "$address" 2>&1 | tee /run/attach.said
grep -qF "[equal-priority]" /run/attach.said || die "attach does not warn"
start_program
await 60 holds_over "$block_device" 15
await 60 holds_over /dev/zram0 15
end_program
run_tier "zram of the same priority"
detach
zram_off

say "zram writes back to the device"
start_block "$transport" 300M "$address"
zram_on 200M "$block_device"
swapon --priority 50 /dev/zram0
doctor_tells zram-writeback || die "doctor does not tell of the writeback"
start_program
await 60 holds_over /dev/zram0 40
echo all >/sys/block/zram0/idle
echo idle >/sys/block/zram0/writeback
read -r written _ </sys/block/zram0/bd_stat
[ "$written" -gt 1000 ] || die "zram wrote back only $written pages"
end_program
read -r _ read_back _ </sys/block/zram0/bd_stat
[ "$read_back" -gt 500 ] || die "only $read_back pages were read back"
# what has not been touched for two seconds, all the time
while sleep 2; do
	echo idle >/sys/block/zram0/writeback
	echo all >/sys/block/zram0/idle
done &
writer=$!
run_tier "zram with writeback to rswap"
kill $writer
wait $writer || true
zram_off
[ "$(status_value pages_present)" -gt 1000 ] ||
	die "zram trimmed the device: say so in docs/tiers.md"
stop_block

# swap_through_crypt NAME [OPTIONS...]: of attach.  The program's pages go through
# dm-crypt to the device, and come back.
swap_through_crypt()
{
	local name=$1 key sectors
	shift
	attach "$transport" 300M "$address" "$@"
	swapoff "$block_device"
	sectors=$(blockdev --getsz "$block_device")
	key=$(od -An -tx1 -N64 /dev/urandom | tr -d ' \n')
	# There is no udev here, so the node is the one that the kernel makes.
	dmsetup create --noudevrules --noudevsync --uuid CRYPT-PLAIN-tiers tiers \
		--table "0 $sectors crypt aes-xts-plain64 $key 0 $block_device 0"
	crypt=/dev/dm-$(dmsetup info -c --noheadings -o minor tiers)
	await 20 test -b "$crypt" || die "there is no $crypt"
	mkswap "$crypt" >/dev/null
	swapon --priority 110 "$crypt"
	if [ $# -gt 0 ]; then
		! doctor_tells sealed-twice || die "doctor: sealed once, by dm-crypt"
	else
		doctor_tells sealed-twice || die "doctor does not tell of dm-crypt"
	fi
	start_program
	await 60 holds_over "$crypt" 40
	end_program
	run_tier "$name"
	swapoff "$crypt"
	dmsetup remove tiers
	detach
}

say "dm-crypt on the device"
load_modules dm-crypt
swap_through_crypt "dm-crypt on rswap"
swap_through_crypt "dm-crypt on rswap with encrypt=off" --encrypt=off

say "memory.swap.max of a group"
attach "$transport" 300M "$address"
echo 70M >/sys/fs/cgroup/limited/memory.swap.max
start_program
await 60 holds_over "$block_device" 40
peak=$(cat /sys/fs/cgroup/limited/memory.swap.current)
[ "$peak" -le $((70 << 20)) ] || die "the group has $peak bytes in swap"
end_program
run_tier "memory.swap.max of 70 MiB"
echo 0 >/sys/fs/cgroup/limited/memory.swap.max
run_in_cgroup limited "$RSWAP_BUILD/tests/pagecheck" --size=20M --random=1000 >"$results"
[ "$(result_value pswpout $results)" -lt 200 ] || die "a group without swap was swapped out"
detach

stop_memserver
kernel_log_clean
say "tier | seconds | fault p50 us | p99 us | writes | reads of rswap"
cat $table
say "done: swap beside rswap over $transport"
