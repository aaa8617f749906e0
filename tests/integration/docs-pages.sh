#!/bin/bash
# The list of rswap(7) is whole: it names each page of docs/ and each other man page,
# what it names exists, and all of it is installed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
src=${RSWAP_SRC:-$(cd "$here/../.." && pwd)}
build=${RSWAP_BUILD:-$src/build}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
list=$src/docs/man/rswap.pod

# same_lines WHAT FILE FILE
same_lines() {
	diff "$2" "$3" && return
	echo "$1"
	exit 1
}

# --- pages ---

sed -n '/^=head1 WHERE TO READ ON/,/^=head1 SEE ALSO/p' "$list" |
	grep '^=item' | grep -oE 'F<[^>]*>' | sed 's/F<\(.*\)>/\1/' | sort >"$dir/named"
(cd "$src/docs" && printf '%s\n' *.md) | sort >"$dir/there"
[ "$(wc -l <"$dir/there")" -ge 15 ] || {
	echo "docs/ has few pages: $(cat "$dir/there")"
	exit 1
}
same_lines "rswap(7) names (<) other pages than docs/ has (>)" "$dir/named" "$dir/there"

# The directory that rswap(7) names.
directory=$(sed -n 's/^In the documentation.s directory, F<\([^>]*\)>.*/\1/p' "$list")
[ -n "$directory" ] || {
	echo "rswap(7) does not say where the pages are"
	exit 1
}
DESTDIR=$dir/root cmake --install "$build" --prefix /usr >"$dir/installed"
find "$dir/root$directory" -maxdepth 1 -name '*.md' -printf '%f\n' | sort >"$dir/pages"
same_lines "rswap(7) names (<) other pages than $directory has (>)" "$dir/named" "$dir/pages"
while read -r page; do
	cmp "$src/docs/$page" "$dir/root$directory/$page"
done <"$dir/named"

# --- man pages ---

# name(section), but for this page and for those of other projects
grep -oE 'L<[a-z0-9-]*rswap[a-z0-9-]*\([0-9]\)' "$list" | sed 's/L<//' | sort -u >"$dir/named"
find "$dir/root/usr/share/man" -type f -printf '%f\n' | sed 's/\.\([0-9]\)$/(\1)/' |
	grep -vxF 'rswap(7)' | sort >"$dir/there"
same_lines "rswap(7) names (<) other man pages than are installed (>)" \
	"$dir/named" "$dir/there"
(cd "$src/docs/man" && printf '%s\n' *.pod) | sed 's/\.pod$//' | grep -vx rswap | sort >"$dir/pods"
same_lines "docs/man has (<) other pages than are installed (>)" \
	"$dir/pods" <(sed 's/(.*//' "$dir/there")
