#!/bin/bash
# Once warm, requests take no page fault in any thread of the front end, minor or
# major; nor does connecting anew, which may have to be done without memory.
. "$(dirname "$0")/functions.sh"

[ -z "$sanitizer" ] || skip "a sanitizer's memory is not locked"
(umask 077 && echo "node:$(printf '%032x' 1 2)" >"$dir/keys")
start_server s --memory=1700M --slab-size=4M --psk-file="$dir/keys"
# The tables of a large device take what was populated before.
start_plugin p "$(server s)" size=1600M psk-file="$dir/keys" timeout=6
[ "$(value p safety.locked.holds)" = yes ] || skip "$(value p safety.locked.error)"

# One line for each thread: id, minor faults, major faults.
faults() {
	cat "/proc/${pid[p]}/task"/*/stat |
		perl -ne '/^(\d+) \((.*)\) (.*)/ or next; my @f = split " ", $3;
			print "$1 ($2) $f[7] $f[9]\n"' | sort
}

start_shadow load p --max=128K --connections=2 --depth=8
expect_more 20 p writes 3000
faults >"$dir/warm"
writes=$(value p writes)
expect_more 20 p writes 3000
faults >"$dir/later"
more=$(($(value p writes) - writes))
finish_shadow load
threads=30
[ "$front" = nbdkit ] || threads=4
[ "$(wc -l <"$dir/warm")" -gt "$threads" ] || fail "where are the threads?"
[ "$more" -gt 1000 ] || fail "only $more writes"
# the thread that answers on the control socket is no part of it
diff "$dir/warm" "$dir/later" || fail "page faults during $more writes"
say "$more writes and as many reads, and no page fault in" \
	"$(wc -l <"$dir/warm") threads"

say "a server that is silent"
silences() { # TIMES: and comes back so often
	local n=$1 before
	while [ $((n--)) -gt 0 ]; do
		before=$(value p servers.0.recoveries)
		kill -STOP "${pid[s]}"
		# a ping comes every 3 seconds, and has 2
		sleep 6
		kill -CONT "${pid[s]}"
		expect 20 is p servers.0.recoveries -gt "$before"
	done
}
faults >"$dir/before"
silences 3
faults >"$dir/after"
diff "$dir/before" "$dir/after" || fail "page faults while it connects"
