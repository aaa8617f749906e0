#!/bin/bash
# Copies on several servers: one of them is killed, another stopped, one drained,
# all under verified load; nothing is lost, no request fails, and what is short of
# copies is repaired.
. "$(dirname "$0")/functions.sh"

options=(--memory=96M --slab-size=1M)
keys=${1:-replicas=2}

start_server a "${options[@]}" --grace=1 # which is killed
for name in b c d; do
	start_server "$name" "${options[@]}"
done
start_plugin p "$(server a)" "$(server b)" "$(server c)" "$(server d)" \
	size=64M timeout=20 lanes=8 "$keys"

repaired() {
	is p slabs_short -eq 0 && is p slabs_moving -eq 0
}
state() { # NUMBER STATE
	[ "$(value p "servers.$1.state")" = "$2" ]
}

expect_req p ok write:32M:16M:3
start_shadow load p --size=32M --connections=2
expect 10 is p writes -gt $((300 / slow))
expect 20 repaired

say "one is killed"
stop a KILL || true
expect 30 state 0 down
expect_req p "stamp 3" read:32M:16M
expect 60 repaired
expect_value p pages_copied -gt 0

say "it comes back as another one, and one is stopped for a while"
start_server a "${options[@]}" --grace=1
expect 30 state 0 up
kill -STOP "${pid[b]}"
expect_req p ok write:48M:8M:4
expect_req p "stamp 3" read:32M:16M
kill -CONT "${pid[b]}"
expect 60 state 1 up
expect 60 repaired
expect_req p "stamp 4" read:48M:8M

finish_shadow load
expect_value p errors -eq 0
expect_value p pages_lost -eq 0
expect_value p wrong_reads -eq 0
expect_line "$dir/p.log" degraded repairing
expect_line "$dir/p.log" "all slabs have all"
stop p

say "new slabs do not wait for a server that hangs, and none is forgotten there"
start_plugin q "$(server a)" "$(server c)" size=32M timeout=9 lanes=8 \
	replicas=2 spin=0
expect_req q ok write:0:4M:3
kill -STOP "${pid[c]}"
expect_req q ok write:8M:4M:5
expect_req q "stamp 3" read:0:4M
kill -CONT "${pid[c]}"
caught_up() {
	[ "$(value q servers.1.state)" = up ] && is q slabs_short -eq 0 &&
		is q servers.1.slabs -eq 9 && is c slabs_used -eq 9
}
expect 40 caught_up
expect_req q "stamp 5" read:8M:4M
expect_value q errors -eq 0
