#!/bin/bash
# A server that has room for part of the device: what it has no room for goes to a
# file, is read back from there, and moves to the server when that has room again.
# A server that is drained is emptied into the file.
. "$(dirname "$0")/functions.sh"
. "$here/metrics-functions.bash"

start_server a --memory=16M --slab-size=1M --grace=1
file=$dir/spill
start_plugin p "$(server a)" size=48M timeout=10 lanes=8 fallback="$file" \
	fallback-size=64M metrics=0 encrypt=off # so that a MiB is a slab

in_file() { # of the fallback's slabs
	is p servers.1.slabs "$@"
}
at_rest() {
	is p slabs_short -eq 0 && is p slabs_moving -eq 0
}

expect_value p servers.1.total_bytes -eq $((64 << 20))
# No request is longer than an NBD server has to take.
expect_req p ok write:0:20M:3
expect_req p ok write:20M:20M:3
expect_value p servers.0.slabs -eq 16
expect_value p servers.1.slabs -eq 24
expect_req p "stamp 3" read:0:20M
expect_req p "stamp 3" read:20M:20M

say "the metrics tell of the file what it has, and what went to it and came from it"
expect_line "$dir/p.log" "figures at http"
scrape p
of="server=\"fallback=$file\""
expect_metric p "rswap_server_info{$of,kind=\"fallback\",transport=\"file\"}" 1
expect_metric p "rswap_server_info{server=\"$(server a)\",kind=\"memserver\",transport=\"tcp\"}" 1
[ "$(grep -c '^rswap_server_info{' "$dir/p.prom")" = 2 ] || fail "more than two servers"
expect_metric p "rswap_server_state{$of,state=\"up\"}" 1
expect_metric p "rswap_server_slabs{$of}" 24
expect_metric p "rswap_server_size_bytes{$of}" $((64 << 20))
expect_metric p "rswap_server_free_bytes{$of}" $((40 << 20))
for op in read write; do
	expect_metric p "rswap_server_transfer_bytes_total{$of,op=\"$op\"}" $((24 << 20))
	expect_metric p "rswap_server_transfer_errors_total{$of,op=\"$op\"}" 0
	same p "rswap_server_transfer_duration_seconds_count{$of,op=\"$op\"}" \
		servers.1.${op}s
done

say "room comes free on the server"
expect_req p ok trim:0:8M
expect 40 in_file -lt 24
expect 40 at_rest
expect_req p zeros read:0:8M
expect_req p "stamp 3" read:8M:32M
[ "$(value p servers.0.slabs)" = 16 ] || fail "the server is not used"
scrape p
same p "rswap_server_slabs{$of}" servers.1.slabs
same p "rswap_server_free_bytes{$of}" servers.1.free_bytes

say "the server is drained, under load"
start_shadow load p --size=8M --connections=2
expect 10 is p writes -gt $((200 / slow))
"$build/ctl/rswapctl" drain --control="$dir/a.ctl" || fail "drain: $?"
drained() {
	is p servers.0.slabs -eq 0 && is a slabs_used -eq 0
}
expect 60 drained
expect_req p "stamp 3" read:8M:32M
finish_shadow load
expect_value p errors -eq 0
expect_value p pages_lost -eq 0

say "one of two servers is drained: its sealed copies go to the file, and stay there"
stop p
start_server b --memory=64M --slab-size=1M --grace=1
start_server c --memory=64M --slab-size=1M --grace=1
start_plugin p "$(server b)" "$(server c)" size=16M timeout=10 lanes=8 \
	replicas=2 fallback="$file"
expect_req p ok write:0:16M:5
"$build/ctl/rswapctl" drain --control="$dir/b.ctl" || fail "drain: $?"
emptied() {
	is p servers.0.slabs -eq 0 && is b slabs_used -eq 0 && at_rest
}
expect 60 emptied
copied=$(value p pages_copied)
# Two passes of the repairer over all slabs: it frees empty slabs.
for _ in 1 2; do
	expect_req p ok trim:0:1M
	expect 10 is p slabs_live -eq 16
	expect_req p ok write:0:1M:5
done
[ "$(value p pages_copied)" = "$copied" ] || fail "copied again and again"
[ "$copied" -lt 8192 ] || fail "copied $copied pages of 4096"
expect_value p servers.2.slabs -eq 17
expect_req p "stamp 5" read:0:16M

say "a second plugin is refused the file"
front_command
"${front_command[@]}" -U "$dir/q.sock" "$(server a)" size=1M \
	fallback="$file" >"$dir/q.log" 2>&1 && fail "it started"
expect_line "$dir/q.log" "$file"
