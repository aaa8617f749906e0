#!/bin/bash
# The units, installed into a prefix, are what systemd expects; it looks also
# whether the programs are there.  And they shut in what they start as far as
# they say.
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

DESTDIR='' cmake --install "$build" --prefix "$dir/prefix" >"$dir/installed"
units=$dir/prefix/lib/systemd/system
# an instance: some specifiers have no value in a template
mv "$units/rswap@.service" "$units/rswap@test.service"

# Whatever it says of these units is a fault, also what it takes for a warning.
status=0
systemd-analyze --man=no verify "$units"/*.service >"$dir/said" 2>&1 ||
	status=$?
grep -F "$dir" "$dir/said" && exit 1
if [ "$status" != 0 ]; then
	cat "$dir/said"
	exit 1
fi

# exposure UNIT TENTHS: what systemd takes for exposed, 0 to 100
exposure() {
	systemd-analyze security --offline=yes --no-pager --threshold="$2" \
		"$units/$1" >"$dir/said" 2>&1 && return
	cat "$dir/said"
	echo "$1: more exposed than $2 tenths"
	exit 1
}
exposure rswap-memserver.service 17
exposure rswap@test.service 48
