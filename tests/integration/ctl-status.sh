#!/bin/bash
# What rswapctl status and check tell of a plugin, and their exit status: while
# all is well, while a server hangs, is gone and has taken pages with it, is back,
# and when the plugin itself is gone.
. "$(dirname "$0")/functions.sh"

ctl=$build/ctl/rswapctl
export RSWAP_RUN_DIR=$dir/run

# told COMMAND STATUS [WORD...]: that exit status; a line of its output has the
# words.  Exactly what was said is in $dir/said.
told() {
	local command=$1 wanted=$2 status=0
	shift 2
	"$ctl" "$command" "$dir/p.ctl" >"$dir/said" 2>&1 || status=$?
	[ "$status" = "$wanted" ] ||
		fail "$command: exit status $status, not $wanted: $(cat "$dir/said")"
	[ $# = 0 ] || expect_line "$dir/said" "$@"
}

# the same, as a condition
tells() { # COMMAND STATUS PATTERN
	local status=0
	"$ctl" "$1" "$dir/p.ctl" >"$dir/said" 2>&1 || status=$?
	[ "$status" = "$2" ] && grep -q -e "$3" "$dir/said"
}

options=(--memory=64M --slab-size=1M)
start_server a --grace=1 --zone="rack-7" "${options[@]}"
start_server b --grace=1 "${options[@]}"
start_plugin p "$(server a)" "$(server b)" size=48M timeout=30 lanes=4
expect_req p ok write:0:40M:3

# A machine that refuses one of the settings makes it degraded from the start.
settings=0
for setting in io_flusher realtime locked oom; do
	[ "$(value p safety.$setting.holds)" = yes ] || settings=$((settings + 1))
done
well=$((settings > 0))

# well_but WORD...: check says this, and which settings are refused
well_but() {
	[ "$(wc -l <"$dir/said")" = $((settings + $#)) ] ||
		fail "check: $(cat "$dir/said")"
	[ "$(grep -c "is refused: " "$dir/said")" = "$settings" ] ||
		fail "check: $(cat "$dir/said")"
	local word
	for word; do
		expect_line "$dir/said" "$dir/p.ctl: $word"
	done
}

told status 0 "$(server a)" up "s ago"
expect_line "$dir/said" "$(server b)" up "s ago"
told check "$well"
well_but

say "the same as JSON"
"$ctl" status --json "$dir/p.ctl" "$dir/a.ctl" >"$dir/json" || fail "not well"
perl "$src/tests/flatten.pl" <"$dir/json" >"$dir/said"
expect_line "$dir/said" "targets 2"
expect_line "$dir/said" "targets.0.socket $dir/p.ctl"
expect_line "$dir/said" "targets.0.status.servers.1.address $(server b)"
expect_line "$dir/said" "targets.0.troubles 0"
expect_line "$dir/said" "targets.1.status.role memserver"
wanted=$(value p servers.0.write_bytes)
[ "$wanted" -gt 0 ] || fail "nothing was written"
expect_line "$dir/said" "targets.0.status.servers.0.write_bytes $wanted"
status=0
"$ctl" status --json "$dir/none.ctl" >"$dir/json" 2>/dev/null || status=$?
[ "$status" = 3 ] || fail "exit status $status"
expect_line "$dir/json" '"error":'

say "requests and their times"
req p scan:0:4M >/dev/null
expect_value p servers.0.read_latency.count -gt 0
told status 0 "$(server a)" us
expect_line "$dir/said" "latency   reads p50" us "p99" "of the last"

say "it looks again"
"$ctl" status --watch --json "$dir/p.ctl" >"$dir/watched" &
watching=$!
expect 20 at_least_lines "$dir/watched" '"role":"plugin"' 2
kill "$watching"
wait "$watching" || true

say "a server hangs"
kill -STOP "${pid[b]}"
expect 15 tells status 4 "$(server b) *silent"
expect_line "$dir/said" "$(server a)" up
told check 1 "server $(server b): it is silent: it last answered"
well_but "server $(server b): it is silent"
expect_line "$dir/said" "[server-silent]  -> see whether"
kill -CONT "${pid[b]}"
expect 10 tells status 0 "$(server b) *up"
told check "$well"
well_but

say "a server dies, with pages"
stop b KILL || true
expect 10 tells status 4 "$(server b) *down"
told check 2 "pages are lost"
well_but "$(value p pages_lost) pages are lost" \
	"server $(server b): it is down"

say "reads fail: told until check has looked"
req p scan:0:40M >/dev/null 2>&1 || true
expect_value p read_errors -gt 0
failed=$(value p read_errors)
for _ in 1 2; do # which leaves the failures to the next check
	status=0
	"$ctl" check --peek --json "$dir/p.ctl" >"$dir/json" || status=$?
	[ "$status" = 2 ] || fail "exit status $status"
	perl "$src/tests/flatten.pl" <"$dir/json" >"$dir/said"
	expect_line "$dir/said" "health bad"
	expect_line "$dir/said" "targets.0 $dir/p.ctl"
	expect_line "$dir/said" "findings.0.code pages-lost"
	expect_line "$dir/said" ".code server-not-up"
	expect_line "$dir/said" ".code reads-failed"
	expect_line "$dir/said" "findings.0.action start the programs"
done
told status 4 "failures: $failed reads and 0 writes have failed since check"
told check 2 "$dir/p.ctl: $failed reads have failed since check last looked, at 2" \
	"the last one" "s ago" SIGBUS
told check 2
! has "$dir/said" "have failed" || fail "told again: $(cat "$dir/said")"
told status 4 "errors    $failed ($failed reads, 0 writes)"
! has "$dir/said" "failures:" || fail "told again: $(cat "$dir/said")"

expect_req p ok trim:0:48M
told status 4 "0 lost"
told check 1
well_but "server $(server b): it is down"
start_server b --grace=1 "${options[@]}"
expect 15 tells status 0 "$(server b) *up"
told check "$well"
well_but

say "another client takes the memory, and writes fail"
start_server c --memory=9M --slab-size=1M
start_plugin other "$(server c)" size=8M timeout=30 lanes=4
start_plugin full "$(server c)" size=8M timeout=30 lanes=4
expect_req other ok write:0:8M:3
expect_req full ENOSPC write:0:1M:3
expect 10 is full servers.0.free_bytes -eq 0
status=0
"$ctl" check "$dir/full.ctl" >"$dir/said" || status=$?
[ "$status" = 1 ] || fail "check: exit status $status: $(cat "$dir/said")"
expect_line "$dir/said" "1 writes have failed since the plugin started" \
	"stay in memory"
expect_line "$dir/said" "no server has memory left, and 9 of 9 slabs"
"$ctl" check "$dir/full.ctl" >"$dir/said" || true
! has "$dir/said" "have failed" || fail "told again: $(cat "$dir/said")"
stop other
stop full
stop c

say "a plugin that is started anew has no failures, though its name has"
start_server c --memory=16M --slab-size=1M
start_plugin full "$(server c)" size=8M timeout=30 lanes=4
expect_req full ok write:0:1M:3
status=0
"$ctl" check "$dir/full.ctl" >"$dir/said" || status=$?
[ "$status" = "$well" ] || fail "check: exit status $status: $(cat "$dir/said")"

say "a server that is away is not called full"
stop c KILL || true
away() {
	[ "$(value full servers.0.state)" != up ]
}
expect 10 away
"$ctl" check "$dir/full.ctl" >"$dir/said" || true
expect_line "$dir/said" "server $(server c): it is"
! has "$dir/said" "memory left" || fail "check: $(cat "$dir/said")"
stop full

say "by its name, and nothing swaps to its device"
mkdir -p "$RSWAP_RUN_DIR/x"
ln -s "$dir/p.ctl" "$RSWAP_RUN_DIR/x/control.sock"
echo "device /dev/nbd999" >"$RSWAP_RUN_DIR/x/state"
"$ctl" check x >"$dir/said" || true # the failures, which it has not seen yet
expect_line "$dir/said" "x: $failed reads have failed since the plugin started"
status=0
"$ctl" check x >"$dir/said" || status=$?
[ "$status" = 1 ] || fail "check x: exit status $status"
expect_line "$dir/said" "x: /dev/nbd999 is not connected" "nothing swaps to it"

say "a memory server alone"
"$ctl" check "$dir/a.ctl" || fail "the server is not well"
"$ctl" status "$dir/a.ctl" >/dev/null || fail "the server is not well"

say "the plugin is gone"
stop p
told status 3 "$dir/p.ctl does not answer"
told check 2 "$dir/p.ctl: not running"
rm -r "$RSWAP_RUN_DIR/x"
if [ ! -e /run/rswap-memserver/control.sock ]; then
	status=0
	"$ctl" check >"$dir/said" || status=$?
	[ "$status" = 2 ] || fail "check of nothing: exit status $status"
	expect_one_line "$dir/said" "nothing is running"
	status=0
	"$ctl" status 2>"$dir/said" || status=$?
	[ "$status" = 2 ] || fail "status of nothing: exit status $status"
fi

say "a copy is missing, and is there again"
start_plugin p "$(server a)" "$(server b)" size=16M timeout=30 lanes=4 \
	replicas=2
expect_req p ok write:0:8M:4
told check "$well"
stop b KILL || true
expect 10 tells status 4 "$(server b) *down"
expect 10 tells check 1 "9 slabs lack a copy"
expect_line "$dir/said" "no server has room for 9 slabs"
tells status 4 "9 slabs short" || fail "$(cat "$dir/said")"
expect_line "$dir/said" "degraded: 9 slabs lack a copy" "still to be copied"
# 2048 pages have one copy, and nothing can be copied
expect_value p repair.left_pages -eq 2048
expect_line "$dir/said" "copying: 0 B of 8 MiB (0 %)" "nothing moves now"
start_server b --grace=1 "${options[@]}"
expect 20 tells status 0 "copies *2, sealed by [a-z0-9-]*; 0 slabs short"
! has "$dir/said" degraded || fail "still degraded: $(cat "$dir/said")"
told check "$well"
well_but

# server_tells SERVER COMMAND STATUS: of the memory server
server_tells() {
	local status=0
	"$ctl" "$2" "$dir/$1.ctl" >"$dir/said" 2>&1 || status=$?
	[ "$status" = "$3" ] ||
		fail "$2 of $1: exit status $status: $(cat "$dir/said")"
}

say "a server is to be emptied, and nobody has room for a second copy"
told status 0 "$(server a)" "rack-7"
server_tells a status 0
expect_line "$dir/said" "state" "serving, zone rack-7"
expect_line "$dir/said" "127.0.0.1:" "connected"
"$ctl" drain --control="$dir/b.ctl" >/dev/null
server_tells b status 0
expect_line "$dir/said" "state" "draining, zone -"
server_tells b check 1
expect_one_line "$dir/said" "$dir/b.ctl: it is draining"
expect 10 tells check 1 "server $(server b): it asks for all its slabs back"
well_but "server $(server b): it asks for all its slabs back, and 9 slabs" \
	"no server has room for 9 slabs"
tells status 0 "$(server b) .* all .* -$" || fail "$(cat "$dir/said")"
"$ctl" drain --control="$dir/b.ctl" --undo >/dev/null
server_tells b check 0
expect 10 tells check "$well" ""
expect 10 tells status 0 "$(server b) .* 9  *0 "
told check "$well"
well_but
