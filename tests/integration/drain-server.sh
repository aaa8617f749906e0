#!/bin/bash
# A memory server that is to be emptied: by rswapctl drain, and by SIGTERM.  It
# asks its clients, hands nothing out any more, loses nothing, and leaves when
# nothing is left.
. "$(dirname "$0")/functions.sh"

ctl=$build/ctl/rswapctl

drain() { # SERVER [OPTION]
	"$ctl" drain --control="$dir/$1.ctl" "${@:2}"
}

state() { # SERVER STATE
	[ "$(value "$1" state)" = "$2" ]
}

# Nothing here: at once.
start_server s --memory=64M --slab-size=1M
drain s >"$dir/out"
expect_one_line "$dir/out" "draining, with 0 slabs of 0 sessions"
drain s --undo >"$dir/out"
expect_one_line "$dir/out" "serving, with 0 slabs of 0 sessions"
stop s || fail "exit status $?"
has "$dir/s.log" "leaving when" && fail "it waited for nothing"

# With a client's pages in it: they stay, and new ones are refused.
start_server s --memory=64M --slab-size=1M --zone="rack-7"
start_plugin p "$(server s)" size=32M timeout=5
[ "$(value p servers.0.zone)" = "rack-7" ] || fail "no zone"
expect_req p ok write:0:8M:3
drain s >"$dir/out"
expect_one_line "$dir/out" "draining, with 9 slabs of 1 sessions (0 disconnected)"
expect_line "$dir/s.log" "draining" "9 slabs"
state s draining || fail "it is $(value s state)"
[ "$(value s sessions.0.release_slabs)" = all ] || fail "it does not ask"
asks_for_all() { [ "$(value p servers.0.release_slabs)" = all ]; }
expect 5 asks_for_all
expect_line "$dir/p.log" "asks for all its slabs back" "the server is draining"
expect 5 is p servers.0.free_bytes -eq 0
expect_req p "stamp 3" read:0:8M
expect_req p ok write:0:8M:4
[ "$(req p write:16M:4096:5)" != ok ] || fail "it grants a slab"
expect_value p pages_lost -eq 0
# what starts now has no room
front_command
timeout $((20 * slow)) "${front_command[@]}" -U "$dir/q.sock" "$(server s)" \
	size=8M >"$dir/out" 2>"$dir/err" && fail "a plugin starts"
expect_one_line "$dir/err" "size=8M" "grant now"

drain s --undo >"$dir/out"
expect_one_line "$dir/out" "serving, with 9 slabs"
expect 5 is p servers.0.release_slabs -eq 0
expect 5 is p servers.0.free_bytes -gt 0
expect_req p ok write:16M:1M:5
expect_req p "stamp 5" read:16M:1M

# SIGTERM: it waits, serves meanwhile, and tells how to force it.
kill -TERM "${pid[s]}"
expect 5 state s leaving
expect_line "$dir/s.log" "10 slabs of 1 sessions" "second SIGTERM"
drain s --undo >"$dir/out" 2>"$dir/err" && fail "SIGTERM was undone"
expect_one_line "$dir/err" "$dir/s.ctl" "told to end"
expect_req p "stamp 4" read:0:8M
expect_req p ok trim:0:7M
expect 10 is s slabs_used -eq 3
alive s || fail "it left with slabs in use"
expect_req p "stamp 4" read:7M:1M
# the last three go: so does it
expect_req p ok trim:0:32M
expect 10 gone "${pid[s]}"
wait "${pid[s]}" || fail "exit status $?"
unset "pid[s]"
expect_value p pages_lost_ever -eq 0
stop p

# A second SIGTERM ends it at once.
start_server s --memory=64M --slab-size=1M
start_plugin p "$(server s)" size=32M timeout=5
expect_req p ok write:0:8M:3
kill -TERM "${pid[s]}"
expect 5 state s leaving
stop s || fail "exit status $?"
expect_line "$dir/s.log" "ended (the server is stopping), gives 9 slabs back"
