#!/bin/bash
# How long a machine takes to power off: one of 512 MB whose tmpfs is full of
# pages that are swapped out, beside one without swap.  swapoff would need more
# memory than there is.  So swap stays on, nothing waits, no read fails, and the
# memory server is told at the end.
#
#	tests/vm/power.sh TRANSPORT [OPTION...]
#
# OPTIONs are those of pair and guest.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=host-lib.sh
. "$here/host-lib.sh"

transport=${1:?rdma or tcp}
shift
name=power-${RSWAP_FRONT:-nbd}
logs=$cache/logs/$name

# Before, it took three unit timeouts of 60 seconds and systemd's of 90.  A busy
# machine takes its time too, with swap and without.
limit_s=60

# ms_off LOGS: from the command to the guest's end.
ms_off()
{
	local down ended
	down=$(stat -c %.3Y "$1/down")
	ended=$(stat -c %.3Y "$1/ended")
	echo $((${ended/./} - ${down/./}))
}

fail()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

"$here/pair" "$@" --name="$name" --systemd \
	--server="tests/vm/inside/rswap-power-server.sh $transport" \
	--compute="tests/vm/inside/rswap-power.sh $transport"
"$here/guest" "$@" --name="$name-none" --memory=512 --systemd -- \
	"$here/inside/rswap-power.sh" none
without=$(ms_off "$cache/logs/$name-none")
with=$(ms_off "$logs/compute")
echo "power-off: $without ms without rswap, $with ms with it"
[ "$with" -lt $((without + limit_s * 1000)) ] || fail "that is too long"

[ "$(cat "$logs/compute/late")" = ended ] ||
	fail "the service that ends late was killed"
bad='I/O error|oom-kill|Out of memory|error on swap|blocked for more'
! grep -E "$bad" "$logs/compute/console.log" || fail "the console is not clean"
grep -q "client said BYE" "$logs/share/server.log" ||
	fail "the memory server was not told"
