#!/bin/bash
# The kernel does not end the device of rswap-ublk (a stand-in for its driver).
# The threads of the queues go on, so that nothing is freed under them, and the
# server is told all the same.
. "$(dirname "$0")/functions.sh"

start_server s --memory=32M --slab-size=1M
LD_PRELOAD="$preload $programs/ublk-driver.so" "$build/plugin/rswap-ublk" \
	--pidfile="$dir/p.pid" control="$dir/p.ctl" "$(server s)" size=16M \
	>>"$dir/p.log" 2>&1 &
pid[p]=$!
expect 20 test -s "$dir/p.pid"
expect_value s sessions -eq 1

status=0
stop p || status=$?
[ "$status" = 0 ] || fail "exit status $status"
expect_line "$dir/p.log" "ending /dev/ublkb0" "Input/output error"
[ ! -e "$dir/p.pid" ] || fail "the pidfile is still there"
expect 5 is s sessions -eq 0
