#!/bin/bash
# A small pool, simulated: rswap's rules keep servers evenly full, lose nothing
# with a zone, and the same seed gives the same figures.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail() {
	echo "$*" >&2
	exit 1
}

sim() { # OUT [OPTION...]
	"$RSWAP_BUILD/bench/poolsim" --servers=100 --zones=10 --clients=1000 \
		--rule=1 "${@:2}" >"$dir/$1"
}

is() { # FIGURE AWK-CONDITION
	awk -v figure="$1" '$2 == figure && $3 '"$2"' { n++ }
		END { exit n != 1 }' "$dir/a" ||
		fail "$1 is $(grep " $1 " "$dir/a"), not $2"
}

sim a
sim b
sim c --seed=2
cmp "$dir/a" "$dir/b" || fail "the same seed gives other figures"
cmp -s "$dir/a" "$dir/c" && fail "another seed gives the same figures"
is spread-full "< 5"
is spread-later "< 5"
is zone-lost-most-gib "== 0"
is loss-lost-gib "== 0"
is failed-gib "== 0"
is fragments-most "<= 16"
sim a --zones=1
is zone-lost-most-gib "> 0"

for option in servers=0 zones=x percent=96 seed= rule=9; do
	"$RSWAP_BUILD/bench/poolsim" "--$option" >"$dir/out" 2>"$dir/err" &&
		fail "--$option is taken"
	grep -q -- "--${option%%=*}" "$dir/err" || fail "--$option: no reason"
done
