#!/bin/bash
# Swap whose device nobody serves any more, and devices that something stands on:
# what status and check see of the kernel's side, and their exit status.
. "$(dirname "$0")/harness.sh"

# told COMMAND STATUS [WORD...]: that exit status; a line of its output has the
# words.  Exactly what was said is in $dir/said.
told() {
	local command=$1 wanted=$2 status=0
	shift 2
	"$ctl" "$command" >"$dir/said" 2>&1 || status=$?
	[ "$status" = "$wanted" ] ||
		fail "$command: exit status $status, not $wanted: $(cat "$dir/said")"
	[ $# = 0 ] || expect_line "$dir/said" "$@"
}

tells() { # COMMAND STATUS
	local status=0
	"$ctl" "$1" >"$dir/said" 2>&1 || status=$?
	[ "$status" = "$2" ]
}

# check finds nothing but settings that this machine refuses
well() {
	"$ctl" check >"$dir/said" 2>&1 || true
	! grep -v "is refused: " "$dir/said"
}

says_nothing_of() {
	! grep -e "$1" "$dir/said" || fail "it tells of $1"
}

start_server a --memory=64M --slab-size=1M

say "the front end is killed under swap"
attach one || fail "attach: $(cat "$dir/one.log")"
process=$(daemons)
swap_used 0 51200
well || fail "not well: $(cat "$dir/said")"
told status 0 kernel "swap on /dev/nbd0, 50 MiB in use" "in flight"
"$ctl" doctor >"$dir/said" 2>&1 || true
expect_line "$dir/said" ok "attached nbd0" /dev/nbd0
kill -KILL "$process"
expect 10 gone "$process"
told status 5 "$program (process $process) is gone" "swap on /dev/nbd0 is on" \
	"50 MiB" lost SIGBUS
expect_line "$dir/said" "-> rswapctl detach nbd0"
expect_line "$dir/said" "nbd0 does not answer"
expect_line "$dir/said" kernel "swap on /dev/nbd0, 50 MiB in use"
told check 5 "nbd0: $program (process $process) is gone" "50 MiB" \
	"-> rswapctl detach nbd0"
expect_line "$dir/said" "pages "
told doctor 5 FAIL "attached nbd0" "$program (process $process) is gone" "50 MiB" \
	"-> rswapctl detach nbd0"
swap_lines </dev/null
told status 3 "$program (process $process) is gone"
told check 2 "nbd0: $program (process $process) is gone" "-> rswapctl detach nbd0"
says_nothing_of SIGBUS
detach one nbd0 || fail "detach: $(cat "$dir/one.log")"

say "the front end hangs under swap"
attach hangs || fail "attach: $(cat "$dir/hangs.log")"
process=$(daemons)
swap_used 0 51200
kill -STOP "$process"
told status 3 "$program (process $process) runs and does not answer" "50 MiB"
told check 2 "$program (process $process) runs and does not answer" "50 MiB"
expect_line "$dir/said" "nbd0: does not answer"
kill -CONT "$process"
# The loop has not turned yet when the control socket answers.
expect 10 well

say "a connection was lost"
mkdir -p "$RSWAP_FAKE"/block/nbd0/mq/{0,1}
well || fail "not well: $(cat "$dir/said")"
mkdir "$RSWAP_FAKE/block/nbd0/mq/2"
told status 0 "trouble: 2 of 3 connections of /dev/nbd0 to $program are left"
told check 1 "nbd0: 2 of 3 connections" "-> rswapctl detach nbd0"
rm -r "$RSWAP_FAKE/block/nbd0/mq"

say "the device is disconnected by hand under swap"
nbd-kernel disconnect 0
sed -i '/UNDER-USE/d' "$RSWAP_FAKE/log" # it is this test that did it
expect 10 tells status 5
expect_line "$dir/said" "/dev/nbd0 has no connection to $program (process $process)" \
	"nbd-client -d" "swap on /dev/nbd0 is on" "50 MiB" SIGBUS
told check 5 "nbd0: /dev/nbd0 has no connection" "-> rswapctl detach nbd0"
swap_lines </dev/null
told status 4 "/dev/nbd0 is not connected to $program" "nothing swaps to it"
told check 1 "/dev/nbd0 is not connected to $program" "nothing swaps to it"
detach hangs nbd0 || true
nbd-kernel release 0
[ ! -e "$RSWAP_RUN_DIR/nbd0" ] || detach hangs nbd0 ||
	fail "detach: $(cat "$dir/hangs.log")"

say "swap is on what stands on the device"
attach held || fail "attach: $(cat "$dir/held.log")"
swap_lines </dev/null
told check 1 "nbd0: nothing swaps to /dev/nbd0"
hold_device 0 0 crypt
swap_lines <<-END
/dev/dm-0                               partition	16380		8192		100
END
told status 0 kernel "swap on /dev/dm-0, 8 MiB in use" "held by dm-0"
well || fail "not well: $(cat "$dir/said")"
kill -KILL "$(daemons)"
expect 10 tells check 5
expect_line "$dir/said" "swap on /dev/dm-0 is on" "8 MiB"
expect_line "$dir/said" "-> swapoff what stands on it, then rswapctl detach nbd0"
swap_lines </dev/null
told check 2 "-> take away what stands on /dev/nbd0 (dm-0)"
no_holder 0 0
detach held nbd0 || fail "detach: $(cat "$dir/held.log")"

say "the front end was asked to end while it is in use"
attach asked || fail "attach: $(cat "$dir/asked.log")"
kill -TERM "$(daemons)"
expect 10 tells status 4
expect_line "$dir/said" "ending: asked to end" "2 connections"
told check 1 "nbd0: the front end was asked to end (SIGTERM)" "rswapctl detach"
detach asked nbd0 || fail "detach: $(cat "$dir/asked.log")"
expect_nothing_left "the end"
