#!/bin/bash
# What a device has reserved on a server that is lost moves to the servers that it
# uses then; where these have no room, that is told until one has.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

ctl=$build/ctl/rswapctl

memory() { # NAME MIB
	start_server "$1" --memory="$2M" --slab-size=1M --grace=5 --pool="$pool"
}
# What is reserved on SERVER, by etcd.
reserved_is() { # SERVER MIB
	[ "$(etcd_do e get --prefix "/rswap/1/blue/reserved/$(server "$1")/" --print-value-only |
		sed -n 's/.*"bytes":\([0-9]*\).*/\1/p' | awk '{ n += $1 } END { print n + 0 }')" = $(($2 << 20)) ]
}
# What SERVER holds back for all that reserve.
holds_back() { # SERVER MIB
	[ "$(ask "$1" | awk '/^tenants\.[0-9]+\.reserved_bytes / { n += $2 } END { print n + 0 }')" = $(($2 << 20)) ]
}
uses() { # SERVER: and has a session there
	ask p | awk -v address="$(server "$1")" '
		$1 ~ /^servers\.[0-9]+\.address$/ { here = $2 == address }
		here && $1 ~ /\.state$/ && $2 == "up" { found = 1 }
		END { exit !found }'
}
tells() { # WORD...: rswapctl check
	"$ctl" check "$dir/p.ctl" >"$dir/said" || true
	has_line "$dir/said" "$@"
}
tells_not() {
	! tells "$@"
}

repaired() {
	[ "$(value p repair.running)" = no ]
}

start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
memory a 32
memory b 32
expect 20 registered 2
start_plugin p pool="$pool" servers-max=2 size=24M replicas=2 pool-reserve=all encrypt=off checksum=off timeout=60 lanes=4
reserved_is a 24 && reserved_is b 24 || fail "$(etcd_do e get --prefix /rswap/1/blue/reserv)"
expect_req p ok write:0:24M:4
expect_req p ok trim:0:24M
start_shadow load p --connections=2 --size=24M

say "a quota that is lowered ends no reservation, also where a part moves; servers hold back less"
etcd_do e put /rswap/1/blue/tenants/- '{"reserve_bytes":1048576}' >/dev/null

say "a server is lost, and another one takes its place"
memory c 32
expect 20 registered 3
stop a KILL || true
expect 120 uses c
expect 60 reserved_is c 24
reserved_is a 0 || fail "a still has its part"
reserved_is b 24 || fail "the part of b has changed"
expect 20 holds_back c 1
etcd_do e del /rswap/1/blue/tenants/- >/dev/null
expect 20 holds_back c 24
expect_line "$dir/p.log" "pool blue: 24M of the reservation moved"
expect 20 tells_not reservation-lost
"$ctl" events "$dir/p.ctl" >"$dir/said"
expect_line "$dir/said" "reservation moved" blue 24M
[ "$(value p pool.reserved_bytes)" = $((48 << 20)) ] || fail "$(ask p | grep pool)"
expect 120 repaired

say "another one is lost, and there is none for its part"
stop b KILL || true
expect 120 tells "of the 48 MiB that it reserves in the pool it has 24 MiB" "1 server of the pool has 24M free" "[reservation-lost]"
expect_line "$dir/p.log" "pool blue: of the reservation of 48M, 24M are left"
reserved_is c 24 || fail "the part of c has changed"

say "until one joins"
memory d 24
expect 60 uses d
expect 60 reserved_is d 24
expect 20 tells_not reservation-lost
expect_line "$dir/p.log" "pool blue: 48M are reserved again"
"$ctl" events "$dir/p.ctl" >"$dir/said"
expect_line "$dir/said" "reservation back" blue "48M on 2 servers"

say "that one is lost too, and comes back, though all that it has is reserved for this device"
stop d KILL || true
expect 120 tells "of the 48 MiB that it reserves in the pool it has 24 MiB" "[reservation-lost]"
memory d 24
expect 60 uses d
reserved_is d 24 || fail "$(etcd_do e get --prefix /rswap/1/blue/reserv)"
expect 20 tells_not reservation-lost
expect 120 repaired

say "a server drains, whose part has no other place, and serves again"
"$ctl" drain --control="$dir/d.ctl" >/dev/null
expect 60 tells "of the 48 MiB that it reserves in the pool it has 24 MiB" "[reservation-lost]"
"$ctl" pool reserve "$pool" >"$dir/said"
expect_line "$dir/said" "pool blue: 48 MiB reserved by 1 client, 8 MiB left to reserve"
"$ctl" drain --control="$dir/d.ctl" --undo >/dev/null
expect 60 tells_not reservation-lost
reserved_is c 24 && reserved_is d 24 || fail "$(etcd_do e get --prefix /rswap/1/blue/reserv)"
expect_more 10 p writes 200
[ "$(value p errors)" = 0 ] || fail "requests failed"
finish_shadow load
stop p
etcd_do e get --prefix /rswap/1/blue/reserv --keys-only | grep . && fail "not all is given back"
stop c
stop d
stop e || true
