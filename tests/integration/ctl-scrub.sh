#!/bin/bash
# rswapctl scrub: what is wrong in one copy is found though no request reads it, and
# is written anew; what is wrong in the only copy is lost, and told.
. "$(dirname "$0")/functions.sh"

ctl=$build/ctl/rswapctl
start_server s --memory=64M --slab-size=1M
start_server t --memory=64M --slab-size=1M
requires perl -e 'open my $mem, "+<", "/proc/$ARGV[0]/mem" or exit 1' "${pid[s]}"

# scrub PLUGIN OPTION...: its exit status; what it says goes to $dir/said
scrub() {
	local status=0
	"$ctl" scrub "$dir/$1.ctl" "${@:2}" >"$dir/said" 2>&1 || status=$?
	echo "$status"
}

say "two copies"
start_plugin p "$(server s)" "$(server t)" size=16M replicas=2 encrypt=off
expect_req p ok write:0:8M:11
expect_value p scrub.state = never
[ "$(scrub p --wait)" = 0 ] || fail "$(cat "$dir/said")"
expect_line "$dir/said" "scrub     done" "2048 of 2048 pages" "0 wrong, 0 lost, 0 unread"
spoil s 11 3
spoil s 11 700
spoil t 11 701
[ "$(scrub p --wait)" = 2 ] || fail "$(cat "$dir/said")"
expect_line "$dir/said" "2048 of 2048 pages" "3 wrong, 0 lost, 0 unread"
"$ctl" events "$dir/p.ctl" >"$dir/events"
expect_line "$dir/events" "scrub done" "2048 pages: 3 wrong, 0 of them lost"
expect 10 is p pages_stale -eq 0
expect_value p servers.0.wrong_chunks -eq 2
expect_value p servers.1.wrong_chunks -eq 1
expect_value p pages_lost -eq 0
[ "$(scrub p --wait)" = 0 ] || fail "$(cat "$dir/said")"
expect_req p "stamp 11" read:0:8M
"$ctl" status "$dir/p.ctl" >"$dir/status" || true
expect_line "$dir/status" "scrub     done" "0 wrong"
expect_line "$dir/p.log" "scrub done" "3 were wrong on some server"

say "it is slow, and is stopped"
[ "$(scrub p --rate=1M)" = 0 ] || fail "$(cat "$dir/said")"
expect_line "$dir/said" "the scrub has begun"
expect 10 is p scrub.done_pages -gt 0
expect_value p scrub.state = running
"$ctl" status "$dir/p.ctl" >"$dir/status" || true
expect_line "$dir/status" "scrub     running" "left; 0 wrong"
[ "$(scrub p --stop)" = 0 ] || fail "$(cat "$dir/said")"
is_stopped() { [ "$(value p scrub.state)" = stopped ]; }
expect 10 is_stopped
[ "$(value p scrub.done_pages)" -lt 2048 ] || fail "it read everything"

say "a server that is away"
kill -STOP "${pid[t]}"
is_away() { [ "$(value p servers.1.state)" = recovering ]; }
expect 20 is_away
[ "$(scrub p --wait)" = 1 ] || fail "$(cat "$dir/said")"
expect_line "$dir/said" "scrub     done" "0 wrong, 0 lost" "unread"
expect_value p scrub.unread_pages -gt 0
kill -CONT "${pid[t]}"

say "one copy"
start_plugin one "$(server s)" size=16M encrypt=off
expect_req one ok write:0:4M:19
spoil s 19 9
[ "$(scrub one --wait)" = 2 ] || fail "$(cat "$dir/said")"
expect_line "$dir/said" "1024 of 1024 pages" "1 wrong, 1 lost, 0 unread"
expect_req one EIO read:36K:4K
expect_req one "stamp 19" read:40K:1M

say "what cannot be scrubbed"
start_plugin bare "$(server s)" size=16M encrypt=off checksum=off
[ "$(scrub bare)" = 1 ] || fail "$(cat "$dir/said")"
expect_one_line "$dir/said" "checksum=off: there is nothing to check pages by"
[ "$(scrub s)" = 1 ] || fail "$(cat "$dir/said")"
[ "$(scrub p --rate=9)" = 1 ] || fail "$(cat "$dir/said")"
expect_one_line "$dir/said" "--rate" 9 "1M to 1024T"
[ "$(scrub p --stop --wait)" = 1 ] || fail "$(cat "$dir/said")"
expect_one_line "$dir/said" "--stop and --wait"
