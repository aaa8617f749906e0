#!/bin/bash
# A whole guest runs out of memory: a program whose working set is nearly
# twice the guest's memory, for a while, with every page checked, and its swap
# in the memory of the other guest of a pair.  Meanwhile the server is silent for
# a while (rswap-oom-server.sh), so the plugin connects anew, by TLS, while this
# machine is out of memory.  nbdkit's own nbd plugin hangs the guest for good here.
#
#	rswap-oom.sh TRANSPORT [SIZE [SECONDS]]
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"

transport=${1:?rdma or tcp}
size=${2:-800M}
seconds=${3:-90}
results=/run/pagecheck.results

# faults FIELD: of all threads of the front end; 10 minor, 12 major (proc(5), stat).
faults()
{
	local stat sum=0
	for stat in /proc/"$(plugin_pid)"/task/*/stat; do
		sum=$((sum + $(awk -v field="$1" '{ print $field }' "$stat")))
	done
	echo "$sum"
}

# Everything was touched and locked before.
check_faults()
{
	local minor=$(($(faults 10) - minor_before))
	local major=$(($(faults 12) - major_before))
	say "page faults of $front_program's threads while it swapped:" \
		"$minor minor, $major major"
	[ "$major" = 0 ] && [ "$minor" = 0 ] ||
		die "$front_program faulted while it swapped"
}

# What RDMA connects through needs memory of the kernel's.  With transport=auto pages
# go by TCP until that works again.
attach "${transport/rdma/auto}" 1600M 10.77.0.1
[ "$(status_value servers.0.transport)" = "$transport" ] ||
	die "pages go over $(status_value servers.0.transport)"
say "swapping: $(free -m | awk '/^Mem/ { print $2 }') MB of memory, $size used"
{
	"$RSWAP_BUILD/tests/pagecheck" --size="$size" --passes=0 \
		--seconds="$seconds" --progress | tee "$results"
} &
swapped_out()
{
	[ "$(vmstat_value pswpout)" -gt 20000 ]
}
await 300 swapped_out || die "nothing is swapped out"
minor_before=$(faults 10)
major_before=$(faults 12)
wait $! || die "the program ended with status $?"
check_faults
[ "$(result_value mismatches "$results")" = 0 ] || die "pages are wrong"
"$rswapctl" status
grep -q "session resumed" "$block_run/log" ||
	die "the plugin did not connect anew"
[ "$(status_value servers.0.reconnects)" = 0 ] || die "the session was lost"
[ "$(status_value errors)" = 0 ] || die "requests failed"
say "pages go over $(status_value servers.0.transport) now"
kernel_log_clean
detach
kernel_log_clean
say "done: every page came back over $transport"
