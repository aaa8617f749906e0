#!/bin/bash
# A memory server on a machine that is short of memory itself: with --reclaim it
# sees the kernel's own figure for that (PSI) and asks for some of its memory
# back; the plugin moves pages to the other server while the kernel swaps; and
# when the pressure is over the server grants slabs again.
#
#	rswap-reclaim.sh TRANSPORT
#
# The guest has to be booted with psi=1.  The program that swaps makes the
# pressure.
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"

transport=${1:?rdma or tcp}
address=10.77.0.1
results=/run/pagecheck.results
pressed=/run/pressed.sock
server_pids=()

# start_server NAME PORT MEMORY [OPTIONS...]
start_server()
{
	local name=$1 port=$2 memory=$3
	shift 3
	"$memserver" --transport="$transport" --slab-size=4M \
		--listen="$address:$port" --memory="$memory" \
		--port-file="/run/$name.port" --control="/run/$name.sock" \
		--psk-file="$psk_file" "$@" &
	server_pids+=($!)
	await 20 test -s "/run/$name.port" || die "server $name does not start"
}

# pressed_is KEY OPERATOR VALUE
pressed_is()
{
	[ "$(status_value "$1" "$pressed")" "$2" "$3" ]
}

plugin_has()
{
	[ "$(status_value "$1")" "$2" "$3" ]
}

[ "$transport" = tcp ] || rxe_active || rxe_up
# The larger one is filled first.
start_server pressed 10909 400M --reclaim=2
start_server other 10910 200M
start_block "$transport" 160M "$address:10909" "$address:10910"
mkswap /dev/nbd0 >/dev/null
swapon --discard=pages /dev/nbd0
pressed_is state = serving || die "it reclaims before there is pressure"

make_cgroup limited 40M
run_in_cgroup limited "$RSWAP_BUILD/tests/pagecheck" --size=100M --passes=0 \
	--seconds=40 >"$results" &
program_pid=$!
await 60 pressed_is state = reclaiming || die "it does not see the pressure"
say "memory pressure: $(head -n 1 /proc/pressure/memory)"
held=$(status_value slabs_used "$pressed")
await 60 plugin_has pages_copied -gt 0 || die "no page is moved"
plugin_has servers.0.free_bytes -eq 0 || die "it would grant more"
await 60 pressed_is slabs_used -lt "$held" || die "no slab is given back"
say "of $held slabs it has $(status_value slabs_used "$pressed") left"

wait "$program_pid" || die "the program ended with status $?"
[ "$(result_value mismatches "$results")" = 0 ] || die "pages are wrong"
for key in errors pages_lost_ever; do
	[ "$(status_value "$key")" = 0 ] ||
		die "$key is $(status_value "$key")"
done
await 120 pressed_is state = serving || die "it reclaims for ever"
await 20 plugin_has servers.0.free_bytes -gt 0 || die "it grants no more"
swapoff /dev/nbd0
stop_block
for pid in "${server_pids[@]}"; do
	kill "$pid"
	wait "$pid" || die "a server ended with status $?"
done
kernel_log_clean
say "done: memory was given back under pressure, over $transport"
