#!/bin/bash
# A machine whose memory is less than nbdkit's static buffers: attach says why
# nbdkit gets SIGSEGV, doctor says it beforehand, and with the setting that they
# name it attaches.
#
#	tests/vm/guest --memory=160 -- tests/vm/inside/rswap-small.sh TRANSPORT
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"

transport=${1:?rdma or tcp}
address=10.77.0.1
said=/run/said

says()
{
	grep -q -e "$1" "$said" || die "no $1 in: $(cat "$said")"
}

[ "$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)" -lt 192 ] ||
	die "this machine has enough memory: $(grep MemTotal /proc/meminfo)"
start_memserver "$transport" "$address" 16M --slab-size=1M

say "nbdkit can't start"
"$rswapctl" doctor --role=compute --plugin="$plugin" >"$said" 2>&1 || true
says "^FAIL *memory for nbdkit.*193 MiB of static buffers.*memory and swap.*overcommit_memory=1"
! attach "$transport" 12M "$address" >"$said" 2>&1 || die "it is attached"
says "signal 11 (SIGSEGV): the kernel can't give it 193 MiB of static buffers"
says "sysctl vm.overcommit_memory=1"

say "and with vm.overcommit_memory=1 it can"
echo 1 >/proc/sys/vm/overcommit_memory
"$rswapctl" doctor --role=compute --plugin="$plugin" >"$said" 2>&1 || true
says "^ok *memory for nbdkit"
attach "$transport" 12M "$address"
grep -e VmLck -e VmRSS "/proc/$(plugin_pid)/status"
free -m
detach
stop_memserver
kernel_log_clean
say "done: a small machine is told what it lacks"
