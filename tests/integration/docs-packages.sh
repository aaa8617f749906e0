#!/bin/bash
# README's apt lines and debian/control have what packages.txt lists, and the two
# lists of changes have the same version.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
src=${RSWAP_SRC:-$(cd "$here/../.." && pwd)}
. "$src/scripts/packages.sh"

# The words of commands, which go on over lines with a backslash at their end; without
# comments, and without the packages that were made by hand.
readme_packages() {
	sed -ne ':more' -e '/\\$/{N;s/\\\n//;b more' -e '}' -e 's/ #.*//' -e 's/^ *apt install //p' \
		"$src/README.md" | tr -s ' \n' '\n' | grep . | grep -v '^\./' | sort
}

# lintian only looks at packages that are made
if ! diff <(readme_packages) \
	<(list_packages "$src/packages.txt" build run package | grep -vx lintian | sort -u); then
	echo "README.md (<) and packages.txt (>) differ"
	exit 1
fi

# What debian/control needs to build, with what build-essential brings and what
# only tests need.
control_packages() {
	{
		sed -n '/^Build-Depends:/,/^$/p' "$src/debian/control" |
			sed -n 's/^ \([a-z0-9.-]*\).*/\1/p' |
			grep -v -e '^debhelper-compat$' -e '^pkgconf$'
		printf '%s\n' gcc libc6-dev make pkg-config libcmocka-dev
	} | sort
}

if ! diff <(control_packages) \
	<(list_packages "$src/packages.txt" build | sort -u); then
	echo "debian/control (<) and packages.txt (>) differ"
	exit 1
fi

# CHANGELOG.md tells of the version that debian/changelog has.
version=$(sed -n '1s/.*(\(.*\)).*/\1/p' "$src/debian/changelog")
if ! grep -q "^## $version\$" "$src/CHANGELOG.md"; then
	echo "CHANGELOG.md has no part $version"
	exit 1
fi
