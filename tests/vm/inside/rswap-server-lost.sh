#!/bin/bash
# The memory server is killed under load, over a real queue pair or socket:
# reads of its pages end with an I/O error within the deadline and never with
# zeros, nothing hangs, and a restarted server takes new pages.
#
#	rswap-server-lost.sh TRANSPORT
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"

transport=${1:?rdma or tcp}

fill()
{
	dd if=/dev/urandom of="$block_device" bs=1M count=64 oflag=direct status=none
}

# read_fails: every page that was written reads as an I/O error.
read_fails()
{
	! dd if="$block_device" of=/run/read bs=4096 count=1 skip="$1" iflag=direct \
		status=none 2>/run/dd.err &&
		grep -q 'Input/output error' /run/dd.err
}

kill_under_load()
{
	dd if="$block_device" of=/dev/null bs=64k iflag=direct status=none &
	local reader=$!
	kill -9 "$memserver_pid"
	wait "$memserver_pid" || true
	memserver_pid=
	timeout 20 tail --pid="$reader" -f /dev/null ||
		die "a reader hangs after the server was killed"
}

server_is()
{
	[ "$(status_value servers.0.state)" = "$1" ]
}

start_memserver "$transport" 10.77.0.1 512M --grace=1
start_block "$transport" 256M 10.77.0.1 timeout=5
fill
say "killing the server"
kill_under_load
await 15 server_is down || die "the server's end is not noticed"
for page in 0 777 16383; do
	read_fails $page || die "page $page does not read as an I/O error"
done
say "starting it again"
start_memserver "$transport" 10.77.0.1 512M
await 20 server_is up || die "the new incarnation is not taken up"
read_fails 777 || die "a lost page came back"
fill
dd if="$block_device" of=/run/read bs=1M count=64 iflag=direct status=none
[ "$(status_value pages_lost)" = 0 ] || die "pages are lost after rewriting"
[ "$(status_value servers.0.reconnects)" = 1 ] || die "reconnects not counted"
stop_block
stop_memserver
say "done"
