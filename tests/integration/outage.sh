#!/bin/bash
# Without copies, an outage that is shorter than the server's grace time is a
# delay and no more, where timeout= fits that; where it does not, the plugin says
# so, and requests end before their pages are back.
. "$(dirname "$0")/functions.sh"

# as the defaults are to each other, but shorter
start_server s --memory=64M --slab-size=1M --grace=20
network net s
start_plugin fits "$(server net)" size=16M timeout=35 lanes=4
start_plugin short "$(server net)" size=16M timeout=1 lanes=4
expect_line "$dir/short.log" timeout=1 --grace=20 timeout=35
has "$dir/fits.log" "is too short" && fail "a warning of a timeout that fits"
expect_value fits timeout_ms -eq 35000
expect_value fits servers.0.grace_ms -eq 20000
for name in fits short; do
	expect_req "$name" ok write:0:4M:3
done

say "the network goes"
stop net KILL || true
req fits read:0:4M >"$dir/read" &
reader=$!
req fits write:8M:4M:4 >"$dir/write" &
writer=$!
# longer than the one whose timeout does not fit waits
expect_req short EIO read:0:4M
kill -0 "$reader" || fail "the read ended: $(cat "$dir/read")"
network net s
wait "$reader" "$writer" || fail "exit status $?"
[ "$(cat "$dir/read")" = "stamp 3" ] || fail "read: $(cat "$dir/read")"
[ "$(cat "$dir/write")" = ok ] || fail "write: $(cat "$dir/write")"
expect_req fits "stamp 4" read:8M:4M
expect_value fits errors -eq 0
expect_value fits pages_lost_ever -eq 0
expect_value fits servers.0.reconnects -eq 0

say "it is away for longer than the grace time: its pages are lost, and no request waits for its deadline"
start_server t --memory=64M --slab-size=1M --grace=1
start_plugin lost "$(server t)" size=16M timeout=600 lanes=4
expect_req lost ok write:0:4M:5
stop t KILL || true
expect_req lost EIO read:0:4M
expect_value lost pages_lost -eq 1024
# they say goodbye through it
stop fits
stop short
stop net KILL || true
