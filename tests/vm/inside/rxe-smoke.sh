#!/bin/bash
# Both sides of a pair that talks RDMA over soft-RoCE without any rswap: the
# raw figures to compare with, and proof that the link works.
#
#	tests/vm/pair --server='tests/vm/inside/rxe-smoke.sh server' \
#		--compute='tests/vm/inside/rxe-smoke.sh compute'
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

server=10.77.0.1

# rping serves one client after another, the perftest programs end after one.
serve()
{
	rping -s -P -a "$server" -S 4096 &
	touch /share/server.ready
	ib_read_lat -d rxe0 -R -s 4096 -n 1000 >/dev/null
	ib_write_lat -d rxe0 -R -s 4096 -n 1000 >/dev/null
	wait
}

# Try again: the other side starts its next program when the last has ended.
latency()
{
	await 30 timeout 20 "$1" -d rxe0 -R -s 4096 -n 1000 "$server" \
		>"/run/$1" 2>&1 || {
		cat "/run/$1"
		die "$1 fails"
	}
	awk -v name="$1" '$1 == 4096 { print name "_typical_us=" $5 }' "/run/$1"
}

# rping exits with 0 when it fails; it prints a line for each ping of 10.
ping_rdma()
{
	local pings
	pings=$(timeout 20 rping -c -a "$server" -C 10 -S 4096 -V -v |
		grep -c 'ping data: rdma-ping')
	[ "$pings" = 10 ] || die "rping: $pings of 10"
}

measure()
{
	busybox ping -q -c 3 "$server" || die "no ping"
	ping_rdma
	latency ib_read_lat
	latency ib_write_lat
	kernel_log_clean
	say "RDMA works between the guests"
}

ulimit -l unlimited
rxe_up
case ${1:-} in
server) serve ;;
compute) measure ;;
*) die "server or compute?" ;;
esac
