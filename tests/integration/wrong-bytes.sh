#!/bin/bash
# A byte that changes in a server's memory, with no other copy of the page: the
# page is lost, and nothing else is.  A server that is to end gets rid of its slabs
# all the same, and the log tells of it once.
. "$(dirname "$0")/functions.sh"

ctl=$build/ctl/rswapctl

# All pages go to s, as t is drained for the moment.
start_server s --memory=64M --slab-size=1M
start_server t --memory=64M --slab-size=1M
requires perl -e 'open my $mem, "+<", "/proc/$ARGV[0]/mem" or exit 1' "${pid[s]}"
start_plugin p "$(server s)" "$(server t)" size=16M encrypt=off # its bytes are looked for
"$ctl" drain --control="$dir/t.ctl" >"$dir/out"
expect 5 is p servers.1.free_bytes -eq 0
expect_req p ok write:0:4M:11
expect_value s slabs_used -eq 4
"$ctl" drain --control="$dir/t.ctl" --undo >"$dir/out"
expect 5 is p servers.1.free_bytes -gt 0

# Read, and however often: an error, and never wrong bytes.
spoil s 11 3
for _ in 1 2 3; do
	expect_req p EIO read:12K:4K
done
expect_value p pages_lost -eq 1
expect_value p wrong_lost -eq 1
expect_value p servers.0.wrong_chunks -eq 1
expect_req p "stamp 11" read:0:12K
expect_req p "stamp 11" read:16K:1M
expect 5 has "$dir/p.log" "1 pages are right nowhere"
expect_req p ok write:12K:4K:11
expect_value p pages_lost -eq 0

# Drained, and these pages have not been read: the server leaves.
for page in 8 9 300 600 1023; do
	spoil s 11 "$page"
done
kill -TERM "${pid[s]}"
expect 20 gone "${pid[s]}"
wait "${pid[s]}" || fail "exit status $?"
unset "pid[s]"
expect_value p pages_lost -eq 5
expect_value p wrong_lost -eq 6
expect_value p slabs_moving -eq 0
expect_value t slabs_used -eq 4
expect_req p "stamp 11" read:0:32K
expect_req p EIO read:32K:4K
expect_req p EIO read:36K:4K
expect_req p "stamp 11" read:40K:1160K
expect_req p EIO read:4092K:4K
expect_req p ok write:0:4M:19
expect_req p "stamp 19" read:0:4M
expect_value p pages_lost -eq 0

# Each is told once, those that come soon after together.
expect 15 has "$dir/p.log" "6 pages are right nowhere any more and lost, 5 of them new"
[ "$(lines_with "$dir/p.log" "wrong bytes")" -le 3 ] || fail "it is told again"
[ "$(wc -l <"$dir/p.log")" -lt 30 ] || fail "it says too much"
