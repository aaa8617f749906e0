#!/bin/bash
# A server that does not answer, but is there: requests wait for it, end with EIO
# at their deadline, and never with wrong data, then nor afterwards.
. "$(dirname "$0")/functions.sh"

# A request has come to the server that does not read it.
waits_for_server() {
	ss -Htn state established "sport = :${port[s]}" |
		awk '$1 > 0 { found = 1 } END { exit !found }'
}

start_server s --memory=64M --slab-size=1M
start_plugin p "$(server s)" size=32M timeout=3 lanes=4
expect_req p ok write:0:16M:3

# Shorter than the deadline: nothing but a delay.
kill -STOP "${pid[s]}"
req p read:0:16M >"$dir/delayed" &
delayed=$!
expect 2 waits_for_server
kill -CONT "${pid[s]}"
wait "$delayed" || fail "exit status $?"
[ "$(cat "$dir/delayed")" = "stamp 3" ] || fail "$(cat "$dir/delayed")"
expect_value p errors -eq 0

# Longer: EIO at the deadline, for all at once.
kill -STOP "${pid[s]}"
begin=$(date +%s%3N)
for i in 1 2 3 4 5 6; do
	req p "read:${i}M:4096" >"$dir/read.$i" &
	readers+=($!)
	req p "write:$((i + 8))M:4096:4" >"$dir/write.$i" &
	readers+=($!)
done
expect_req p zeros read:20M:1M # needs no server
wait "${readers[@]}"
took=$(($(date +%s%3N) - begin))
say "EIO after $took ms"
[ "$took" -ge 2500 ] || fail "before the deadline"
[ "$took" -le $((3000 + 3000 * slow)) ] || fail "long after the deadline"
grep -qvx EIO "$dir"/read.? "$dir"/write.? &&
	fail "something else than EIO: $(cat "$dir"/read.? "$dir"/write.?)"
errors=$(value p errors)
# one line of it, and not one for each
expect 10 has "$dir/p.log" "$(server s)"
[ "$(grep -c "$(server s).*\(no answer\|is lost\|rebuilding\)" "$dir/p.log")" -le 2 ] ||
	fail "a line for each request"

# Back again: what is read is right, or is an error.
kill -CONT "${pid[s]}"
expect_up() { [ "$(value p servers.0.state)" = up ]; }
expect 20 expect_up
written() { [ "$(req p write:20M:1M:5)" = ok ]; }
expect 10 written
expect_req p "stamp 5" read:20M:1M
result=$(req p scan:8M:8M)
say "afterwards: $result"
sed 's/stamp [34] x[0-9]*//; s/EIO x[0-9]*//; s/, //' <<<"$result" |
	grep -q . && fail "something else than what was written, or EIO"
expect_req p ok write:0:32M:6
expect_req p "stamp 6" read:0:32M
expect_value p pages_lost -eq 0
# and each request that failed was counted
[ "$errors" -ge 12 ] || fail "12 requests failed, $errors errors counted"

# A slab that is asked of a server which hangs goes to another one that is there,
# and what the first one may have granted all the same is given back.
start_server x --memory=64M --slab-size=1M
start_server y --memory=32M --slab-size=1M
start_plugin q "$(server x)" "$(server y)" size=16M timeout=9 lanes=4
kill -STOP "${pid[x]}"
expect_req q ok write:0:512K:7
kill -CONT "${pid[x]}"
expect_req q "stamp 7" read:0:512K
expect_value q servers.1.slabs -eq 1
empty() { is x slabs_used -eq 0 && is q servers.0.slabs -eq 0; }
expect 20 empty
expect_value q errors -eq 0
