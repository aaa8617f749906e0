#!/bin/bash
# The torture tool has to notice each lie of liar.c, and none where there is
# none: so what it passes over is right.
. "$(dirname "$0")/../integration/functions.sh"

torture=$build/tests/torture/torture
liar=$build/tests/torture/liar.so

# start_liar LIE
start_liar() {
	rm -f "$dir/liar.sock"
	nbdkit_command
	"${nbdkit[@]}" -U "$dir/liar.sock" "$liar" size=8M lie="$1" \
		>>"$dir/liar.log" 2>&1 &
	pid[liar]=$!
	expect 10 test -S "$dir/liar.sock"
}

# judge LIE STATUS KIND OPTION...: what the tool says of it
judge() {
	local lie=$1 wanted=$2 kind=$3 status=0
	shift 3
	start_liar "$lie"
	"$torture" --socket="$dir/liar.sock" --seconds=1 --seed=7 --report \
		"$@" >"$dir/$lie.out" 2>&1 || status=$?
	[ "$status" = "$wanted" ] || {
		cat "$dir/$lie.out" >&2
		fail "$lie: exit status $status, and not $wanted"
	}
	[ -z "$kind" ] || expect_line "$dir/$lie.out" "VIOLATION $kind: "
	say "$lie: $(grep -o 'VIOLATION [a-z]*' "$dir/$lie.out" | sort |
		uniq -c | tr -s ' \n' ' ')"
	stop liar KILL 2>/dev/null || true # with requests under way, nbdkit itself leaks
}

judge none 0 '' --expect=never-eio
judge none 0 '' --expect=never-eio --overlap=no
judge drop 1 stale
judge zeros 1 zeros
judge previous 1 stale
judge swap 1 foreign
judge tear 1 torn
judge late 1 stale --expect=eio-allowed
judge diverge 1 stale --expect=eio-allowed
judge eio 0 '' --expect=eio-allowed
judge eio 1 error --expect=never-eio
judge hang 1 hung --max-read-wait=1
