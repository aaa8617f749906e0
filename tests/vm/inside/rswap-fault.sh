#!/bin/bash
# Servers go while the kernel swaps to them: three memory servers with two
# copies of every page, one is killed, comes back empty, and another is drained
# and leaves; the program whose memory it is notices nothing of it.
#
#	rswap-fault.sh TRANSPORT [KEYS [SIZE [LIMIT]]]
#
# KEYS are the plugin's (replicas=2).  Without copies (KEYS empty) no server is
# killed: what is left is a run over three servers.
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"

transport=${1:?rdma or tcp}
keys=${2-replicas=2}
size=${3:-150M}
limit=${4:-60M}
address=10.77.0.1
results=/run/pagecheck.results
server_pid=()
# The plugin waits so long for a server to come back as it was.
grace=
! "$memserver" --help | grep -e --grace >/dev/null || grace=--grace=5

control()
{
	echo "/run/memserver.$1.sock"
}

# start_server NUMBER: 0 to 2
start_server()
{
	rm -f "/run/memserver.$1.port"
	"$memserver" --transport="$transport" --slab-size=4M \
		--listen="$address:$((10909 + $1))" --memory=400M \
		--port-file="/run/memserver.$1.port" \
		--control="$(control "$1")" --psk-file="$psk_file" $grace &
	server_pid[$1]=$!
	await 20 test -s "/run/memserver.$1.port" ||
		die "server $1 does not start"
}

# By hand, as the keys are nbdkit's.
swap_on()
{
	# shellcheck disable=SC2086 # keys are words
	start_block "$transport" 320M "$address:10909" "$address:10910" \
		"$address:10911" $keys
	mkswap "$block_device" >/dev/null
	swapon --discard=pages "$block_device"
}

swap_off()
{
	swapoff "$block_device"
	stop_block
}

server_is()
{
	[ "$(status_value "servers.$1.state")" = "$2" ]
}

# All servers are there, and all pages as often as they should be.
whole()
{
	[ "$(status_value slabs_short)" = 0 ] &&
		[ "$(status_value pages_stale)" = 0 ] &&
		[ "$(status_value slabs_moving)" = 0 ]
}

swapped_out()
{
	[ $(($(vmstat_value pswpout) - out_before)) -gt "$1" ]
}

program_lives()
{
	kill -0 "$program_pid" 2>/dev/null ||
		die "the program has ended: $(tail -n 5 "$results")"
}

kill_server()
{
	say "killing server $1"
	kill -9 "${server_pid[$1]}"
	wait "${server_pid[$1]}" || true
	await 60 server_is "$1" down || die "its end is not noticed"
	await 120 whole || die "the copies are not made anew"
	program_lives
	say "starting it again"
	start_server "$1"
	await 60 server_is "$1" up || die "the new server is not taken up"
}

empty()
{
	[ "$(status_value slabs_used "$(control "$1")")" = 0 ]
}

drain_server()
{
	say "draining server $1"
	"$rswapctl" drain --control="$(control "$1")"
	await 180 empty "$1" || die "pages are still on the drained server"
	program_lives
	kill "${server_pid[$1]}"
	await 60 server_gone "$1" || die "the drained server does not leave"
	wait "${server_pid[$1]}" || die "it ended with status $?"
	unset "server_pid[$1]"
	say "it has left"
}

# A zombie is gone too.
server_gone()
{
	! grep -q '^State:[[:space:]]*[^Z]' "/proc/${server_pid[$1]}/status" \
		2>/dev/null
}

check_results()
{
	local carried
	[ "$(result_value mismatches "$results")" = 0 ] ||
		die "pages are wrong"
	[ "$(result_value pswpin "$results")" -gt 10000 ] ||
		die "only $(result_value pswpin "$results") pages came back"
	carried=$(status_value servers.0.transport)
	[ "$carried" = "$transport" ] || die "carried by $carried"
	[ "$(status_value errors)" = 0 ] ||
		die "$(status_value errors) requests failed"
	[ "$(status_value pages_lost_ever)" = 0 ] || die "pages were lost"
}

[ "$transport" = tcp ] || rxe_active || rxe_up
for i in 0 1 2; do
	start_server $i
done
swap_on
make_cgroup limited "$limit"
out_before=$(vmstat_value pswpout)
run_in_cgroup limited "$RSWAP_BUILD/tests/pagecheck" --size="$size" \
	--passes=0 --seconds=100 --progress >"$results" &
program_pid=$!
await 120 swapped_out 10000 || die "nothing is swapped out"
if [ -n "$keys" ]; then
	kill_server 1
	drain_server 2
fi
wait "$program_pid" || die "the program ended with status $?"
check_results
cat "$results"
swap_off
for i in "${!server_pid[@]}"; do
	kill "${server_pid[$i]}"
	wait "${server_pid[$i]}" || die "server $i ended with status $?"
done
kernel_log_clean
say "done: every page came back over $transport"
