#!/bin/bash
# A device of the ublk driver, which is made and ends with its front end: how
# attach takes it, what detach does with it, and what is so once the front end was
# killed.
. "$(dirname "$0")/harness.sh"

start_server a --memory=64M --slab-size=1M

front_pid() { # NAME
	cat "$RSWAP_RUN_DIR/$1/pid"
}

claimed() { # NAME
	exec 7>>"$RSWAP_FAKE/claim.$1"
	flock 7
}

unclaimed() {
	exec 7>&-
}

say "by name, by device, with the name of the first free one"
attach far --name=far --metrics=0 || fail "attach: $(cat "$dir/far.log")"
[ "$(device_in_metrics far)" = /dev/ublkb0 ] || fail "the metrics tell $(device_in_metrics far)"
swaps_to ublkb0 || fail "ublkb0 is no swap"
attach third --device=/dev/ublkb3 || fail "attach: $(cat "$dir/third.log")"
swaps_to ublkb3 || fail "ublkb3 is no swap"
attach next || fail "attach: $(cat "$dir/next.log")"
swaps_to ublkb1 || fail "ublkb1 is no swap"
! attach again --device=/dev/ublkb3 --name=again || fail "it is attached twice"
expect_line "$dir/again.log" "/dev/ublkb3 is in use"
"$ctl" status --json >"$dir/said" || fail "status: $(cat "$dir/said")"
expect_line "$dir/said" '"device"' "/dev/ublkb3"
for name in far /dev/ublkb3 ublkb1; do
	detach detach $name || fail "detach: $(cat "$dir/detach.log")"
	expect_line "$dir/detach.log" "stop rswap-ublk (process"
done
expect_nothing_left "detach"

say "settings of the queue"
attach tuned --name=far || fail "attach: $(cat "$dir/tuned.log")"
[ "$(cat /sys/block/ublkb0/queue/scheduler)" = none ] || fail "the scheduler"
detach tuned far || fail "detach: $(cat "$dir/tuned.log")"
expect_nothing_left "settings"

say "each step fails"
for tool in mkswap swapon; do
	for when in before after; do
		echo 'exit 1' | hook $tool $when
		! attach roll --name=far || fail "$tool $when: it is attached"
		no_hooks
		expect_line "$dir/roll.log" "undo: start the front end"
		expect_nothing_left "$tool $when"
	done
done

say "attach is killed at each step"
for tool in mkswap swapon; do
	for when in before after; do
		echo 'kill -KILL $RSWAPCTL' | hook $tool $when
		! attach killed --name=far || fail "$tool $when: it is attached"
		no_hooks
		expect 20 no_tools
		detach killed far || fail "detach: $(cat "$dir/killed.log")"
		expect_nothing_left "killed: $tool $when"
	done
done

say "nothing in use ends"
attach far --name=far || fail "attach: $(cat "$dir/far.log")"
swap_lines </dev/null # somebody's swapoff
claimed ublkb0
[ "$(status_of detach busy far)" = 1 ] || fail "detached: $(cat "$dir/busy.log")"
expect_line "$dir/busy.log" "has it open exclusively"
[ -n "$(daemons)" ] || fail "the front end is gone"
unclaimed
hold_device ublkb0 5 crypt
[ "$(status_of detach busy far)" = 1 ] || fail "detached: $(cat "$dir/busy.log")"
expect_line "$dir/busy.log" "stands on /dev/ublkb0"
no_holder ublkb0 5
detach far far || fail "detach: $(cat "$dir/far.log")"
expect_nothing_left "in use"

say "the front end is asked to end while swap is on"
attach far --name=far || fail "attach: $(cat "$dir/far.log")"
kill "$(front_pid far)"
expect 20 has "$RSWAP_RUN_DIR/far/log" "asked to end while /dev/ublkb0 is in use"
swaps_to ublkb0 || fail "swap is off"
detach far far || fail "detach: $(cat "$dir/far.log")"
expect_nothing_left "asked to end"

say "the front end is killed, without swap"
attach far --name=far || fail "attach: $(cat "$dir/far.log")"
"$dir/bin/swapoff" /dev/ublkb0
kill -KILL "$(front_pid far)"
expect 20 test ! -e /dev/ublkb0
[ -e /dev/ublkc0 ] || fail "the kernel has let go of the number"
detach far far || fail "detach: $(cat "$dir/far.log")"
expect_nothing_left "killed without swap"

say "another program has the number meanwhile"
attach far --name=far || fail "attach: $(cat "$dir/far.log")"
"$dir/bin/swapoff" /dev/ublkb0
kill -KILL "$(front_pid far)"
expect 20 test ! -e /dev/ublkb0
rswap-ublk --delete=0 || fail "it is not deleted"
attach other --name=other --device=/dev/ublkb0 || fail "$(cat "$dir/other.log")"
detach far far || fail "detach: $(cat "$dir/far.log")"
swaps_to ublkb0 || fail "detach has taken another's swap"
detach other other || fail "detach: $(cat "$dir/other.log")"
expect_nothing_left "another program"

say "the front end is killed, with swap on"
attach far --name=far || fail "attach: $(cat "$dir/far.log")"
swap_used ublkb0 8192
kill -KILL "$(front_pid far)"
expect 20 test ! -e /dev/ublkb0
status=0
"$ctl" check far >"$dir/said" 2>&1 || status=$?
[ "$status" = 5 ] || fail "check: $status, $(cat "$dir/said"; cat /proc/swaps)"
"$ctl" status far >"$dir/said" 2>&1 || true
expect_line "$dir/said" "rswap-ublk (process" "is gone" "8 MiB, which are lost"
expect_line "$dir/said" "restart the machine"
[ "$(status_of detach far far)" = 1 ] || fail "detach: $(cat "$dir/far.log")"
expect_line "$dir/far.log" "stays on until the machine restarts"
expect_line "$dir/far.log" "8 MiB are lost"

# dead_swap NAME: status, check and doctor tell of it
dead_swap() {
	local command status
	for command in status doctor check; do
		status=0
		"$ctl" "$command" >"$dir/said" 2>&1 || status=$?
		[ "$status" = 5 ] ||
			fail "$command: $status, $(cat "$dir/said"; cat /proc/swaps)"
		expect_line "$dir/said" "rswap-ublk (process" "is gone" \
			"swap on /dev/ublkb0 is on with 8 MiB"
		expect_line "$dir/said" "restart the machine"
	done
	expect_line "$dir/said" "$1: rswap-ublk (process" # check
}

say "and its name is used again: the number stays taken, and the name does not"
dead_swap far
attach far --name=far || fail "attach: $(cat "$dir/far.log")"
expect_line "$dir/far.log" "swap on /dev/ublkb0 is dead" "far.ublkb0"
swaps_to ublkb1 || fail "ublkb1 is no swap: $(cat /proc/swaps)"
dead_swap far.ublkb0
! grep -v "is refused: " "$dir/said" | grep "^far: " || fail "far is not well"
detach far far || fail "detach: $(cat "$dir/far.log")"
dead_swap far.ublkb0
[ "$(status_of detach far far.ublkb0)" = 1 ] || fail "$(cat "$dir/far.log")"
expect_line "$dir/far.log" "stays on until the machine restarts"
attach next || fail "attach: $(cat "$dir/next.log")"
detach next ublkb1 || fail "detach: $(cat "$dir/next.log")"

say "a name that is as long as can be"
long=$(printf 'n%.0s' {1..32})
attach long --name="$long" || fail "attach: $(cat "$dir/long.log")"
swaps_to ublkb1 || fail "ublkb1 is no swap: $(cat /proc/swaps)"
kill -KILL "$(front_pid "$long")"
expect 20 test ! -e /dev/ublkb1
attach long --name="$long" || fail "attach: $(cat "$dir/long.log")"
detach long "$long" || fail "detach: $(cat "$dir/long.log")"
"$ctl" check >"$dir/said" 2>&1 || true
expect_line "$dir/said" "${long:0:19}.ublkb1: rswap-ublk (process"

say "the machine has restarted"
swap_lines </dev/null
detach all --all || fail "detach: $(cat "$dir/all.log")"
expect_nothing_left "the end"
