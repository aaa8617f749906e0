#!/bin/bash
# The units are what systemd expects.  It wants the programs to be there, so
# they are checked with the paths of this build in place of the installed ones.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
src=${RSWAP_SRC:-$(cd "$here/../.." && pwd)}
build=${RSWAP_BUILD:-$src/build}

if ! command -v systemd-analyze >/dev/null; then
	echo "systemd-analyze is not installed"
	exit 77
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

for unit in rswap-memserver.service rswap@.service; do
	# an instance: some specifiers have no value in a template
	sed -E -e "s,^(Exec[A-Za-z]*=-?)/[^ ]*/rswapctl,\1$build/ctl/rswapctl," \
		-e "s,^(ExecStart=)/[^ ]*/rswap-memserver,\1$build/memserver/rswap-memserver," \
		"$build/systemd/$unit" >"$dir/${unit/@/@test}"
	grep -q "^ExecStart=$build/" "$dir/${unit/@/@test}"
done

# Whatever it says of these units is a fault, also what it takes for a warning.
status=0
systemd-analyze --man=no verify "$dir"/*.service >"$dir/said" 2>&1 ||
	status=$?
grep -F "$dir" "$dir/said" && exit 1
if [ "$status" != 0 ]; then
	cat "$dir/said"
	exit 1
fi
