#!/bin/bash
# Swap to nbdkit's own memory plugin, in the same guest.  No rswap in it: it
# proves the harness, and is the floor of the nbd path to compare with.
#
#	tests/vm/guest tests/vm/inside/swap-nbdkit-memory.sh [SIZE [LIMIT]]
set -euo pipefail

. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

size=${1:-300M}
limit=${2:-100M}
socket=/run/nbdkit.sock
results=/run/pagecheck.results

start_nbdkit()
{
	nbdkit -f --swap -U "$socket" memory 2G &
	nbdkit_pid=$!
	echo -1000 >"/proc/$nbdkit_pid/oom_score_adj"
	await 20 test -S "$socket" || die "nbdkit does not start"
}

swap_on()
{
	nbd-client -unix "$socket" /dev/nbd0 -block-size 4096 -C 2 \
		>/dev/null
	mkswap /dev/nbd0 >/dev/null
	swapon --discard=pages /dev/nbd0
}

tear_down()
{
	swapoff /dev/nbd0
	nbd-client -d /dev/nbd0 >/dev/null
	kill "$nbdkit_pid"
	wait "$nbdkit_pid" || true
}

check_results()
{
	local out
	out=$(result_value pswpout "$results")
	[ "$out" -gt 50000 ] || die "only $out pages were swapped out"
	kernel_log_clean
}

say "starting nbdkit"
nbd_up
start_nbdkit
swap_on
say "swapping"
make_cgroup limited "$limit"
run_in_cgroup limited "$RSWAP_BUILD/tests/pagecheck" --size="$size" \
	--random=20000 --progress | tee "$results"
tear_down
check_results
say "done"
