#!/bin/bash
# The memory server's guest of a pair: serves until it is told to end.
#
#	rswap-server.sh TRANSPORT [MEMORY [OPTIONS...]]
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"

transport=${1:?rdma or tcp}
memory=${2:-2G}
start_memserver "$transport" 10.77.0.1 "$memory" "${@:3}"
trap 'stop_memserver; exit' TERM
touch /share/server.ready
wait "$memserver_pid"
