#!/bin/bash
# rswapctl pool status: servers, zones and sums of a pool in a real etcd, and each
# change of it.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

ctl=$build/ctl/rswapctl

# expect_status N WORD...: rswapctl pool ends with that status
expect_status() {
	local status=0
	"$ctl" pool "${@:2}" >"$dir/said" 2>"$dir/err" || status=$?
	[ "$status" = "$1" ] || fail "pool ${*:2}: exit status $status, $(cat "$dir/err")"
}

say "what is not allowed"
for words in "" status "stat etcd://e1/x" "status etcd://e1/x y" "status e1/x" "status etcd://e1/X"; do
	read -ra word <<<"$words"
	expect_status 1 "${word[@]}"
	expect_one_line "$dir/err" "rswapctl pool: " "llowed"
done
for words in "status etcd://e1/x --quota=1G" "status etcd://e1/x --overcommit=2" \
	"reserve etcd://e1/x --watch" "reserve etcd://e1/x --tenant=a" "reserve etcd://e1/x --quota=1G" \
	"reserve etcd://e1/x --tenant=a --quota=1Y" "reserve etcd://e1/x --overcommit=0.05" \
	"reserve etcd://e1/x --overcommit=1,5" "reserve etcd://e1/x y"; do
	read -ra word <<<"$words"
	expect_status 1 "${word[@]}"
	expect_one_line "$dir/err" "rswapctl pool: " "llowed"
done
expect_status 3 reserve etcd://127.0.0.1:1/blue --tenant=a --quota=1G
expect_status 1 status etcd://127.0.0.1:1/blue --pool-login="$dir/none"
expect_one_line "$dir/err" "$dir/none: No such file"

say "nobody answers, nobody is there"
expect_status 3 status etcd://127.0.0.1:1/blue
expect_one_line "$dir/err" "rswapctl pool: 127.0.0.1:1:"
start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
expect_status 2 status "$pool"
expect_one_line "$dir/said" "pool blue: 0 servers"

say "servers, zones, sums"
start_server a --memory=64M --slab-size=1M --zone=z1 --pool="$pool"
start_server b --memory=32M --slab-size=1M --zone=z1 --pool="$pool"
start_server c --memory=16M --slab-size=1M --pool="$pool"
start_server other --memory=16M --slab-size=1M --pool="${pool%blue}red"
there() { # N
	"$ctl" pool status "$pool" --json >"$dir/json" || return 1
	perl "$src/tests/flatten.pl" <"$dir/json" >"$dir/flat"
	has_line "$dir/flat" "total.servers $1"
}
expect 20 there 3
flat() { # PATH VALUE
	grep -qx "$1 $2" "$dir/flat" || fail "$1 is not $2: $(grep "^$1" "$dir/flat")"
}
flat pool blue
flat total.serving 3
flat total.memory_bytes $((112 << 20))
flat total.free_bytes $((112 << 20))
flat zones.0.zone ""
flat zones.0.servers 1
flat zones.1.zone z1
flat zones.1.servers 2
flat zones.1.memory_bytes $((96 << 20))
[ "$(grep -c '^servers\.[0-9]*\.address ' "$dir/flat")" = 3 ] || fail "not three servers"
has "$dir/flat" " $(server b)" || fail "b is not there"
! has "$dir/flat" " $(server other)" || fail "a server of another pool"
expect_status 0 status "$pool"
expect_line "$dir/said" "pool blue: 3 servers, 3 of them serving, 112 MiB free of 112 MiB"
expect_line "$dir/said" "$(server a)" serving z1 tcp "64 MiB"

say "a value that is not understood"
etcd_do e put /rswap/1/blue/servers/store-9:1 '{"address":"store-9:1"}' >/dev/null
expect_status 0 status "$pool"
expect_line "$dir/said" "store-9:1" "its transports is not what a memory server registers"
expect_line "$dir/said" "pool blue: 3 servers"
"$ctl" pool status "$pool" --json | perl "$src/tests/flatten.pl" >"$dir/flat"
expect_line "$dir/flat" "its transports is not"

say "what is reserved, quotas and overcommit"
etcd_do e del /rswap/1/blue/servers/store-9:1 >/dev/null
id=0123456789abcdef0123456789abcdef
etcd_do e put "/rswap/1/blue/reserved/$(server a)/$id" '{"identity":"alpha","bytes":16777216}' >/dev/null
etcd_do e put "/rswap/1/blue/reserved/$(server b)/$id" '{"identity":"alpha","bytes":8388608}' >/dev/null
etcd_do e put "/rswap/1/blue/reserving/alpha/$id" \
	'{"identity":"alpha","machine":"node-7","bytes":25165824}' >/dev/null
etcd_do e put "/rswap/1/blue/reserving/alpha/x" '{}' >/dev/null
expect_status 0 reserve "$pool"
expect_line "$dir/said" "pool blue: 24 MiB reserved by 1 client, 88 MiB left to reserve, overcommit 1.000"
expect_line "$dir/said" "1 keys are not understood"
expect_line "$dir/said" "$(server a)" "16 MiB" "48 MiB" "64 MiB"
expect_line "$dir/said" alpha "24 MiB" none "1"
expect_line "$dir/said" node-7 "24 MiB" alpha
expect_status 0 reserve "$pool" --tenant=alpha --quota=32M --overcommit=1.5
expect_line "$dir/said" alpha "24 MiB" "32 MiB"
expect_line "$dir/said" "144 MiB left to reserve, overcommit 1.500"
expect_status 0 reserve "$pool" --tenant=beta --quota=0
"$ctl" pool reserve "$pool" --json | perl "$src/tests/flatten.pl" >"$dir/flat"
flat overcommit_permille 1500
flat tenants.0.identity alpha
flat tenants.0.quota_bytes $((32 << 20))
flat tenants.1.identity beta
flat tenants.1.quota_bytes 0
flat reservations.0.id "$id"
flat reservations.0.bytes $((24 << 20))
[ "$(grep -c '^servers\.[0-9]*\.left_bytes ' "$dir/flat")" = 3 ] || fail "not three servers"
expect_status 0 status "$pool"
expect_line "$dir/said" IDENTITY RESERVED QUOTA CLIENTS
expect_line "$dir/said" alpha "24 MiB" "32 MiB" 1
expect_line "$dir/said" beta "0 B" "0 B" 0
"$ctl" pool status "$pool" --json | perl "$src/tests/flatten.pl" >"$dir/flat"
flat tenants.0.identity alpha
flat tenants.0.reserved_bytes $((24 << 20))
flat tenants.0.quota_bytes $((32 << 20))
flat tenants.0.clients 1
flat tenants.1.quota_bytes 0
expect_status 0 reserve "$pool" --tenant=alpha --quota=none
expect_line "$dir/said" alpha "24 MiB" none
[ "$(etcd_do e get /rswap/1/blue/settings --print-value-only)" = '{"overcommit_permille":1500}' ] ||
	fail "settings: $(etcd_do e get /rswap/1/blue/settings)"
etcd_do e put /rswap/1/blue/servers/store-9:1 '{"address":"store-9:1"}' >/dev/null

say "changes, as they come"
"$ctl" pool status "$pool" --json --watch >"$dir/watch.log" 2>&1 &
pid[watch]=$!
last_says() { # PATH VALUE
	tail -n 1 "$dir/watch.log" | perl "$src/tests/flatten.pl" 2>/dev/null | grep -qx "$1 $2"
}
expect 20 last_says total.servers 3
etcd_do e del /rswap/1/blue/servers/store-9:1 >/dev/null
"$ctl" drain --control="$dir/c.ctl" >/dev/null
expect 20 last_says total.serving 2
stop c
expect 20 last_says total.servers 2
expect 20 last_says total.memory_bytes $((96 << 20))
# Nothing of a server changes by a quota.
"$ctl" pool reserve "$pool" --tenant=gamma --quota=1G >/dev/null
expect 20 last_says tenants.2.quota_bytes $((1 << 30))
kill -KILL "${pid[watch]}"
wait "${pid[watch]}" 2>/dev/null || true
unset "pid[watch]"
for name in a b other; do
	stop $name
done
stop e || true
