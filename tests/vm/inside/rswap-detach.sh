#!/bin/bash
# Detaching while a program's memory is out there: refused, with the figures,
# where memory cannot hold what would come back, and nothing is lost by that;
# done where it can, with the program's every page checked after.  In the end
# --force, and a detach with nothing to bring back.
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

# start_program SIZE SECONDS: in the limited group; it checks all its pages at
# its end.
start_program()
{
	run_in_cgroup limited "$RSWAP_BUILD/tests/pagecheck" --size="$1" \
		--passes=0 --seconds="$2" >"$results" &
	program=$!
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
	wait "$program" || die "the program ended with status $?"
	[ "$(result_value mismatches "$results")" = 0 ] || die "pages are wrong"
	kernel_log_clean
}

# What fills memory, so that what is swapped out has no place in it.
ballast=/run/ballast
raise_ballast()
{
	local mib
	mib=$(awk '/^MemAvailable/ { print int($2 / 1024) - 100 }' /proc/meminfo)
	mkdir -p $ballast
	mount -t tmpfs -o size="$mib"m tmpfs $ballast
	head -c "${mib}M" /dev/zero >$ballast/file
}

drop_ballast()
{
	umount $ballast
}

start_memserver "$transport" "$address" 544M
attach "$transport" 512M "$address"
make_cgroup limited 60M

say "a detach that memory cannot hold is refused, and harms nobody"
start_program 260M 40
await 60 swapped_over 180
raise_ballast
if detach >"$said" 2>&1; then
	die "it was not refused"
fi
grep -q "holds .* MiB, and there are .* MiB for it .*or use --force" "$said" ||
	die "it says: $(cat "$said")"
swapped_over 100 || die "it brought pages back all the same"
drop_ballast

say "a detach that memory can hold brings all back"
echo max >/sys/fs/cgroup/limited/memory.max
detach | tee "$said"
grep -q "MiB to bring back" "$said" || die "it brought nothing back"
! grep -q "^$block_device" /proc/swaps || die "still a swap device"
check_program

say "attached again, with --force and nothing to bring back"
attach "$transport" 512M "$address"
detach --force
stop_memserver
kernel_log_clean
say "done: detached with and without pages over $transport"
