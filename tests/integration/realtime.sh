#!/bin/bash
# Every thread of nbdkit is a real-time one, also those that nbdkit makes for a
# client, and they leave half of the processors to everything else.
. "$(dirname "$0")/functions.sh"

start_server s --memory=64M
start_plugin p "$(server s)" size=32M
[ "$(value p safety.realtime)" = yes ] || skip "$(value p safety.realtime)"

# threads NAME FIELD: its values in /proc/PID/status, one for each kind
threads() {
	cat "/proc/${pid[$1]}/task"/*/status | sed -n "s/^$2:\t//p" | sort -u
}

# processors LIST: how many there are in a list as "0,2-3"
processors() {
	tr , '\n' <<<"$1" |
		awk -F- '{ n += $NF - $1 + 1 } END { print n }'
}

start_shadow load p --max=128K --connections=2 --depth=4
sleep 1
policies=$(for t in "/proc/${pid[p]}/task"/*; do
	chrt -p "${t##*/}" | sed -n 's/.*policy: //p'
done | sort -u)
allowed=$(threads p Cpus_allowed_list)
count=$(wc -l < <(ls "/proc/${pid[p]}/task"))
finish_shadow load
[ "$count" -gt 16 ] || fail "only $count threads"
[ "$policies" = SCHED_RR ] || fail "policies: $policies"
ours=$(processors "$(sed -n 's/^Cpus_allowed_list:\t//p' /proc/self/status)")
[ "$(processors "$allowed")" = $(((ours + 1) / 2)) ] ||
	fail "nbdkit is on processors $allowed, of $ours"
stop p

# Where it may use but one, it uses that.
nbdkit_command
nbdkit=(taskset -c 0 "${nbdkit[@]}")
nbdkit_command() { :; }
start_plugin p "$(server s)" size=32M
[ "$(threads p Cpus_allowed_list)" = 0 ] || fail "not on processor 0"
expect_req p ok write:0:1M:7
expect_req p "stamp 7" read:0:1M
