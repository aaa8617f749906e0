#!/bin/bash
# README's apt line has what packages.txt lists for building and using rswap.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
src=${RSWAP_SRC:-$(cd "$here/../.." && pwd)}
. "$src/scripts/packages.sh"

# The words of a command that goes on over lines with a backslash at their end.
readme_packages() {
	sed -n '/^ *apt install /,/[^\\]$/p' "$src/README.md" |
		sed 's/apt install//; s/\\$//' | tr -s ' \n' '\n' | grep . | sort
}

if ! diff <(readme_packages) \
	<(list_packages "$src/packages.txt" build run | sort -u); then
	echo "README.md (<) and packages.txt (>) differ"
	exit 1
fi
