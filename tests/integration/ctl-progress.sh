#!/bin/bash
# rswapctl status tells how far a drain, and the copying that it causes, have come, and
# how long the rest takes; and with --watch it looks again, also on a terminal.
. "$(dirname "$0")/functions.sh"

ctl=$build/ctl/rswapctl
export RSWAP_RUN_DIR=$dir/run

# says NAME PATTERN: a line of its status matches
says() {
	"$ctl" status "$dir/$1.ctl" >"$dir/said" 2>&1 || true
	grep -qE -e "$2" "$dir/said"
}

start_server a --memory=64M --slab-size=1M
start_server b --memory=64M --slab-size=1M
start_plugin p "$(server a)" "$(server b)" size=32M repair-rate=1M timeout=60 lanes=4
expect_req p ok write:0:32M:3
! says p "copying" || fail "it copies already: $(cat "$dir/said")"
! says a "draining" || fail "it drains already: $(cat "$dir/said")"

say "a drain: of the server's slabs, and of the device's pages"
"$ctl" drain --control="$dir/a.ctl" >/dev/null
age='[0-9]+ (s|min)( [0-9]+ s)?'
expect 30 says p "^  copying: [0-9.]+ (B|KiB|MiB) of [0-9.]+ MiB \([0-9]+ %\) in $age, [0-9.]+ (KiB|MiB) a second, $age left$"
expect 30 says a "^  draining: [1-9][0-9]* of [0-9]+ slabs have gone \([0-9]+ %\) in $age, $age left$"

say "on a terminal each look takes the place of the one before"
"$ctl" status --json --watch "$dir/a.ctl" >"$dir/looks" 2>/dev/null &
pid[watch]=$!
expect 20 at_least_lines "$dir/looks" '"role"' 2
stop watch || true
SHELL=/bin/sh script -qec "timeout -s INT 5 '$ctl' status --watch '$dir/a.ctl'" "$dir/typed" >/dev/null </dev/null || true
looks=$(grep -c "memory server: $dir/a.ctl" "$dir/typed") || true
[ "$looks" -ge 2 ] || fail "$looks looks in 5 seconds: $(cat -v "$dir/typed")"
grep -q $'\e\[' "$dir/typed" || fail "no look takes the place of another: $(cat -v "$dir/typed")"

say "when all is done"
"$ctl" drain --control="$dir/a.ctl" --undo >/dev/null
! says a "draining" || fail "it drains still: $(cat "$dir/said")"
