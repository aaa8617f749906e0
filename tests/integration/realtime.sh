#!/bin/bash
# Every thread of nbdkit is a real-time one, also those that nbdkit makes for a
# client; all but the one that writes the log.  With many requests in flight they
# leave half of the processors to everything else; with one at a time they run
# anywhere.  They have the same priority: one that spins for a lock would keep the
# processor from a lower one that has it.
. "$(dirname "$0")/functions.sh"

requires fio --enghelp=nbd

start_server s --memory=64M
start_plugin p "$(server s)" size=32M
[ "$(value p safety.realtime.holds)" = yes ] || skip "$(value p safety.realtime.error)"

# threads NAME: on which processors each of its threads may run
threads() {
	cat "/proc/${pid[$1]}/task"/*/status |
		sed -n "s/^Cpus_allowed_list:\t//p"
}

# processors LIST: how many there are in a list as "0,2-3"
processors() {
	tr , '\n' <<<"$1" |
		awk -F- '{ n += $NF - $1 + 1 } END { print n }'
}

ours=$(processors "$(sed -n 's/^Cpus_allowed_list:\t//p' /proc/self/status)")

start_shadow load p --max=128K --connections=2 --depth=8
expect_more 20 p writes 500
policies=$(for t in "/proc/${pid[p]}/task"/*; do
	[ "$(cat "$t/comm")" = rswap-log ] ||
		chrt -p "${t##*/}" | sed -n 's/.*policy: //p'
done | sort -u)
allowed=$(threads p)
finish_shadow load
[ "$(wc -l <<<"$allowed")" -gt 16 ] ||
	fail "only $(wc -l <<<"$allowed") threads"
[ "$policies" = SCHED_RR ] || fail "policies: $policies"
serving=0
for list in $allowed; do
	[ "$(processors "$list")" != $(((ours + 1) / 2)) ] ||
		serving=$((serving + 1))
done
[ "$serving" -ge 8 ] || fail "$serving threads on half of $ours: $allowed"

fio --name=writes --ioengine=nbd --uri="$(uri p)" --rw=randwrite --bs=4k \
	--size=16M --iodepth=16 --time_based --runtime=60 >"$dir/writes" 2>&1 &
expect_more 20 p writes 20000
priorities=$(for t in "/proc/${pid[p]}/task"/*; do
	chrt -p "${t##*/}" | sed -n 's/.*priority: \([1-9].*\)/\1/p'
done | sort -u)
[ "$priorities" = 10 ] || fail "priorities: $priorities"
kill $!
wait $! || :
expect_value p errors -eq 0

# Long enough to be looked at.
readarray -t reads < <(yes read:0:4K | head -n 60000)
"$programs/req" "$(uri p)" write:0:4K:7 "${reads[@]}" >/dev/null &
expect_more 20 p reads 10
anywhere() {
	[ "$(processors "$(threads p | sort -u)")" = "$ours" ]
}
expect 10 anywhere
kill $! || fail "all was read before it was looked at"
wait $! || :
stop p

# Where it may use but one, it uses that.
nbdkit_command
nbdkit=(taskset -c 0 "${nbdkit[@]}")
nbdkit_command() { :; }
start_plugin p "$(server s)" size=32M
[ "$(threads p | sort -u)" = 0 ] || fail "not on processor 0"
expect_req p ok write:0:1M:7
expect_req p "stamp 7" read:0:1M
