#!/bin/bash
# nbdkit -f asks the kernel for a SIGTERM when its parent ends, and a swap device
# must not go with the shell or the tool that attached it.
. "$(dirname "$0")/functions.sh"

start_server s --memory=64M
nbdkit_command

# A parent that starts nbdkit, waits until it serves, and ends.
parent() {
	"${nbdkit[@]}" -U "$dir/p.sock" "$plugin" "$(server s)" size=32M \
		control="$dir/p.ctl" >"$dir/p.log" 2>&1 &
	echo $! >"$dir/p.pid"
	wait_for 20 ask p >/dev/null
}
(parent)
# Not this shell's child: only "gone" and "kill" are of use on it.
process=$(cat "$dir/p.pid")
# A signal would have been sent when (parent) was over.
expect 10 no_signal "$process"
expect_req p ok write:0:1M:7
gone "$process" && fail "nbdkit ended with its parent"
ask p | grep asked_to_end && fail "nbdkit was asked to end"
expect_req p "stamp 7" read:0:1M
kill "$process"
expect 15 gone "$process"
