#!/bin/bash
# The lanes' connections break, again and again, with requests half done, while
# the control connection lives: the lanes are fenced and rebuilt, the requests
# repeated, and the client notices nothing.  What was under way on the old lanes
# arrives late; it must not be written any more.
. "$(dirname "$0")/functions.sh"

start_server s --memory=64M --slab-size=1M
network proxy s
start_plugin p "$(server proxy)" size=16M timeout=10

# few pages, so that each is written again while an old write is on its way
start_shadow load p --size=2M --connections=4 --depth=8 --max=64K \
	--no-trims
expect_more 10 p writes $((500 / slow))
for i in 1 2 3 4 5; do
	kill -USR1 "${pid[proxy]}"
	expect 5 is p servers.0.recoveries -ge "$i"
	expect_more 20 p writes $((200 / slow))
done
finish_shadow load
recoveries=$(value p servers.0.recoveries)
say "$recoveries recoveries, $(value p retries) requests repeated"
[ "$recoveries" -ge 5 ] || fail "$recoveries recoveries"
expect_value p retries -gt 0
expect_value p errors -eq 0
expect_value p pages_lost_ever -eq 0
expect_value p servers.0.reconnects -eq 0
expect_value s sessions -eq 1
expect_value s lanes -eq "$(tcp_connections 16)"
expect_lines "$dir/p.log" "connections rebuilt" "$recoveries"
stop p
stop proxy KILL || true
