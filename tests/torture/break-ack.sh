#!/bin/bash
# A plugin that acknowledges a write before all copies have it (built with
# RSWAP_BREAK_ACK) loses pages with a server: the torture tool has to see it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
src=${RSWAP_SRC:-$here/../..}
build=${RSWAP_BUILD:-$src/build}

grep -rq RSWAP_BREAK_ACK "$src/plugin" || {
	echo "break-ack.sh: skipped: the plugin has no RSWAP_BREAK_ACK"
	exit 77
}
out=$(mktemp)
trap 'rm -f "$out"' EXIT
cmake -S "$src" -B "$build/break-ack" -DBUILD_TESTING=OFF \
	-DCMAKE_C_FLAGS=-DRSWAP_BREAK_ACK >"$out" 2>&1 &&
	cmake --build "$build/break-ack" --target nbdkit-rswap-plugin \
		>>"$out" 2>&1 || {
	cat "$out"
	exit 1
}
status=0
# A seal or a checksum would find what is old, and the other copy: off with both.
# Faults last longer than a server is given to answer.
"$here/run" --plugin="$build/break-ack/plugin/nbdkit-rswap-plugin.so" \
	--servers=3 --config="replicas=2 encrypt=off checksum=off" \
	--faults=stop,blackhole,reset,flap,kill --seconds=25 --hold=5 \
	--pause=1 >"$out" 2>&1 || status=$?
[ "$status" != 77 ] || {
	cat "$out"
	exit 77
}
grep -q 'VIOLATION' "$out" || {
	cat "$out"
	echo "break-ack.sh: FAILED: nothing was noticed"
	exit 1
}
grep -m 3 VIOLATION "$out"
