#!/bin/bash
# A device that something uses is not disconnected, and detach names the user:
# what stands on it, swap on that, an exclusive open, a line of /proc/swaps that
# nobody understands.
. "$(dirname "$0")/harness.sh"

start_server a --memory=64M --slab-size=1M
attach far --name=far || fail "attach: $(cat "$dir/far.log")"

# refused WORD...: detach is, and everything is as before
refused() {
	[ "$(status_of detach detach far)" = 1 ] ||
		fail "not refused: $(cat "$dir/detach.log")"
	expect_line "$dir/detach.log" "rswapctl detach: far:" "$@"
	connected 0 || fail "it is disconnected"
	[ -n "$(daemons)" ] || fail "$program is gone"
	! has "$RSWAP_FAKE/log" UNDER-USE || fail "disconnected under its user"
}

# not_swapped / swapped: what check says of the device
swapped() {
	"$ctl" check far >"$dir/check.log" 2>&1 || true
	! has "$dir/check.log" "nothing swaps to"
}

say "swap whose device node was removed"
swap_lines <<<'/dev/nbd0\040(deleted)                  partition 16380 0 100'
echo 'exit 1' | hook swapoff before
refused swapoff
no_hooks
swapped || fail "check: $(cat "$dir/check.log")"

say "a line that nobody understands"
swap_lines <<<'/dev/nbd0 but how'
refused "/proc/swaps"
swap_lines </dev/null

say "nothing swaps to it"
! swapped || fail "check: $(cat "$dir/check.log")"

say "device mapper stands on it"
hold_device 0 7 swapcrypt
refused "/dev/dm-7 (swapcrypt)" "stands on /dev/nbd0"

say "swap is on what stands on it"
swap_lines <<<'/dev/dm-7 partition 16380 4096 100'
refused "swap is on /dev/dm-7 (swapcrypt)"
swapped || fail "check: $(cat "$dir/check.log")"
swap_lines <<<'/dev/mapper/swapcrypt partition 16380 4096 100'
refused "swap is on /dev/dm-7 (swapcrypt)"

say "and two storeys up"
hold_on_device 7 8 vg-swap
swap_lines <<<'/dev/dm-8 partition 16380 4096 100'
refused "swap is on /dev/dm-8 (vg-swap)"
swapped || fail "check: $(cat "$dir/check.log")"
no_holder 0 7
rm -r "$RSWAP_FAKE/block/dm-8"
swap_lines </dev/null

say "such a device is not free for another attach"
nbd-kernel devices 2
hold_device 1 7 strange
[ "$(status_of attach second --device=/dev/nbd1)" = 1 ] ||
	fail "$(cat "$dir/second.log")"
expect_line "$dir/second.log" "/dev/nbd1 is in use: /dev/dm-7 (strange)"
no_holder 1 7
echo "       3        1" >"$RSWAP_FAKE/block/nbd1/inflight"
[ "$(status_of attach second --device=/dev/nbd1)" = 1 ] ||
	fail "$(cat "$dir/second.log")"
expect_line "$dir/second.log" "/dev/nbd1 is in use: requests are in flight"

say "a program has it open exclusively"
exec 7>>"$RSWAP_FAKE/claim.nbd0"
flock 7
refused "a program has it open exclusively" 7>&-
detach detach far 7>&- &
pid[detach]=$!
expect 10 waits_for_lock far 1
connected 0 || fail "it is disconnected"
exec 7>&-
status=0
wait "${pid[detach]}" || status=$?
unset "pid[detach]"
[ "$status" = 0 ] || fail "detach: $(cat "$dir/detach.log")"
expect_nothing_left "users"
