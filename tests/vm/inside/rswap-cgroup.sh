#!/bin/bash
# A memory server below a limited cgroup (tests/integration/cgroup-memory.sh) with
# cgroup v2, which not every machine has.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"

status=0
"$RSWAP_SRC/tests/integration/cgroup-memory.sh" || status=$?
[ "$status" != 77 ] || die "there is no memory controller in the guest"
[ "$status" = 0 ] || die "cgroup-memory.sh ended with status $status"
kernel_log_clean
say "done: the memory limit of a cgroup holds"
