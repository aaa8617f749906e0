#!/bin/bash
# RDMA packets are lost for a while, and TCP's are not: pages go by TCP meanwhile, and
# by RDMA again later.  A program swaps all the time, with every page checked, and no
# request fails.
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"

results=/run/pagecheck.results

goes_over()
{
	[ "$(status_value servers.0.transport)" = "$1" ] &&
		[ "$(status_value servers.0.state)" = up ]
}

moves_pages()
{
	local before
	before=$(vmstat_value pswpout)
	sleep 1
	[ "$(vmstat_value pswpout)" -gt "$before" ]
}

# RoCE v2 is UDP to port 4791.
lose_roce()
{
	load_modules sch_ingress cls_u32 act_gact
	tc qdisc add dev eth0 clsact
	tc filter add dev eth0 egress protocol ip u32 match ip protocol 17 0xff \
		match ip dport 4791 0xffff action drop
}

attach auto 512M 10.77.0.1
goes_over rdma || die "pages go over $(status_value servers.0.transport)"
make_cgroup limited 60M
start_in_cgroup limited "$RSWAP_BUILD/tests/pagecheck" --size=120M --passes=0 \
	--seconds=3000 >$results
await 60 moves_pages || die "nothing is swapped"

say "RDMA is lost"
lose_roce
await 90 goes_over tcp || die "pages do not go over TCP: $("$rswapctl" status)"
grep -q "connections rebuilt, over tcp instead of rdma" "$block_run/log" ||
	die "it does not say so"
await 60 moves_pages || die "nothing is swapped"

say "RDMA is back"
tc qdisc del dev eth0 clsact
await 300 goes_over rdma || die "pages do not go over RDMA again"
await 60 moves_pages || die "nothing is swapped"
kill "$program"
wait "$program" || die "the program ended with status $?"
[ "$(result_value mismatches $results)" = 0 ] || die "pages are wrong"
[ "$(status_value errors)" = 0 ] || die "requests failed"
[ "$(status_value servers.0.reconnects)" = 0 ] || die "the session was lost"
kernel_log_clean
detach
say "done: by RDMA, by TCP, and by RDMA again"
