#!/bin/bash
# An etcd that wants a password is restarted empty, and gets its users again: it knows none
# of the tokens that it gave before, and answers nothing to those whose index it has not
# reached.  A memory server and a device log in anew.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

ctl=$build/ctl/rswapctl
(umask 077 && echo rswap:secret >"$dir/login")

add_users() {
	local words
	for words in "role add rswap" "role grant-permission rswap --prefix=true readwrite /rswap/" \
		"user add rswap:secret" "user grant-role rswap rswap" \
		"user add root:secret" "user grant-role root root" "auth enable"; do
		# shellcheck disable=SC2086
		etcd_do e $words >/dev/null || fail "etcdctl $words"
	done
}
is_listed() {
	"$ctl" pool status "$pool" --pool-login="$dir/login" >"$dir/said" 2>&1 &&
		has "$dir/said" "$(server a)"
}
state_is() { # NAME STATE
	[ "$(value "$1" pool.state)" = "$2" ]
}
restart_empty() {
	stop e KILL || true
	expect 30 state_is a away
	rm -rf "$dir/e.etcd"
	start_etcds e
	add_users
}
both_are_back() {
	expect 60 is_listed
	expect 60 state_is a registered
	expect 60 state_is p current
	expect_req p ok check:0:4M:6
}

start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
add_users
# Its index gets ahead of what a new one has.
for _ in {1..30}; do
	ETCDCTL_API=3 etcdctl --endpoints="127.0.0.1:${port[e]}" --user=root:secret put /far 1 >/dev/null
done
start_server a --memory=32M --slab-size=1M --pool="$pool" --pool-login="$dir/login"
expect 20 is_listed
start_plugin p pool="$pool" pool-login="$dir/login" size=16M lanes=4 timeout=60
expect_req p ok write:0:4M:6

say "an index that it has not reached"
restart_empty
both_are_back

say "an index that it has passed"
restart_empty
for _ in {1..60}; do
	ETCDCTL_API=3 etcdctl --endpoints="127.0.0.1:${port[e]}" --user=root:secret put /far 1 >/dev/null
done
both_are_back
stop e KILL || true
