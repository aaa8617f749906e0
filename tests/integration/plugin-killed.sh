#!/bin/bash
# kill -9 of nbdkit: the server keeps its slabs for the grace time, as it might come
# back, then takes them back within seconds, and another plugin on the same server
# notices nothing.
. "$(dirname "$0")/functions.sh"

start_server s --memory=128M --slab-size=1M --grace=3
start_plugin other "$(server s)" size=8M lanes=4
start_shadow load other --connections=2

# kept SLABS: a session is disconnected, and it and its slabs are there.  All from one
# answer: a second answer may come after the grace time.
kept() {
	ask s | awk -v slabs="$1" '
		$1 ~ /^sessions\.[0-9]+\.state$/ && $2 == "disconnected" { gone = 1 }
		$1 == "sessions" && $2 == 2 { both = 1 }
		$1 == "slabs_used" && $2 >= slabs { held = 1 }
		END { exit !(gone && both && held) }'
}

for round in 1 2 3; do
	start_plugin p "$(server s)" size=64M
	expect_req p ok write:32M:32M:3
	# and requests in flight when it ends, all of them writes half done
	shadow p --seconds=50 --size=32M >/dev/null 2>&1 &
	expect_more 40 p writes $((500 / slow))
	expect_value s sessions -eq 2
	expect_value s slabs_used -ge 32
	rss=$(value s rss_bytes)
	given_up=$(lines_with "$dir/s.log" "given up")
	stop p KILL || true
	expect 5 kept 32
	[ "$(lines_with "$dir/s.log" "given up")" = "$given_up" ] ||
		fail "given up at once"
	expect 8 is s sessions -eq 1
	expect 5 is s slabs_used -le 9
	rm -f "$dir/p.sock" "$dir/p.ctl"
	wait $! || true
	[ "$sanitizer" ] || expect 5 is s rss_bytes -lt $((rss - (20 << 20)))
	say "round $round: slabs are back"
done
finish_shadow load
alive s || fail "the server is gone"
expect_value other errors -eq 0
expect_value other servers.0.reconnects -eq 0
expect_value other servers.0.recoveries -eq 0
expect_req other ok trim:0:8M
expect 5 is s slabs_used -eq 0
