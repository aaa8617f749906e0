#!/bin/bash
# rswap-ublk's device and its life: what a block device has to do, what the
# process has given up, how it ends while it is in use, and what is left when it
# is killed.  README's line for it runs as it stands there.
#
#	rswap-ublk.sh TRANSPORT
set -euo pipefail

RSWAP_FRONT=ublk
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"
. "$here/../../doc-commands.bash"
. "$here/follow-lib.sh"

transport=${1:?rdma or tcp}
address=10.77.0.1
log=$block_run/log

start_device()
{
	start_block "$transport" 256M "$address" encrypt=off "$@"
}

# queue NAME: of the kernel's settings
queue()
{
	cat "/sys/block/ublkb0/queue/$1"
}

# is WHAT VALUE WANTED
is()
{
	[ "$2" = "$3" ] || die "$1: \"$2\" and not \"$3\""
}

# is_zero OFFSET-MIB MIB
is_zero()
{
	dd if="$block_device" bs=1M skip="$1" count="$2" iflag=direct status=none |
		cmp -s -n $(($2 << 20)) - /dev/zero
}

said()
{
	grep -qE "$1" "$log"
}

gone()
{
	! kill -0 "$block_pid" 2>/dev/null
}

# ended WANTED: the program has ended, with that status.
ended()
{
	local status=0
	await 60 gone || die "rswap-ublk does not end"
	wait "$block_pid" || status=$?
	is "exit status" "$status" "$1"
}

# What its main thread took of a processor, in hundredths of a second.
main_ticks()
{
	awk '{ print $14 + $15 }' "/proc/$block_pid/task/$block_pid/stat"
}

no_device()
{
	[ ! -e "$block_device" ] && [ ! -e /dev/ublkc0 ]
}

# limit BYTES: of the programs' memory
limit()
{
	echo "$1" >/sys/fs/cgroup/limited/memory.max
}

# start_program SECONDS: with most of its memory on the device; it checks all its
# pages at its end.
results=/run/pagecheck.results
start_program()
{
	limit 30M
	run_in_cgroup limited "$RSWAP_BUILD/tests/pagecheck" --size=100M \
		--passes=0 --seconds="$1" >$results &
	program=$!
	await 60 swapped_over 40 || die "the program does not swap"
}

swapped_over()
{
	[ "$(awk -v d="$block_device" '$1 == d { print int($4 / 1024) }' \
		/proc/swaps)" -gt "$1" ]
}

trimmed()
{
	[ "$(status_value trims)" -gt 0 ]
}

check_device()
{
	is "sector size" "$(blockdev --getss "$block_device")" 4096
	is "block size" "$(blockdev --getpbsz "$block_device")" 4096
	is size "$(blockdev --getsize64 "$block_device")" $((256 << 20))
	is rotational "$(queue rotational)" 0
	is "largest request" "$(queue max_sectors_kb)" 128
	is cache "$(queue write_cache)" "write through"
	is status "$(status_value device)" "$block_device"
	is connections "$(status_value connections)" 1
}

check_semantics()
{
	local trims zeroes
	is_zero 0 8 || die "what was never written is not zero"
	is "pages present" "$(status_value pages_present)" 0
	dd if=/dev/urandom of=/run/data bs=1M count=8 status=none
	dd if=/run/data of="$block_device" bs=1M oflag=direct conv=fsync \
		status=none
	dd if="$block_device" bs=1M count=8 iflag=direct status=none |
		cmp - /run/data || die "it reads other than what was written"
	if dd if=/run/data of="$block_device" bs=512 count=1 oflag=direct \
		status=none 2>/dev/null; then
		die "512 bytes are written"
	fi
	trims=$(status_value trims)
	blkdiscard --offset=1M --length=1M "$block_device"
	is_zero 1 1 || die "what was discarded is not zero"
	[ "$(status_value trims)" -gt "$trims" ] || die "no trim arrived"
	is "pages present" "$(status_value pages_present)" $((7 * 256))
	zeroes=$(status_value zeroes)
	blkdiscard --zeroout --offset=2M --length=2M "$block_device"
	is_zero 2 2 || die "what was zeroed is not zero"
	[ "$(status_value zeroes)" -gt "$zeroes" ] || die "no zeroing arrived"
	is "pages present" "$(status_value pages_present)" $((5 * 256))
	tail -c 4M /run/data >/run/rest
	dd if="$block_device" bs=1M skip=4 count=4 iflag=direct status=none |
		cmp - /run/rest || die "its neighbours have changed"
	blockdev --flushbufs "$block_device"
	is errors "$(status_value errors)" 0
}

check_safety()
{
	local setting
	for setting in io_flusher realtime locked oom; do
		is "$setting" "$(status_value safety.$setting.holds)" yes
	done
	is capabilities "$(sed -n 's/^CapEff:\t//p' "/proc/$block_pid/status")" \
		0000000000000000
}

# By hand, with the memory server of the same page.
follow_readme()
{
	local readme=$RSWAP_SRC/README.md
	PATH=$PATH:$RSWAP_BUILD/memserver
	mkdir -p /etc/rswap
	cp "$psk_file" /etc/rswap/node.keys
	cp "$psk_file" /etc/rswap/memserver.keys
	ip address add 10.0.0.1/32 dev lo
	follow_command "$(doc_commands "$readme" "Two machines in five minutes" |
		grep '^rswap-memserver ')"
	load_modules ublk_drv
	follow_command "$(doc_phrase "$readme" "rswap-ublk 10.0.0.1 ")"
	await 20 test -b "$block_device" || die "it does not make $block_device"
	swap_on
	swap
	swapoff "$block_device"
	kill "$by_hand_pid"
	wait "$by_hand_pid" || die "rswap-ublk ended with status $?"
	no_device || die "the device is still there"
	end_trial
}

say "README's line"
follow_readme

start_memserver "$transport" "$address" 512M
make_cgroup limited 30M

say "a block device"
start_device
check_device
check_semantics
check_safety
if rswap-ublk --id=0 size=64M "$address" transport="$transport" \
	psk-file="$psk_file" 2>/run/refused; then
	die "a second one with the same id starts"
fi
grep -q "ublk device 0 is in use by process $block_pid" /run/refused ||
	die "it says: $(</run/refused)"
if rswap-ublk --delete=0 2>/run/refused; then
	die "a device that is served is deleted"
fi

say "asked to end while nobody uses it"
stop_block
no_device || die "the device is still there"

say "asked to end while swap is on it, which has two queues"
ublk_options=(--queues=2)
start_device
ublk_options=()
is queues "$(echo /sys/block/ublkb0/mq/*/ | wc -w)" 2
swap_on
start_program 20
kill "$block_pid"
await 20 said "asked to end while $block_device is in use.*swapoff" ||
	die "it does not say that it waits"
swapped_over 40 || die "the swap is gone"
is "says it" "$(grep -c 'asked to end while' "$log")" 1
before=$(main_ticks)
sleep 5
[ $(($(main_ticks) - before)) -lt 100 ] || die "it is busy while it waits"
wait "$program" || die "the program ended with status $?"
is mismatches "$(result_value mismatches $results)" 0
start_program 20
limit max
swapoff "$block_device"
ended 0
no_device || die "the device is still there"
wait "$program" || die "the program ended with status $?"
is mismatches "$(result_value mismatches $results)" 0
kernel_log_clean

say "a server that answers nothing for longer than the kernel lets a request take"
start_device
dd if=/run/data of="$block_device" bs=1M oflag=direct status=none
kill -STOP "$memserver_pid"
dd if="$block_device" of=/run/read bs=1M count=8 iflag=direct status=none &
reader=$!
sleep 75
kill -CONT "$memserver_pid"
kill -0 "$block_pid" || die "the kernel has killed rswap-ublk"
wait "$reader" || die "the read fails"
cmp /run/read /run/data || die "it reads other than what was written"
stop_block

say "asked twice"
start_device
mkfs.ext4 -q -b 4096 "$block_device"
mount "$block_device" /mnt
kill "$block_pid"
await 20 said "asked to end while" || die "it does not say that it waits"
kill "$block_pid"
ended 0
await 20 test ! -e "$block_device" || die "the device is still there"
umount /mnt || true
rswap-ublk --delete=0
no_device || die "the device is still there"
dmesg --clear

say "killed while nobody uses it"
attach "$transport" 256M "$address"
process=$(plugin_pid)
swapoff "$block_device"
kill -KILL "$process"
await 60 test ! -e "$block_device" || die "the device is still there"
detach || die "detach fails"
no_device || die "the device is still there"
[ ! -e "$block_run" ] || die "its directory is still there"

say "pages right after swapoff"
attach "$transport" 256M "$address"
start_program 10
limit max
swapoff "$block_device"
wait "$program" || die "the program ended with status $?"
is mismatches "$(result_value mismatches $results)" 0
detach || die "detach fails"
no_device || die "the device is still there"
kernel_log_clean

say "killed while swap is on it"
attach "$transport" 256M "$address"
start_program 600
kill -KILL "$(plugin_pid)"
status=0
wait "$program" || status=$?
[ "$status" -gt 128 ] || die "the program ended with status $status"
dmesg | grep "Read-error on swap-device" >/dev/null ||
	die "the kernel's log does not tell of the lost pages"
# The kernel can't end this swap any more; nobody waits for that.
status=0
timeout 60 "$rswapctl" check >/run/said || status=$?
is "exit status of check" "$status" 5
grep -q "restart the machine" /run/said || die "check says: $(</run/said)"
status=0
timeout 60 "$rswapctl" detach "$block_device" >/run/said 2>&1 || status=$?
is "exit status of detach" "$status" 1
grep -q "stays on until the machine restarts" /run/said ||
	die "detach says: $(</run/said)"
grep -q "MiB are lost" /run/said || die "detach says: $(</run/said)"

say "the next device"
block_device=/dev/ublkb1
block_run=/run/rswap/ublkb1
"$rswapctl" attach "$address" --size=256M --transport="$transport" --front=ublk \
	--psk-file="$psk_file" --priority=200
"$rswapctl" status ublkb1
start_program 5
limit max
wait "$program" || die "the program ended with status $?"
is mismatches "$(result_value mismatches $results)" 0
# --discard=pages: what the program had is given back
await 30 trimmed || die "no trim arrived: $("$rswapctl" status)"
detach || die "detach fails"
stop_memserver
say "done"
