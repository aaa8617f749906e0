#!/bin/bash
# A guest that gets on is left alone, however slow and silent it is; one that does
# not is killed, and that is told.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
said=$(mktemp)
trap 'rm -f "$said"' EXIT

fail()
{
	cat "$said"
	echo "stall.sh: FAILED: $*" >&2
	exit 1
}

guest()
{
	local status=0
	"$here/guest" --name=stall --memory=1024 --timeout=30 -- "$@" \
		>"$said" 2>&1 || status=$?
	[ "$status" = "$wanted" ] || fail "exit status $status, not $wanted: $*"
}

wanted=124
guest sleep infinity
grep -q "stall: killed: no progress for 30 seconds" "$said" ||
	fail "it is not told"

# Twice as long as that without a word.
wanted=0
guest bash -euc '
	. tests/vm/inside/lib.sh
	nbd_up
	nbdkit -f -U /run/nbd.sock memory 64M &
	await 20 test -S /run/nbd.sock
	nbd-client -unix /run/nbd.sock /dev/nbd0 >/dev/null 2>&1
	end=$((SECONDS + 60))
	while [ $SECONDS -lt $end ]; do
		dd if=/dev/nbd0 of=/dev/null bs=64k count=64 iflag=direct \
			status=none
		sleep 1
	done
	echo done'
grep -q "stall: done" "$said" || fail "it is not done"
