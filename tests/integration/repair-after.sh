#!/bin/bash
# A server of three is away, and its grace time is long: after repair-after its
# copies are begun on another one.  Back before that is done, it is taken back and
# catches up what it missed; back later, it has nothing to hold any more.
. "$(dirname "$0")/functions.sh"

options=(--memory=96M --slab-size=1M --grace=600)
for name in a b c; do
	start_server "$name" "${options[@]}"
done

state() { # PLUGIN SERVER STATE
	[ "$(value "$1" "servers.$2.state")" = "$3" ]
}
whole() { # PLUGIN
	is "$1" slabs_short -eq 0 && is "$1" slabs_moving -eq 0 &&
		is "$1" pages_stale -eq 0
}
same_slabs() { # PLUGIN: both sides agree
	is a slabs_used -eq "$(value "$1" servers.0.slabs)" &&
		is b slabs_used -eq "$(value "$1" servers.1.slabs)" &&
		is c slabs_used -eq "$(value "$1" servers.2.slabs)"
}

say "it stays away"
start_plugin p "$(server a)" "$(server b)" "$(server c)" size=32M lanes=8 \
	replicas=2 repair-after=1
expect_value p repair_after_ms -eq 1000
expect_req p ok write:8M:16M:3
start_shadow load p --size=8M --connections=2
expect 20 is p servers.0.slabs -gt 0
kill -STOP "${pid[a]}"
expect 30 state p 0 recovering
expect 30 has "$dir/p.log" "are copied to other servers"
expect 60 whole p
state p 0 recovering || fail "it did not wait for it: $(value p servers.0.state)"
expect_value p pages_copied -gt 0
expect_req p "stamp 3" read:8M:16M
# no copy depends on it any more: another one may go
kill -STOP "${pid[b]}"
expect_req p "stamp 3" read:8M:16M
kill -CONT "${pid[a]}" "${pid[b]}"
expect 30 state p 0 up
expect 30 state p 1 up
expect 60 whole p
expect 30 same_slabs p
finish_shadow load
expect_value p errors -eq 0
expect_value p pages_lost_ever -eq 0
stop p

say "it comes back before its copies are begun anew in full"
start_plugin q "$(server a)" "$(server b)" "$(server c)" size=48M lanes=8 \
	replicas=2 repair-after=1 repair-rate=1M
expect_req q ok write:0:32M:4
had=$(value q servers.0.slabs)
[ "$had" -gt 8 ] || fail "server a has $had slabs only"
kill -STOP "${pid[a]}"
expect 30 state q 0 recovering
begun() { is q pages_copied -gt 0; }
expect 30 begun
expect_req q ok write:0:2M:5
kill -CONT "${pid[a]}"
expect 30 state q 0 up
expect 60 whole q
left=$(value q servers.0.slabs)
say "of $had slabs it has $left left, and $(value q pages_copied) pages were copied"
# a few were begun at a time, and the rest was never copied
[ "$left" -ge $((had / 2)) ] || fail "it was not taken back"
[ "$(value q pages_copied)" -lt $((had * 256 / 2)) ] || fail "too much was copied"
expect 30 same_slabs q
expect_req q "stamp 5" read:0:2M
expect_req q "stamp 4" read:2M:30M
expect_value q errors -eq 0
