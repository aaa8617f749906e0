#!/bin/bash
# The network between plugin and server goes, control connections as well, and
# comes back; or either side is silent for longer than the other one waits.  The
# session is resumed with all that it has, requests wait and are repeated, and the
# client notices nothing.
. "$(dirname "$0")/functions.sh"

state() { # PLUGIN STATE: of its server
	[ "$(value "$1" servers.0.state)" = "$2" ]
}

server_knows() { # that its client is gone
	ask s | grep -q '^sessions\.0\.state disconnected$'
}

# Both sides agree on how many slabs there are, so none was forgotten.
same_slabs() {
	[ "$(value p servers.0.slabs)" = "$(value s sessions.0.slabs)" ]
}

nothing_lost() { # RECOVERIES
	expect 15 is p servers.0.recoveries -ge "$1"
	expect 15 state p up
	expect_value p errors -eq 0
	expect_value p pages_lost_ever -eq 0
	expect_value p servers.0.reconnects -eq 0
	expect_value s sessions -eq 1
	expect_req p "stamp 3" read:8M:8M
}

start_server s --memory=64M --slab-size=1M
network net s
start_plugin p "$(server net)" size=32M timeout=12 lanes=8
expect_req p ok write:8M:8M:3
start_shadow load p --size=8M --connections=2

# All connections are reset, and for a while no new one can be had.  Slabs are
# asked for and given back meanwhile.
for round in 1 2 3 4; do
	req p "write:16M:16M:$((round + 3))" "trim:16M:8M" >"$dir/req.$round" &
	requests=$!
	stop net KILL || true
	case $round in # how far it gets meanwhile
	1) ;;
	2) expect 5 state p recovering ;;
	3) expect 5 server_knows ;;
	4) expect 5 state p recovering && expect 5 server_knows ;;
	esac
	network net s
	wait "$requests" || fail "exit status $? of requests"
	[ "$(sort -u "$dir/req.$round")" = ok ] ||
		fail "round $round: $(cat "$dir/req.$round")"
	nothing_lost "$round"
	expect_req p "stamp $((round + 3))" read:24M:8M
	expect_req p zeros read:16M:8M
done
expect 5 at_least_lines "$dir/p.log" "session resumed" 4
expect 5 at_least_lines "$dir/s.log" "resumed by" 4
expect_req p ok trim:16M:16M
expect 10 same_slabs

# Silence of the network, and then of the server, for longer than calls on the
# control connection wait, and less than requests do.
for silent in net s; do
	recoveries=$(value p servers.0.recoveries)
	kill -STOP "${pid[$silent]}"
	expect 10 state p recovering
	kill -CONT "${pid[$silent]}"
	nothing_lost $((recoveries + 1))
done
finish_shadow load
expect 10 same_slabs

# A plugin that is to end does not wait for a silent server.
kill -STOP "${pid[s]}"
stop p || fail "exit status $?"
kill -CONT "${pid[s]}"
stop net KILL || true
stop s KILL || true
