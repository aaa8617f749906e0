#!/bin/bash
# A device that went to another attach, while the name that had it before is left:
# what is done with the old name leaves the new one alone.
. "$(dirname "$0")/harness.sh"

# where attach finds a systemd
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
drop_in=/run/systemd/system/dev-nbd0.swap.d/rswap.conf

start_server a --memory=64M --slab-size=1M

# The name one has nbd0, somebody ends that by hand, and the name two gets nbd0.
one_then_two() {
	attach one --name=one || fail "attach: $(cat "$dir/one.log")"
	[ -e "$drop_in" ] || fail "there is no $drop_in"
	"$dir/bin/swapoff" /dev/nbd0
	nbd-kernel disconnect 0
	attach two --name=two --device=/dev/nbd0 ||
		fail "attach: $(cat "$dir/two.log")"
	swap_used 0 51200
}

# two is as it was before
two_is_well() {
	connected 0 && swaps_to 0 || fail "two has no swap any more"
	[ -e "$drop_in" ] || fail "two has no $drop_in any more"
	"$ctl" check two >"$dir/said" 2>&1 || true
	! grep -v "is refused: " "$dir/said" || fail "two: $(cat "$dir/said")"
}

say "check tells nothing of the new one under the old name"
one_then_two
status=0
"$ctl" check one >"$dir/said" 2>&1 || status=$?
[ "$status" = 1 ] || fail "check: $status, $(cat "$dir/said")"
expect_line "$dir/said" "one: /dev/nbd0 is not connected" "nothing swaps to it"
! has "$dir/said" SIGBUS || fail "swap is dead: $(cat "$dir/said")"
two_is_well

say "detach of the old name"
detach one one || fail "detach: $(cat "$dir/one.log")"
two_is_well
detach two two || fail "detach: $(cat "$dir/two.log")"
[ ! -e "$drop_in" ] || fail "$drop_in is left"
expect_nothing_left "by name"

say "detach of the device is of the one that has it"
one_then_two
detach two /dev/nbd0 || fail "detach: $(cat "$dir/two.log")"
expect_line "$dir/two.log" "two is detached"
[ ! -e "$drop_in" ] || fail "$drop_in is left"
detach one one || fail "detach: $(cat "$dir/one.log")"
expect_nothing_left "by device"
