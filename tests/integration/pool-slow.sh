#!/bin/bash
# etcd that is slow, and etcd that hangs: status and metrics of a memory server and of
# a device say so, in words and figures, also while nobody takes etcd for away yet.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"
. "$(dirname "$0")/metrics-functions.bash"

ctl=$build/ctl/rswapctl

shows() { # NAME WORD...: the line of rswapctl status about the pool
	"$ctl" status "$dir/$1.ctl" | grep '^  pool' >"$dir/said" || true
	has_line "$dir/said" "${@:2}"
}
heard() { # NAME OPERATOR N
	is "$1" pool.heard_s "$2" "$3"
}
at_least() { # NAME SERIES N: a metric
	scrape "$1"
	awk -v n="$3" -v is="$(metric "$1" "$2")" 'BEGIN { exit is < n }'
}

start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
start_server a --memory=32M --slab-size=1M --pool="$pool" --metrics=0
expect 20 registered 1
start_plugin p pool="$pool" size=8M timeout=60 lanes=4 metrics=0

say "all is well"
expect 20 heard a -lt 4
expect 20 heard p -lt 70
expect_value a pool.call_ms -lt 1000
for name in a p; do
	expect_value $name pool.failures -eq 0
done
shows a "registered as" && ! shows a slow && ! shows a silent || fail "$(cat "$dir/said")"
shows p "current for" && ! shows p slow || fail "$(cat "$dir/said")"
scrape a
expect_metric a rswap_memserver_pool_failures_total 0
same a rswap_memserver_pool_writes_total pool.writes

say "slow"
# Longer than the server waits between two calls, and not too long for one.  The call is
# the last one for some two seconds.
is_seen_slow() {
	kill -STOP "${pid[e]}"
	sleep 4
	kill -CONT "${pid[e]}"
	wait_for 2 shows a "etcd at 127.0.0.1:${port[e]}, slow: its last call took "
}
expect 60 is_seen_slow
fast_again() { ! shows a slow; }
expect 20 fast_again
shows a "registered as" || fail "$(cat "$dir/said")"

say "it hangs, and keeps its connections"
kill -STOP "${pid[e]}"
expect 40 shows p "current for" "etcd at 127.0.0.1:${port[e]}, silent for "
expect 20 heard p -ge 10
at_least p rswap_pool_heard_seconds 10 || fail "$(metric p rswap_pool_heard_seconds) s"
expect 40 heard a -ge 10
at_least a rswap_memserver_pool_heard_seconds 10 || fail "$(metric a rswap_memserver_pool_heard_seconds) s"
expect_value a pool.failures -ge 1
at_least a rswap_memserver_pool_failures_total 1 || fail "nothing has failed"
expect_req p ok write:0:8M:4

say "it goes on"
kill -CONT "${pid[e]}"
expect 40 heard a -lt 4
speaks() { ! shows p silent; }
# The key that the server puts again is heard of by the watch.
expect 90 speaks
shows p "current for" || fail "$(cat "$dir/said")"

say "it is gone: the device's watch has failed"
stop e KILL || true
failed() { at_least p rswap_pool_failures_total 1; }
expect 60 failed
expect 60 shows p "away for" "etcd at 127.0.0.1:${port[e]}: "
! shows p silent || fail "it says it twice: $(cat "$dir/said")"
stop p
stop a
