#!/bin/bash
# rswapctl doctor: what it looks at goes by what the machine is to do, a missing
# thing is told of once, and the exit status is about what was asked for.
. "$(dirname "$0")/functions.sh"

ctl=$build/ctl/rswapctl
export RSWAP_PLUGIN=$plugin
PATH=$build/plugin:$PATH

doctor() { # ARGUMENT...: its exit status; what it said is in $dir/said
	local status=0
	"$ctl" doctor "$@" >"$dir/said" 2>&1 || status=$?
	return "$status"
}

# exits_by_failures STATUS: 1 where something failed
exits_by_failures() {
	local failed=0
	! grep -q ^FAIL "$dir/said" || failed=1
	[ "$1" = "$failed" ] || fail "exit status $1 with: $(cat "$dir/said")"
}

says_nothing_of() {
	local word
	for word; do
		! has "$dir/said" "$word" || fail "$word: $(cat "$dir/said")"
	done
}

status=0
doctor --role=server || status=$?
exits_by_failures "$status"
expect_line "$dir/said" "locked memory"
expect_line "$dir/said" "module ib_uverbs"
expect_line "$dir/said" "this machine can" "serve memory"
says_nothing_of nbd IO_FLUSHER real-time min_free "front end" mkswap "swap through"

# without nbd, without modules: one line of it
status=0
doctor --role=compute || status=$?
exits_by_failures "$status"
[ "$(grep -c '^[a-zA-Z]* *\(nbd\|ublk\) devices ' "$dir/said")" = 1 ] ||
	fail "nbd: $(grep nbd "$dir/said")"
for word in IO_FLUSHER "real-time priority" "front end" mkswap \
	"locked memory" "swap through rswap"; do
	expect_line "$dir/said" "$word"
done
says_nothing_of "serve memory"
compute=$status

status=0
doctor --role=both || status=$?
exits_by_failures "$status"
expect_line "$dir/said" "this machine can" "serve memory"
expect_line "$dir/said" "this machine can" "swap through rswap"

# Nobody says what it is to do: fit for one of both is enough.
status=0
doctor || status=$?
if grep -q '^this machine can [a-z]' "$dir/said"; then
	[ "$status" = 0 ] || fail "exit status $status: $(cat "$dir/said")"
else
	[ "$status" = 1 ] || fail "exit status $status: $(cat "$dir/said")"
fi

# With a server it is to swap.
start_server s --memory=64M --slab-size=1M
status=0
doctor "$(server s)" || status=$?
[ "$status" = "$compute" ] || fail "exit status $status"
expect_line "$dir/said" ok "$(server s)" "64M of 64M free" tcp
says_nothing_of "serve memory"
if doctor 127.0.0.1:1; then
	fail "a server that isn't there is no failure"
fi
expect_line "$dir/said" FAIL 127.0.0.1:1 refused

# What is no memory server of this version.
for how in version garbage silent hangup error; do
	perl "$src/tests/integration/fake-server.pl" $how >"$dir/$how.port" &
	fake=$!
	expect 10 test -s "$dir/$how.port"
	if doctor "127.0.0.1:$(cat "$dir/$how.port")"; then
		fail "$how: no failure"
	fi
	kill "$fake"
	wait "$fake" || true
	expect_line "$dir/said" FAIL "127.0.0.1:$(cat "$dir/$how.port")" "->"
	say "$how: $(grep "^FAIL.*$(cat "$dir/$how.port")" "$dir/said")"
done
