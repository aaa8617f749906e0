#!/bin/bash
# The memory server's guest for rswap-oom.sh: a server that is silent for a
# while, once its client has swapped out much and is out of memory.  Then the
# client has to connect anew.
#
#	rswap-oom-server.sh TRANSPORT
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"

# A client waits 10 seconds for pages, and then as long for the answer to FENCE.
# This is longer, and shorter than the grace time.
silence_s=30

swapped_out()
{
	[ "$(status_value slabs_used "$memserver_control")" -ge 100 ]
}

transport=${1:?rdma or tcp}
start_memserver "${transport/rdma/auto}" 10.77.0.1 2G
trap 'kill -CONT "$memserver_pid"; stop_memserver; exit' TERM
touch /share/server.ready
until swapped_out; do
	sleep 1
done
say "the server is silent for $silence_s seconds"
kill -STOP "$memserver_pid"
sleep "$silence_s"
kill -CONT "$memserver_pid"
say "the server answers again"
wait "$memserver_pid"
