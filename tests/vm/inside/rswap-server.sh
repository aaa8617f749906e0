#!/bin/bash
# The memory server's guest of a pair.
#
#	rswap-server.sh TRANSPORT MEMORY
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"

start_memserver "${1:?rdma or tcp}" 10.77.0.1 "${2:?the size of its memory}"
trap 'stop_memserver; exit' TERM
touch /share/server.ready
wait "$memserver_pid"
