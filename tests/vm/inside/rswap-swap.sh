#!/bin/bash
# Swap to rswap within one guest: a memory server, a front end, the
# kernel's nbd device, and a program whose memory exceeds its cgroup's limit
# several times, with every page checked.
#
#	rswap-swap.sh TRANSPORT [SIZE [LIMIT]]
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"

transport=${1:?rdma or tcp}
size=${2:-200M}
limit=${3:-70M}
address=10.77.0.1
results=/run/pagecheck.results

check_results()
{
	local out in carried
	out=$(result_value pswpout "$results")
	in=$(result_value pswpin "$results")
	[ "$out" -gt 40000 ] || die "only $out pages were swapped out"
	[ "$in" -gt 40000 ] || die "only $in pages were swapped in"
	carried=$(status_value servers.0.transport)
	[ "$carried" = "$transport" ] || die "carried by $carried"
	[ "$(status_value errors)" = 0 ] || die "$(status_value errors) requests failed"
}

# What was swapped is trimmed when the program ends, but for what the kernel
# keeps in its per-processor caches of swap slots.
check_trimmed()
{
	await 20 trimmed ||
		die "$(status_value pages_present) pages are still present"
}

trimmed()
{
	[ "$(status_value pages_present)" -lt 8192 ]
}

# The way that pages take: only a device has a port, a GID and an MTU.
check_ping()
{
	local said=/run/ping.said path="tcp"
	[ "$transport" = tcp ] ||
		path='rdma, rxe0 port 1, GID [0-9a-f:.]* \([0-9]*\), MTU [1-9][0-9]*'
	"$rswapctl" ping "$address" --psk-file="$psk_file" --count=10 --interval=0 \
		--transport="$transport" | tee $said
	grep -qE "^PING $address \($path\): pages of 4096 bytes" $said ||
		die "ping does not tell the way"
	grep -qF "10 pages asked for, 10 received, 0 % lost" $said ||
		die "ping lost pages"
}

start_memserver "$transport" "$address" 1100M
check_ping
attach "$transport" 1G "$address"
make_cgroup limited "$limit"
run_in_cgroup limited "$RSWAP_BUILD/tests/pagecheck" --size="$size" \
	--random=10000 --progress | tee "$results"
check_results
say "the memory server's own figures:"
"$rswapctl" status --server="$memserver_control"
check_trimmed
detach
stop_memserver
kernel_log_clean
say "done: every page came back over $transport"
