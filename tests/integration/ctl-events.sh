#!/bin/bash
# What rswapctl events tells of a plugin and of a memory server, in order: a server
# that goes and comes back, repair, a drain, lost pages.
. "$(dirname "$0")/functions.sh"

ctl=$build/ctl/rswapctl

# kinds NAME: the events that it has kept, one a line, without those of others than
# server SUBJECT where one is given
kinds() {
	"$ctl" events "$dir/$1.ctl" --json | perl "$src/tests/flatten.pl" |
		sed -n 's/^targets\.0\.events\.[0-9]*\.event //p'
}

# has_kinds NAME KIND...: they are there in this order, others between them
has_kinds() {
	local name=$1 wanted
	wanted=$(printf '.*%s ' "${@:2}")
	[[ "$(kinds "$name" | tr '\n' ' ')" =~ $wanted ]]
}

start_server a --memory=64M --slab-size=1M --grace=1
start_server b --memory=64M --slab-size=1M --grace=1
start_plugin p "$(server a)" "$(server b)" size=16M timeout=30 lanes=4 replicas=2
expect_req p ok write:0:8M:4
expect 5 has_kinds p server_up started
! has_kinds p repair_begun || fail "nothing had to be repaired: $(kinds p)"

say "a server goes and comes back"
stop b KILL || true
expect 20 has_kinds p server_recovering server_lost repair_begun no_room
start_server b --memory=64M --slab-size=1M --grace=1
expect 20 has_kinds p server_lost server_up repair_done
"$ctl" events "$dir/p.ctl" >"$dir/said"
expect_line "$dir/said" "$(server b)" "server lost" "slabs are gone"
expect_line "$dir/said" "repair done" "pages were copied"
[[ "$(head -n 1 "$dir/said")" =~ ^20[0-9-]*\ [0-9:]{8} ]] ||
	fail "no time: $(head -n 1 "$dir/said")"

say "a server is drained, and that is taken back"
"$ctl" drain --control="$dir/a.ctl" >/dev/null
expect 10 has_kinds a started session_opened drain
expect 10 has_kinds p slabs_asked_back
"$ctl" drain --control="$dir/a.ctl" --undo >/dev/null
expect 10 has_kinds a drain serving
expect 10 has_kinds p slabs_asked_back slabs_kept
stop p
expect 10 has_kinds a session_ended

say "a client that comes and goes has few events"
for _ in 1 2 3; do
	start_plugin p "$(server a)" size=16M lanes=4
	stop p
done
expect 10 has_kinds a session_ended
"$ctl" events --json "$dir/a.ctl" >"$dir/said"
found=$(grep -o '"event": *"session_opened"' "$dir/said" | wc -l)
[ "$found" = 1 ] || fail "session_opened $found times: $(<"$dir/said")"

say "pages are lost"
start_plugin one "$(server a)" size=16M timeout=30 lanes=4
expect_req one ok write:0:4M:3
stop a KILL || true
expect 20 has_kinds one server_lost
expect 20 has_kinds one pages_lost
"$ctl" events "$dir/one.ctl" >"$dir/said"
expect_line "$dir/said" "pages lost" "1024 pages were lost"

say "nobody is there"
status=0
"$ctl" events "$dir/none.ctl" --json >"$dir/said" 2>"$dir/err" || status=$?
[ "$status" = 3 ] || fail "exit status $status"
expect_one_line "$dir/err" "$dir/none.ctl does not answer"
expect_line "$dir/said" '"error"'
