#!/bin/bash
# A session that cannot be resumed: its server has given it up, or does not come
# back, or was restarted.  Only then is what it held lost, and each time a new
# session is opened.
. "$(dirname "$0")/functions.sh"

state() { # PLUGIN STATE: of its server
	[ "$(value "$1" servers.0.state)" = "$2" ]
}

# The server has given the session up when the plugin comes back.
start_server t --memory=64M --slab-size=1M --grace=1
network tnet t
start_plugin q "$(server tnet)" size=16M timeout=2
expect_req q ok write:0:4M:3
stop tnet KILL || true
expect 10 is t sessions -eq 0
expect_line "$dir/t.log" "disconnected" "5 slabs"
expect_line "$dir/t.log" "given up" "5 slabs back"
state q recovering || fail "it is $(value q servers.0.state)"
expect_value q pages_lost -eq 0
network tnet t
expect 10 is q servers.0.reconnects -eq 1
expect_line "$dir/q.log" "is lost" "no such session" "1024 pages in 5 slabs"
expect_line "$dir/t.log" "no such session" "has ended; without a connection"
expect_value q pages_lost -eq 1024
expect_req q EIO read:0:4M
expect_req q ok write:0:4M:4
expect_req q "stamp 4" read:0:4M

# Nobody comes back in time.
stop tnet KILL || true
expect 15 state q down
expect_value q pages_lost -eq 1024
expect_lines "$dir/q.log" "is lost" 2
network tnet t
expect 10 state q up
expect_req q ok write:0:4M:5

# One that was restarted knows nothing: no need to wait.
stop t KILL || true
start_server t --memory=64M --slab-size=1M --grace=600
expect 15 is q servers.0.reconnects -eq 3
expect_line "$dir/q.log" "is lost" "the server was restarted"
expect_req q EIO read:0:4M
stop q
stop tnet KILL || true
