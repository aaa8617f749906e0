#!/bin/bash
# Garbage, lies and theft on the server's port, while another session is in use.
. "$(dirname "$0")/functions.sh"

start_server s --memory=64M --slab-size=1M --grace=1
start_plugin p "$(server s)" size=24M lanes=4
start_shadow load p --connections=2
expect 5 is s slabs_used -gt 4

perl "$here/hostile.pl" "${port[s]}" "$dir/s.log" 64 || fail "hostile.pl"

finish_shadow load
alive s || fail "the server is gone"
expect_value p errors -eq 0
expect_value p servers.0.reconnects -eq 0
expect_value p servers.0.recoveries -eq 0
expect_value s errors -gt 40
# all that was taken has been given back
expect 5 is s sessions -eq 1
expect_req p ok trim:0:24M
expect 5 is s slabs_used -eq 0
