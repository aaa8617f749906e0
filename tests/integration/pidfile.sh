#!/bin/bash
# --pidfile and --port-file are one running server's: a second one with the same
# file refuses to start and leaves it alone, and what a killed server left is
# replaced.
. "$(dirname "$0")/functions.sh"

pidfile=$dir/pid

# refuses OPTION: one line that names it and the process that has it
refuses() {
	local status=0
	timeout $((20 * slow)) "$memserver" --memory=64M --listen=127.0.0.1:0 \
		--transport=tcp "$1" >"$dir/out" 2>"$dir/err" || status=$?
	[ "$status" = 1 ] || fail "$1: exit status $status"
	expect_one_line "$dir/err" "$1" "$2" "in use by a running memory server"
}

start_server a --memory=64M --transport=tcp --pidfile="$pidfile"
[ "$(cat "$pidfile")" = "${pid[a]}" ] || fail "not the process id"
refuses "--pidfile=$pidfile" "${pid[a]}"
refuses "--port-file=$dir/a.port" "${port[a]}"
[ "$(cat "$pidfile")" = "${pid[a]}" ] || fail "the second server took it"
[ "$(cat "$dir/a.port")" = "${port[a]}" ] || fail "the second server took it"
alive a || fail "the first server is gone"

stop a KILL || true
[ -e "$pidfile" ] || fail "nobody could remove it"
start_server a --memory=64M --transport=tcp --pidfile="$pidfile"
[ "$(cat "$pidfile")" = "${pid[a]}" ] || fail "the old one stays"
stop a || fail "exit status $? after SIGTERM"
[ ! -e "$pidfile" ] || fail "it stays"
[ ! -e "$dir/a.port" ] || fail "the port file stays"
