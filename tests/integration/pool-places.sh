#!/bin/bash
# A device uses as many servers as servers-max allows, these are full or drain, and the
# pool has room: what is to be done is to raise servers-max, and that is what it says.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

ctl=$build/ctl/rswapctl
larger="attach with a larger --servers-max"

memory() { # NAME
	start_server "$1" --memory=16M --slab-size=1M --pool="$pool"
}
# tells NAME WORD...: a line of rswapctl check has them all
tells() {
	"$ctl" check --peek "$dir/$1.ctl" >"$dir/said" || true
	has_line "$dir/said" "${@:2}"
}
expect_told() {
	expect 20 tells "$@"
}

start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
memory a
expect 20 registered 1
# Both find 16 MiB free, as neither has written yet.
for name in p other; do
	start_plugin $name pool="$pool" servers-max=1 size=16M timeout=5 lanes=4 encrypt=off checksum=off
done
start_plugin two pool="$pool" servers-max=2 size=16M timeout=5 lanes=4 encrypt=off checksum=off
for name in p two; do
	expect_req $name ok write:0:1M:3
done

say "one server is full"
expect_req other ok write:0:14M:3
full() { is "$1" servers.0.free_bytes -lt $((1 << 20)); }
for name in p two; do
	expect 20 full $name
done
[ "$(req p write:1M:1M:3 2>&1)" != ok ] || fail "p has got memory, and there is none"
expect_told p "[servers-full]" "$larger"
tells p "[writes-failed]" "$larger" || fail "$(cat "$dir/said")"
# What has a place left takes a server more: there the pool is the remedy.
expect_told two "[servers-full]" "add a server to the pool"
! has "$dir/said" "$larger" || fail "$(cat "$dir/said")"

say "one more in the pool: only the device with a place left has it"
memory b
expect 20 registered 2
uses_two() { is two pool.used -eq 2; }
expect 20 uses_two
expect_req two ok write:1M:4M:3
not_full() { ! tells two servers-full; }
expect 20 not_full
expect_value p pool.used -eq 1
expect_told p "[servers-full]" "$larger"
tells p "[writes-failed]" "$larger" || fail "$(cat "$dir/said")"

say "the full server drains: for p there is no other one"
"$ctl" drain --control="$dir/a.ctl" >/dev/null
expect 60 tells p "[no-room]" "bring back the server that is away, or detach and $larger"
expect_told p "[slabs-cannot-leave]" "$larger"

say "with a larger servers-max it goes on"
expect_req p ok trim:0:16M
stop p
start_plugin p pool="$pool" servers-max=2 size=8M timeout=20 lanes=4 encrypt=off checksum=off
expect_req p ok write:0:8M:4
! tells p servers-full || fail "$(cat "$dir/said")"
for name in p two other a b; do
	stop $name
done
stop e || true
