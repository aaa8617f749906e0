#!/bin/bash
# docs/pool.md has the figures of rswap that the simulation of a pool gives at its full
# size: half a minute of one processor.  The other rules take minutes, and are no code
# of rswap's.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
src=$(cd "$here/../.." && pwd)
page=$src/docs/pool.md
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

"$src/bench/poolsim/run" --rule=1 --out="$dir" >"$dir/table"
# The table of the simulation has one column of figures, the first one of the page.
tail -n +3 "$dir/table" >"$dir/rows"
[ "$(wc -l <"$dir/rows")" -ge 10 ] || { cat "$dir/table"; exit 1; }
while IFS= read -r row; do
	awk -v row="$row" 'index($0, row) == 1 { found = 1 }
		END { exit !found }' "$page" && continue
	echo "pool.md has no row that begins: $row"
	failed=1
done <"$dir/rows"
[ "$failed" = 0 ] || echo "bench/poolsim/run --out=docs makes the table and the plot"
exit "$failed"
