#!/bin/bash
# etcd is gone for AWAY_S seconds (30, unless it is given) while requests go on, and is
# then restarted empty.  No request of the device that reserved fails, all say meanwhile
# that etcd is away, and the memory servers go on to hold back what is reserved and to
# keep identities below their limits.  Afterwards all keys are there again.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

# More than a lease lasts.
away_s=${AWAY_S:-30}
ctl=$build/ctl/rswapctl
for name in alpha beta gamma; do
	(umask 077 && "$ctl" genkey $name >"$dir/$name.key")
done
(umask 077 && cat "$dir"/*.key >"$dir/keys")
printf '%s memory=64M\n' alpha beta >"$dir/tenants"
echo "gamma memory=4M" >>"$dir/tenants"

memory() { # NAME
	start_server "$1" --memory=32M --slab-size=1M --grace=5 --psk-file="$dir/keys" \
		--tenants="$dir/tenants" --pool="$pool"
}
# The servers by hand: to find them, etcd is not needed.
by_hand=()
device() { # NAME IDENTITY KEY=VALUE...
	start_plugin "$1" psk-file="$dir/$2.key" encrypt=off checksum=off lanes=4 "${@:3}"
}
refused() { # "WORD..." IDENTITY KEY=VALUE...
	plugin_refuses "$1" "${by_hand[@]}" psk-file="$dir/$2.key" encrypt=off checksum=off "${@:3}"
}
keys_are() { # N: servers, what is reserved on them, and its sum
	[ "$(etcd_do e get --prefix /rswap/1/blue/ --keys-only | grep -c .)" = "$1" ]
}
pool_is() { # NAME STATE
	[ "$(value "$1" pool.state)" = "$2" ]
}
tells() { # NAME WORD...: rswapctl check
	"$ctl" check "$dir/$1.ctl" >"$dir/said" || true
	has_line "$dir/said" "${@:2}"
}
shows() { # NAME WORD...: rswapctl status
	"$ctl" status "$dir/$1.ctl" >"$dir/said" || true
	has_line "$dir/said" "${@:2}"
}
# What the servers hold back for alpha, in MiB.
held_back() {
	local name
	for name in a b; do
		ask "$name"
	done | awk '$1 ~ /^tenants\.[0-9]+\.name$/ { here = $2 == "alpha" }
		here && $1 ~ /^tenants\.[0-9]+\.reserved_bytes$/ { n += $2 }
		END { print n / 1048576 }'
}
expect_held_back() {
	[ "$(held_back)" = 24 ] || fail "of the reservation the servers hold back $(held_back) MiB"
}
slabs_of() { # NAME: on both servers
	echo $(($(value "$1" servers.0.slabs) + $(value "$1" servers.1.slabs)))
}
# q wants 48 MiB of the 64, of which 24 are reserved.
expect_bounded() {
	result=$(req q write:0:48M:4 2>&1) || true
	[ "$result" != ok ] || fail "beta has got what alpha has reserved"
	[ "$(slabs_of q)" -le 40 ] || fail "beta has $(slabs_of q) MiB"
}

start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
memory a
memory b
by_hand=("$(server a)" "$(server b)")
expect 20 keys_are 2
device q beta "${by_hand[@]}" size=48M timeout=5
device p alpha pool="$pool" size=24M pool-reserve=all timeout=60
keys_are 5 || fail "$(etcd_do e get --prefix /rswap/)"
all_held_back() { [ "$(held_back)" = 24 ]; }
expect 20 all_held_back
start_shadow load p --connections=2 --size=8M
expect_more 10 p writes 200

say "etcd is gone: all of them say so"
stop e KILL || true
gone_since=$SECONDS
for name in a b p; do
	expect 60 pool_is $name away
done
expect 60 tells p "new servers in pool blue are not found, and the known ones are used:" "[pool-away]"
expect 60 tells p "of the 24 MiB that it reserves in the pool it has 0" "[reservation-lost]"
shows p "pool  " "blue, away for" "2 servers, 2 serving; 2 in use of 16 allowed" \
	"etcd at 127.0.0.1:${port[e]}: " || fail "$(cat "$dir/said")"
shows p "reserved  " "of 24 MiB: 127.0.0.1:${port[e]}:" || fail "$(cat "$dir/said")"
for name in a b; do
	tells $name "clients do not find it in pool blue: 127.0.0.1:${port[e]}:" "[pool-away]" ||
		fail "$(cat "$dir/said")"
	shows $name "pool  " "blue, away as $(server $name) for" "etcd at 127.0.0.1:${port[e]}" ||
		fail "$(cat "$dir/said")"
done

say "the servers enforce what they know"
refused "size=9M more than 8M" gamma size=9M
refused "size=41M more than 40M" beta size=41M
expect_bounded
expect_held_back

say "nothing changes, for as long as it is away"
while [ $((SECONDS - gone_since)) -lt "$away_s" ]; do
	expect_more 10 p writes 100
	expect_held_back
	for name in a b p; do
		pool_is $name away || fail "$name is $(value $name pool.state)"
	done
done
# What is reserved is there when it is needed at last, though beta has all the rest.
expect_bounded
expect_req p ok write:8M:16M:5
expect_req p ok check:8M:16M:5
expect_value p errors -eq 0
expect_lines "$dir/p.log" "going on with the servers that are known" 1
# Of several etcds a reader of the log has to know which one.
expect_line "$dir/p.log" "pool blue: 127.0.0.1:${port[e]}: " "going on with the servers that are known"
expect_lines "$dir/p.log" "the reservation of 24M is lost" 1
for name in a b; do
	expect_lines "$dir/$name.log" "trying again, and serving clients meanwhile" 1
done

say "etcd is restarted empty: all comes back, and what is reserved is held back all the time"
rm -rf "$dir/e.etcd"
start_etcds e
back() {
	expect_held_back
	[ "$(value p pool.reserved_bytes)" = $((24 << 20)) ] && keys_are 5
}
expect 90 back
for name in a b; do
	expect 20 pool_is $name registered
	expect_lines "$dir/$name.log" "pool blue: registered as $(server $name)" 2
	! tells $name pool-away || fail "$(cat "$dir/said")"
done
expect 20 pool_is p current
for finding in pool-away reservation-lost; do
	! tells p $finding || fail "$(cat "$dir/said")"
done
expect_bounded
# Servers forget what is not listed any more after 30 seconds: none of this is.
if [ "$away_s" -ge 60 ]; then
	sleep 35
	expect_held_back
fi
expect_more 10 p writes 200
finish_shadow load
expect_req p ok check:8M:16M:5
expect_value p errors -eq 0
expect_value p pages_lost_ever -eq 0
stop q
stop p
stop a
stop b
keys_are 0 || fail "not all is given back: $(etcd_do e get --prefix /rswap/ --keys-only)"
stop e || true
