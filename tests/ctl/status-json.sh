#!/bin/bash
# The members of rswapctl status --json around what the control sockets answer are those
# of rswapctl(8), both ways, and their values are right for a device with swap.
. "$(dirname "$0")/harness.sh"

start_server a --memory=64M --slab-size=1M
attach far --name=far || fail "attach: $(cat "$dir/far.log")"
mkdir -p "$RSWAP_FAKE/block/nbd0/holders/dm-0"

# look FILE: without the members of what the sockets answered
look() {
	"$ctl" status --json far >"$dir/json" || true
	perl "$src/tests/flatten.pl" <"$dir/json" | grep -v '^targets\.[0-9]*\.status\.' >"$dir/$1"
}
value_is() { # FILE PATH VALUE
	grep -qxF "targets.0.$2 $3" "$dir/$1" || fail "$2 is not $3: $(cat "$dir/$1")"
}

look well
value_is well name far
value_is well socket "$RSWAP_RUN_DIR/far/control.sock"
value_is well front "$program"
value_is well device /dev/nbd0
value_is well kernel.connected yes
value_is well kernel.swap yes
value_is well kernel.swap_device /dev/nbd0
value_is well kernel.used_bytes 0
value_is well kernel.holders dm-0
value_is well kernel.reads_in_flight 0
value_is well kernel.writes_in_flight 0
grep -qE '^targets\.0\.kernel\.priority [0-9]+$' "$dir/well" || fail "priority: $(cat "$dir/well")"

say "a front end that does not answer"
kill -STOP "$(daemons)"
look silent
kill -CONT "$(daemons)"
grep -q '^targets\.0\.error .' "$dir/silent" || fail "no error: $(cat "$dir/silent")"
value_is silent troubles 1

say "rswapctl(8) has these members, and no others"
members() { # of both
	sed -E 's/ .*//; s/\.[0-9]+//g' "$dir/well" "$dir/silent" | grep -v '^targets\.troubles\.' |
		tr . '\n' | sort -u
}
documented() {
	sed -n '/^Prints one JSON object, of which other/,/^The exit status\|exit status is the same/p' \
		"$src/docs/man/rswapctl.pod" | grep -oE 'C<[a-z_]+>' | sed 's/C<//; s/>//' | sort -u
}
# left out above, and the names of programs
{ members; echo status; } | sort -u >"$dir/are"
documented | grep -vx -e rswap -e nbdkit >"$dir/named"
diff "$dir/named" "$dir/are" || fail "rswapctl(8) (<) and status --json (>) differ"

rm -r "$RSWAP_FAKE/block/nbd0/holders/dm-0"
detach far far || fail "detach: $(cat "$dir/far.log")"
