#!/bin/bash
# docs/sizing.md computes with the size of a sealed page, of a share and of a slab that
# the code has, and its measurements are those of docs/performance.md.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
src=${RSWAP_SRC:-$(cd "$here/../.." && pwd)}
page=$src/docs/sizing.md
failed=0

complain() {
	echo "sizing.md: $*"
	failed=1
}

# defined FILE NAME: the number of "#define NAME 16u" or "#define NAME (2 * MIB)"
defined() {
	local n
	n=$(sed -n "s/^#define $2[[:space:]]*(\{0,1\}\([0-9][0-9]*\).*/\1/p" "$src/$1")
	[ "$n" ] || complain "$1 has no $2" >&2
	echo "$n"
	[ "$n" ]
}

tag=$(defined plugin/pages/seal.h SEAL_TAG_BYTES)
sealed=$((4096 + tag))
align=$(defined plugin/pages/redundancy/reed_solomon.c CHUNK_ALIGN)
slab_mib=$(defined memserver/config.c SLAB_BYTES)
grep -q "A sealed page has $sealed bytes" "$page" || complain "a sealed page has $sealed bytes"

up() { # N BY
	echo $((($1 + $2 - 1) / $2))
}

# stored_mib BYTES-A-PAGE NEED SHARDS: of size=64G, in whole slabs, as engine_count_slabs
# computes: pages that do not fit a span's own slab share slabs with those of other spans
stored_mib() {
	local pages=$((64 << 18)) slab=$((slab_mib << 20)) chunk=$1 need=$2 shards=$3
	local fit span spill slabs
	[ "$need" = 1 ] || chunk=$(($(up "$(up "$chunk" "$need")" "$align") * align))
	fit=$((slab / chunk))
	span=$((need * slab / 4096))
	[ "$span" -le $((2 * fit)) ] || span=$((2 * fit))
	[ "$span" -ge "$fit" ] || span=$fit
	spill=$((span - fit))
	slabs=$(up "$pages" "$span")
	[ "$spill" = 0 ] || slabs=$((slabs + $(up \
		$((pages / span + (pages % span > fit))) $((fit / spill)))))
	echo $((slabs * shards * slab_mib))
}

# row TEXT BYTES-A-PAGE NEED SHARDS: the memory for size=64G, rounded up to a tenth
row() {
	local told mib wanted
	told=$(sed -n "s/^| \($1\) | \([0-9.]*\)G |\$/\2/p" "$page")
	mib=$(stored_mib "$2" "$3" "$4")
	wanted=$(awk "BEGIN { print $(up $((10 * mib)) 1024) / 10 }")
	[ "$told" = "$wanted" ] || complain "$1: ${told:-nothing}G, computed ${wanted}G ($mib MiB)"
}

row "one copy" "$sealed" 1 1
row '`--encrypt=off`, one copy' 4096 1 1
row '`--replicas=2`' "$sealed" 1 2
row '`--replicas=3`' "$sealed" 1 3
row '`--redundancy=4+2`' "$sealed" 4 6
for file in "$page" "$src/docs/man/rswap-memserver.pod"; do
	grep -q "$(stored_mib "$sealed" 1 1)M\b" "$file" ||
		complain "$file: 64G in one copy take $(stored_mib "$sealed" 1 1)M"
done

measured=$(tr -s '\n ' ' ' <"$src/docs/performance.md" |
	grep -oE '\(size=64G, 16 lanes, TCP\) has [0-9]+ MiB locked with sealed pages and [0-9]+' |
	grep -oE '[0-9]+( MiB locked|$)' | grep -oE '^[0-9]+' | xargs)
told=$(grep -oE '[0-9]+ MiB, measured' "$page" | grep -oE '^[0-9]+' | xargs)
[ "$measured" ] && [ "$told" = "$measured" ] || complain "measured are $measured, it has $told"

exit "$failed"
