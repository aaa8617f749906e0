#!/bin/bash
# Requests of up to 32 MiB, over many slabs on three servers.
. "$(dirname "$0")/functions.sh"

for s in a b c; do
	start_server "$s" --memory=48M --slab-size=1M
done
start_plugin p "$(server a)" "$(server b)" "$(server c)" size=96M lanes=4

expect_req p ok write:0:32M:3
expect_req p ok write:50331648:32M:4
expect_req p "stamp 3" read:0:32M
expect_req p "stamp 4" read:48M:32M
for s in a b c; do
	expect_value "$s" slabs_used -ge 16
done
# aligned to pages, and to nothing else
expect_req p ok write:20K:32M:5
expect_req p "stamp 5" read:20K:32M
expect_req p "stamp 3" read:0:20K
expect_req p "stamp 3 x5, stamp 5 x8187" read:0:32M
# data, holes, and what was never written in one
expect_req p ok trim:1M:3M
expect_req p "stamp 4 x4096, stamp 5 x5, zeros x4091" read:33554432:32M
expect_value p pages_present -eq $((8192 - 768 + 5 + 8192))
expect_value p errors -eq 0
expect_req p ok trim:0:32M
expect_req p ok trim:32M:32M
expect_req p ok trim:64M:32M

shadow p --seconds=4 --max=32M --connections=2 --depth=2
