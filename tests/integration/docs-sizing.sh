#!/bin/bash
# docs/sizing.md computes with the size of a sealed page that the code has, and its
# measurements are those of docs/performance.md.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
src=${RSWAP_SRC:-$(cd "$here/../.." && pwd)}
page=$src/docs/sizing.md
failed=0

complain() {
	echo "sizing.md: $*"
	failed=1
}

tag=$(sed -n 's/^#define SEAL_TAG_BYTES[[:space:]]*\([0-9]*\).*/\1/p' "$src/plugin/pages/seal.h")
sealed=$((4096 + ${tag:-0}))
grep -q "A sealed page has $sealed bytes" "$page" || complain "a sealed page has $sealed bytes"

# row TEXT BYTES-A-PAGE COPIES PARTS: the memory for size=64G, to a tenth or exactly
row() {
	local told wanted
	told=$(sed -n "s/^| \($1\) | \([0-9.]*\)G |\$/\2/p" "$page")
	wanted=$(awk "BEGIN { print 64 * $2 / 4096 * $3 / $4 }")
	awk "BEGIN { exit !(\"$told\" != \"\" && ($told - $wanted) ^ 2 < 0.0026) }" ||
		complain "$1: $told, computed $wanted"
}

row "one copy" "$sealed" 1 1
row '`--encrypt=off`, one copy' 4096 1 1
row '`--replicas=2`' "$sealed" 2 1
row '`--replicas=3`' "$sealed" 3 1
row '`--redundancy=4+2`' "$sealed" 6 4

measured=$(tr -s '\n ' ' ' <"$src/docs/performance.md" |
	grep -oE '\(size=64G, 16 lanes, TCP\) has [0-9]+ MiB locked with sealed pages and [0-9]+' |
	grep -oE '[0-9]+( MiB locked|$)' | grep -oE '^[0-9]+' | xargs)
told=$(grep -oE '[0-9]+ MiB, measured' "$page" | grep -oE '^[0-9]+' | xargs)
[ "$measured" ] && [ "$told" = "$measured" ] || complain "measured are $measured, it has $told"

exit "$failed"
