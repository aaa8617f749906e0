#!/bin/bash
# attach takes a size that is an expression of the machine's memory.
. "$(dirname "$0")/harness.sh"

start_server a --memory=64M --slab-size=1M

# size_of EXPRESSION: of the device that is attached with it, in bytes
size_of() {
	attach far --name=far --size="$1" || fail "attach: $(cat "$dir/far.log")"
	sed -n 's/^size_bytes //p' "$RSWAP_RUN_DIR/far/state"
	detach detach far || fail "detach: $(cat "$dir/detach.log")"
}

[ "$(size_of "min(ram, 8M + 4M)")" = $((12 << 20)) ] || fail "min"
[ "$(size_of "8M/2")" = $((4 << 20)) ] || fail "a quotient"
# to a MiB, of the machine's own memory
kib=$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)
[ "$(size_of "ram - ($kib * 1K - 5.5M)")" = $((5 << 20)) ] || fail "of ram"

# refused EXPRESSION WORD...: one line tells
refused() {
	! attach far --size="$1" || fail "$1 is taken"
	expect_one_line "$dir/far.log" "--size=$1: allowed is 1M to 64T" "${@:2}"
}
refused "ram / two" '"two" is not understood'
refused "ram / 1000000000" "too small"
refused "ram * 1000000000" "no size"
refused "min(ram" "ends too early"
