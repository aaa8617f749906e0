#!/bin/bash
# Clients of rswap-nbd that read no replies.  They leave slots and buffers for
# others, and where they came first and have all, they are closed.
. "$(dirname "$0")/functions.sh"
front=nbd

# unread NAME COUNT BYTES: a client that has replies which it does not read
unread() {
	rm -f "$dir/$1.log" # the child truncates it, perhaps after it is looked at
	perl "$here/unread.pl" "$dir/p.sock" "$2" "$3" >"$dir/$1.log" 2>&1 &
	pid[$1]=$!
	expect 20 has "$dir/$1.log" answered
}

drop() { # NAME
	stop "$1" KILL || true
}

start_server s --memory=64M --slab-size=1M
start_plugin p "$(server s)" size=32M lanes=8
expect_req p ok write:0:8M:5

say "a client is there before them"
unread idle 0 0
for bytes in 4096 131072 262144; do
	unread reads 1024 $bytes
	expect_req p "stamp 5" read:0:4K
	expect_req p "stamp 5" read:4K:128K
	expect_req p ok write:8M:128K:6
	! has "$dir/reads.log" closed || fail "closed, while no client waited"
	drop reads
done
drop idle

say "they came first"
for bytes in 4096 131072; do
	unread reads 1024 $bytes
	expect_req p "stamp 5" read:0:128K
	expect 20 has "$dir/reads.log" closed
	drop reads
done
expect_lines "$dir/p.log" "it has read no reply for 10 seconds" 2
expect_req p "stamp 6" read:8M:128K
expect_value p errors -eq 0
