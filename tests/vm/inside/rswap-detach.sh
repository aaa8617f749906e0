#!/bin/bash
# Detaching while a program's memory is out there: refused, with the figures,
# where memory cannot hold what would come back, and stopped where memory runs out
# meanwhile, and nothing is lost by either; done where it can, with the program's
# every page checked after.  In the end --force, and a detach with nothing to bring
# back.
#
#	rswap-detach.sh TRANSPORT
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"

transport=${1:?rdma or tcp}
address=10.77.0.1
results=/run/pagecheck.results
said=/run/detach.said

# In the limited group; SIGTERM ends its touches, and then it checks all its pages.
start_program()
{
	start_in_cgroup limited "$RSWAP_BUILD/tests/pagecheck" --size=260M \
		--passes=0 --seconds=3000 >"$results"
}

swapped_mib()
{
	awk -v d="$block_device" '$1 == d { print int($4 / 1024) }' /proc/swaps
}

swapped_over()
{
	[ "$(swapped_mib)" -gt "$1" ]
}

check_program()
{
	kill "$program"
	wait "$program" || die "the program ended with status $?"
	[ "$(result_value mismatches "$results")" = 0 ] || die "pages are wrong"
	kernel_log_clean
}

start_memserver "$transport" "$address" 544M
attach "$transport" 512M "$address"
make_cgroup limited 60M

say "a detach that memory cannot hold is refused, and harms nobody"
start_program
await 60 swapped_over 180
raise_ballast 100
if detach >"$said" 2>&1; then
	die "it was not refused"
fi
grep -q "holds .* MiB, and there are .* MiB for it .*or use --force" "$said" ||
	die "it says: $(cat "$said")"
swapped_over 100 || die "it brought pages back all the same"
drop_ballast

say "a detach under which memory runs out is stopped, and swap stays on"
swapped_over 100 || die "only $(swapped_mib) MiB are swapped out"
echo max >/sys/fs/cgroup/limited/memory.max
# Detach leaves a 32nd of the memory to the machine.  The memory server is on this
# machine too, and what comes back is free there, so all of its place is taken.
raise_ballast $(($(swapped_mib) + 96 + 60))
detach >"$said" 2>&1 &
detaching=$!
await 60 grep -q "MiB to bring back" "$said" || die "it says: $(cat "$said")"
head -c $(($(swapped_mib) + 80))M /dev/zero >$ballast/more
! wait "$detaching" || die "it was not stopped: $(cat "$said")"
grep -q "swapoff is stopped and swap stays on" "$said" ||
	die "it says: $(cat "$said")"
swapped_over 0 || die "it brought all back all the same"
drop_ballast

say "a detach that memory can hold brings all back"
detach | tee "$said"
grep -q "MiB to bring back" "$said" || die "it brought nothing back"
grep -qE "are back \([0-9]+ %\), .* left" "$said" || die "no progress"
! grep -q "^$block_device" /proc/swaps || die "still a swap device"
check_program

say "attached again, with --force and nothing to bring back"
attach "$transport" 512M "$address"
detach --force
stop_memserver
kernel_log_clean
say "done: detached with and without pages over $transport"
