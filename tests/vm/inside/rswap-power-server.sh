#!/bin/bash
# The memory server's guest for tests/vm/power.sh.
#
#	rswap-power-server.sh TRANSPORT
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"

exec 2>/share/server.log
start_memserver "${1:?rdma or tcp}" 10.77.0.1 1100M --grace=600
trap 'stop_memserver; exit' TERM
touch /share/server.ready
wait "$memserver_pid"
