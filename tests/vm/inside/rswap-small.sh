#!/bin/bash
# A machine whose memory is less than nbdkit's static buffers; the memory server is
# the other guest of a pair.  rswap-nbd attaches there and swaps, more than the
# machine has.  With nbdkit attach says why it gets SIGSEGV, doctor says it
# beforehand, and with the setting that they name it attaches.
#
#	RSWAP_FRONT=nbd tests/vm/pair --compute-memory=128 \
#		--server="tests/vm/inside/rswap-server.sh tcp 256M" \
#		--compute="tests/vm/inside/rswap-small.sh tcp"
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"

transport=${1:?rdma or tcp}
address=10.77.0.1
said=/run/said
results=/run/pagecheck.results

says()
{
	grep -q -e "$1" "$said" || die "no $1 in: $(cat "$said")"
}

doctor()
{
	"$rswapctl" doctor --role=compute "${front_options[@]}" >"$said" 2>&1 ||
		true
}

nbdkit_cannot_start()
{
	say "nbdkit can't start"
	doctor
	says "^FAIL *memory for nbdkit.*193 MiB of static buffers.*memory and swap.*overcommit_memory=1"
	! attach "$transport" 128M "$address" >"$said" 2>&1 ||
		die "it is attached"
	says "signal 11 (SIGSEGV): the kernel can't give it 193 MiB of static buffers"
	says "sysctl vm.overcommit_memory=1"

	say "and with vm.overcommit_memory=1 it can"
	echo 1 >/proc/sys/vm/overcommit_memory
	doctor
	says "^ok *memory for nbdkit"
}

swap()
{
	make_cgroup limited 8M
	run_in_cgroup limited "$RSWAP_BUILD/tests/pagecheck" --size=90M \
		--random=2000 >$results
	[ "$(result_value pswpout $results)" -gt 20000 ] ||
		die "only $(result_value pswpout $results) pages were swapped out"
	[ "$(result_value mismatches $results)" = 0 ] || die "pages are wrong"
}

[ "$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)" -lt 192 ] ||
	die "this machine has enough memory: $(grep MemTotal /proc/meminfo)"
[ "$front" != nbdkit ] || nbdkit_cannot_start
attach "$transport" 128M "$address"
swap
grep -e VmLck -e VmRSS "/proc/$(plugin_pid)/status"
free -m
detach
kernel_log_clean
say "done: a machine of $(awk '/^MemTotal/ { print int($2 / 1024) }' \
	/proc/meminfo) MiB swaps by $front_program"
