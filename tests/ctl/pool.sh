#!/bin/bash
# Attach by a pool, in a real etcd: no server is named, and what the device reserves
# is in etcd until it is detached.
. "$(dirname "$0")/harness.sh"
. "$src/tests/integration/etcd-functions.bash"

# Without the server that attach() of harness.sh names.
attach_pool() { # LOG [WORD...]
	local log=$1 options
	shift
	mapfile -t options < <(attach_options)
	"$ctl" attach "${options[@]}" "$@" >"$dir/$log.log" 2>&1
}

say "what is not allowed"
! attach_pool wrong || fail "no server, and it is attached"
expect_line "$dir/wrong.log" "a SERVER is missing" "--pool=etcd://HOST"
! attach_pool wrong --pool=etcd://e1 || fail "it is attached"
expect_line "$dir/wrong.log" "--pool=etcd://e1 is not allowed" "etcd://HOST[:PORT]"
for option in pool-state pool-ca pool-login; do
	! attach_pool wrong --pool=etcd://127.0.0.1:1/blue --$option=here || fail "it is attached"
	expect_line "$dir/wrong.log" "--$option=here: allowed is an absolute path"
done

say "etcd does not answer"
! attach_pool away --pool=etcd://127.0.0.1:1/blue || fail "it is attached"
expect_line "$dir/away.log" "pool=etcd://127.0.0.1:1/blue: 127.0.0.1:1:"
expect_nothing_left "attach"

# The keys of reservations: on servers, and the sum.
reserved() {
	etcd_do e get --prefix /rswap/1/blue/reserv --keys-only | grep . || true
}
reserved_bytes() { # KEY-PREFIX
	etcd_do e get --prefix "/rswap/1/blue/$1" --print-value-only |
		sed -n 's/.*"bytes":\([0-9]*\).*/\1/p'
}

say "by the pool"
start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
start_server a --memory=64M --slab-size=1M --pool="$pool"
there() { etcd_do e get --prefix /rswap/ --keys-only | grep -q .; }
expect 20 there
attach_pool first --pool="$pool" --pool-state="$dir/state" --pool-reserve=all ||
	fail "attach: $(cat "$dir/first.log")"
expect_line "$dir/first.log" "swapping 16M to $pool"
swaps_to 0 || fail "nbd0 is no swap"
has "$dir/state" "$(server a) {" || fail "the servers are not kept"
"$ctl" status nbd0 >"$dir/said" || fail "status: $(cat "$dir/said")"
expect_line "$dir/said" "pool  " "blue, current for" "1 in use of 16 allowed"

say "all of it is reserved, in etcd too"
"$ctl" status --json nbd0 | perl "$src/tests/flatten.pl" >"$dir/flat"
wanted=$(sed -n 's/^.*pool\.reserve_bytes //p' "$dir/flat")
[ "$wanted" -ge $((16 << 20)) ] || fail "it reserves $wanted bytes: $(cat "$dir/flat")"
grep -q "pool\.reserved_bytes $wanted\$" "$dir/flat" || fail "it holds other bytes: $(cat "$dir/flat")"
[ "$(reserved_bytes "reserved/$(server a)/")" = "$wanted" ] || fail "on a: $(reserved)"
[ "$(reserved_bytes reserving/)" = "$wanted" ] || fail "the sum: $(reserved)"
[ "$(reserved | wc -l)" = 2 ] || fail "in etcd: $(reserved)"

say "bench takes the pool, and neither its file nor its reservation"
export TMPDIR=$dir/tmp
mkdir "$TMPDIR"
begin bench "$ctl" bench --seconds=4 --size=4M nbd0 >"$dir/said" 2>"$dir/err"
bench_words() { # its front end's, one a line, to $dir/words
	local process
	process=$(pgrep -f "control=$TMPDIR/") || return 1
	tr '\0' '\n' <"/proc/$process/cmdline" >"$dir/words"
	grep -qx "control=$TMPDIR/.*" "$dir/words"
}
expect 20 bench_words
finish bench
[ "$(cat "$dir/status")" = 0 ] || fail "bench: $(cat "$dir/said" "$dir/err")"
grep -qxF "pool=$pool" "$dir/words" || fail "not of the pool: $(cat "$dir/words")"
! grep -E '^pool-(state|reserve)=' "$dir/words" || fail "these are the attached device's"
expect_line "$dir/said" "server  $(server a) over tcp"
[ -z "$(ls "$TMPDIR")" ] || fail "bench left $(ls "$TMPDIR")"
[ "$(reserved | wc -l)" = 2 ] || fail "in etcd after the bench: $(reserved)"
detach first nbd0 || fail "detach: $(cat "$dir/first.log")"
[ -z "$(reserved)" ] || fail "detach left in etcd: $(reserved)"
expect_nothing_left "detach"

say "more than there is: nothing is attached, and nothing reserved"
! attach_pool large --pool="$pool" --size=65M --pool-reserve=all || fail "it is attached"
expect_line "$dir/large.log" "pool-reserve=all:" "are wanted, and 1 server of the pool has 64M free to reserve"
expect_nothing_left "attach"
[ -z "$(reserved)" ] || fail "attach left in etcd: $(reserved)"

say "by the file, while etcd is gone"
stop e KILL || true
attach_pool second --pool="$pool" --pool-state="$dir/state" ||
	fail "attach: $(cat "$dir/second.log")"
swaps_to 0 || fail "nbd0 is no swap"
check_tells() {
	"$ctl" check nbd0 >"$dir/said" || true
	has "$dir/said" "[pool-away]"
}
expect 30 check_tells
detach second nbd0 || fail "detach: $(cat "$dir/second.log")"
expect_nothing_left "detach"
