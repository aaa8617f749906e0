#!/bin/bash
# Several rswapctl at a time: one at work on a name, others beside it; and a
# stranger who takes the device.
. "$(dirname "$0")/harness.sh"

start_server a --memory=64M --slab-size=1M

# wait_here STEP WHEN: the step stops there until pass_on
wait_here() {
	rm -f "$dir/go" "$dir/there"
	hook "$1" "$2" <<HOOK
touch $dir/there
until [ -e $dir/go ]; do sleep 0.02; done
HOOK
}

pass_on() {
	no_hooks
	touch "$dir/go"
}

ended_well() { # LOG
	finish "$1"
	[ "$(cat "$dir/status")" = 0 ] ||
		fail "$1: $(cat "$dir/status"): $(cat "$dir/$1.log")"
}

for when in before after; do
	say "detach while attach is at swapon, $when its work"
	wait_here swapon $when
	begin attach attach attach --name=far
	expect 20 test -e "$dir/there"
	begin detach detach detach far
	# it waits for the lock: it has the file open
	expect 10 waits_for_lock far 2
	pass_on
	ended_well attach
	ended_well detach
	expect_nothing_left "detach during attach"
done

say "detach while detach is at swapoff"
attach attach --name=far || fail "$(cat "$dir/attach.log")"
wait_here swapoff before
begin one detach one far
expect 20 test -e "$dir/there"
begin two detach two far
expect 10 waits_for_lock far 2
pass_on
ended_well one
ended_well two
expect_line "$dir/two.log" "far is detached already"
expect_nothing_left "two detaches"

say "two attaches without a name at a time"
wait_here connect before
begin one attach one
expect 20 test -e "$dir/there"
no_hooks
attach two || fail "the second waits for the first: $(cat "$dir/two.log")"
swaps_to 1 || fail "not to nbd1: $(cat /proc/swaps)"
pass_on
ended_well one
swaps_to 0 || fail "not to nbd0: $(cat /proc/swaps)"
detach both --all || fail "$(cat "$dir/both.log")"
expect_nothing_left "two attaches"

say "two attaches of one name at a time: the second is refused"
wait_here swapon before
begin one attach one --name=far
expect 20 test -e "$dir/there"
begin two attach two --name=far
expect 10 waits_for_lock far 2
pass_on
ended_well one
finish two
[ "$(cat "$dir/status")" = 1 ] || fail "two: $(cat "$dir/two.log")"
expect_line "$dir/two.log" "far is attached already"
connected 0 && swaps_to 0 || fail "the first one is gone"
detach one far || fail "$(cat "$dir/one.log")"
expect_nothing_left "one name"

slow_starts() {
	grep -q "start the front end" "$dir/slow.log" 2>/dev/null
}

say "one silent server keeps no other attach from starting"
start_silent
"$ctl" attach "127.0.0.1:$(cat "$dir/silent.port")" --size=16M \
	--transport=tcp "${front_options[@]}" --name=slow >"$dir/slow.log" 2>&1 &
pid[slow]=$!
expect 10 slow_starts
attach quick || fail "$(cat "$dir/quick.log")"
alive slow || fail "slow: $(cat "$dir/slow.log")"
kill -TERM "${pid[slow]}"
finish slow
detach quick nbd0 || fail "$(cat "$dir/quick.log")"
stop silent KILL || true
expect_nothing_left "a silent server"

say "a stranger takes the guessed device first: another one is taken"
hook connect before <<'HOOK'
[ "$2" = 0 ] && [ ! -e /sys/block/nbd0/pid ] && nbd-kernel foreign 0
exit 0
HOOK
attach race || fail "$(cat "$dir/race.log")"
expect_line "$dir/race.log" "/dev/nbd0 went to another"
no_hooks
connected 0 || fail "the stranger is disconnected"
swaps_to 1 || fail "not to nbd1: $(cat /proc/swaps)"
detach race nbd1 || fail "$(cat "$dir/race.log")"

say "the guessed device is open, which sysfs does not show: another one is taken"
exec 7>>"$RSWAP_FAKE/claim.nbd2"
flock 7
nbd-kernel foreign 1 7>&-
attach race 7>&- || fail "$(cat "$dir/race.log")"
expect_line "$dir/race.log" "/dev/nbd2 went to another"
swaps_to 3 || fail "not to nbd3: $(cat /proc/swaps)"
exec 7>&-
detach race nbd3 || fail "$(cat "$dir/race.log")"
nbd-kernel release 1

say "the same for a device that was asked for: refused, and left alone"
hook connect before <<'HOOK'
nbd-kernel foreign 1
HOOK
[ "$(status_of attach asked --device=/dev/nbd1)" = 1 ] ||
	fail "$(cat "$dir/asked.log")"
no_hooks
expect_line "$dir/asked.log" "failed to connect the device"
connected 0 && connected 1 || fail "the stranger is disconnected"

say "a stranger has our device: disconnected by hand, and connected anew"
attach ours --name=far || fail "$(cat "$dir/ours.log")"
swaps_to 2 || fail "not to nbd2: $(cat /proc/swaps)"
swapoff /dev/nbd2
nbd-kernel disconnect 2
nbd-kernel foreign 2
echo "/dev/nbd2 partition 4096 0 5" | swap_lines
detach ours far || fail "$(cat "$dir/ours.log")"
connected 2 && swaps_to 2 || fail "the stranger's swap is gone"
[ -z "$(daemons)" ] || fail "$program is still there"
