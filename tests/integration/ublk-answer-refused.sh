#!/bin/bash
# The kernel does not take the answer to a request of rswap-ublk (a stand-in for
# its driver).  As long as the process lived, the request would wait.  So the
# process ends at once, without STOP_DEV, which would wait for the request too,
# and the server is told.
. "$(dirname "$0")/functions.sh"

start_server s --memory=32M --slab-size=1M
UBLK_DRIVER=refuses LD_PRELOAD="$preload $programs/ublk-driver.so" \
	"$build/plugin/rswap-ublk" --pidfile="$dir/p.pid" \
	control="$dir/p.ctl" "$(server s)" size=16M >>"$dir/p.log" 2>&1 &
pid[p]=$!

status=0
timeout $((20 * slow)) tail --pid=${pid[p]} -f /dev/null ||
	fail "it goes on: $(cat "$dir/p.log")"
wait ${pid[p]} || status=$?
unset "pid[p]"
[ "$status" = 1 ] || fail "exit status $status"
expect_line "$dir/p.log" "refuses a request's tag" "Invalid argument"
expect_line "$dir/p.log" "ending this process, and /dev/ublkb0 with it"
[ ! -e "$dir/p.pid" ] || fail "the pidfile is still there"
expect 5 is s sessions -eq 0
