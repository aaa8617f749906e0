#!/bin/bash
# kill -9 of one of two servers, in use: its pages are lost and say so, all
# others go on; the server that is started again is another one.
. "$(dirname "$0")/functions.sh"

options=(--memory=64M --slab-size=1M --grace=1)
start_server a "${options[@]}"
start_server b "${options[@]}"
start_plugin p "$(server a)" "$(server b)" size=48M timeout=5 lanes=8

# 0 to 16M: random load; 16M to 40M: written now, and left alone;
# 40M to 48M: new afterwards
expect_req p ok write:16M:24M:3
start_shadow load p --size=16M --tolerate-eio \
	--max-latency=$((7 * slow))
expect 10 is p writes -gt $((500 / slow))
incarnation=$(value p servers.0.incarnation)
stop a KILL || true

state() { # STATE: that of server a
	[ "$(value p servers.0.state)" = "$1" ]
}
# it might come back, for its grace time and a little more
expect 5 state recovering
expect_value p pages_lost -eq 0
expect 10 state down
result=$(req p scan:16M:24M)
say "with one server: $result"
lost=$(sed -nE 's/.*EIO x([0-9]+).*/\1/p' <<<"$result")
kept=$(sed -nE 's/.*stamp 3 x([0-9]+).*/\1/p' <<<"$result")
[ "$result" = "EIO x$lost, stamp 3 x$kept" ] || fail "it is neither"
[ $((lost + kept)) = 6144 ] && [ "$lost" -gt 1000 ] && [ "$kept" -gt 1000 ] ||
	fail "too few"
# A slab of 1 MiB has 255 sealed pages.  The last page of each MiB is in one more.
[[ " 0 24 " = *" $((lost % 255)) "* ]] || fail "not whole slabs"
expect_value p pages_lost -ge "$lost"
expect_req p EIO read:16M:24M

# new pages go to the other one
expect_req p ok write:40M:8M:4
expect_req p "stamp 4" read:40M:8M
expect_lines "$dir/p.log" "is lost" 1
expect_line "$dir/p.log" "server $(server a) is lost" pages "I/O error"

# Back on the same port, it is recognised as another one.
start_server a "${options[@]}"
expect 10 state up
[ "$(value p servers.0.incarnation)" != "$incarnation" ] ||
	fail "it has the incarnation of the one before"
expect_value p servers.0.reconnects -eq 1
expect_value p servers.1.reconnects -eq 0
finish_shadow load

# what was lost stays lost, until it is written
expect_req p "$result" scan:16M:24M
expect_value p pages_lost -ge "$lost"
expect_req p ok write:16M:12M:5
expect_req p "stamp 5" read:16M:12M
expect_req p ok write:28M:12M:0
expect_req p zeros read:28M:12M
expect_req p ok trim:0:16M
expect_req p zeros read:0:16M
expect_value p pages_lost -eq 0
expect_value p pages_lost_ever -ge "$lost"
expect_value p errors -gt 0
expect_value p read_errors -gt 0
expect_value p last_error_ms -ge 0
# and the new server has part of it
expect_value p servers.0.slabs -gt 0
expect_value a slabs_used -gt 0
expect_req p ok write:0:16M:6
expect_req p "stamp 6" read:0:16M
expect_req p "stamp 4" read:40M:8M

# Both gone: absent pages are zeros still, all else is EIO, in time.
expect_req p ok trim:0:4M
stop a KILL || true
stop b KILL || true
begin=$SECONDS
expect_req p zeros read:0:4M
expect_req p EIO read:16M:4096
expect_req p EIO write:0:4096:3
expect_req p EIO write:16M:4096:3
expect_req p ok trim:16M:4096
expect_req p zeros read:16M:4096
[ $((SECONDS - begin)) -lt $((20 * slow)) ] || fail "it took too long"
start_server b "${options[@]}"
state_b() { [ "$(value p servers.1.state)" = up ]; }
expect 15 state_b
expect_req p ok write:0:4M:7
expect_req p "stamp 7" read:0:4M
