#!/bin/bash
# Memory of a pool that a device reserves, in a real etcd: pool-reserve=.  A quota and
# the servers' memory bound what is reserved, the servers refuse it to others, and it
# outlives an etcd that is restarted empty.  pool-race.sh has two devices that reserve at
# the same moment.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"
. "$(dirname "$0")/metrics-functions.bash"

ctl=$build/ctl/rswapctl
make_keys alpha beta

memory() { # NAME SIZE
	start_server "$1" --memory="$2" --slab-size=1M --grace=5 --psk-file="$dir/keys" --pool="$pool" \
		--metrics=0
}
reservations() { # the keys, sums of identities included
	etcd_do e get --prefix /rswap/1/blue/reserv --keys-only | grep -c . || true
}
reservations_are() { # N
	[ "$(reservations)" = "$1" ]
}
# What the server NAME holds back for IDENTITY.
reserved_on() { # NAME IDENTITY
	ask "$1" | awk -v identity="$2" '
		$1 ~ /^tenants\.[0-9]+\.name$/ { split($1, part, "."); here = $2 == identity }
		here && $1 == "tenants." part[2] ".reserved_bytes" { n = $2 }
		END { print n + 0 }'
}
reserved_on_is() { # NAME IDENTITY MIB
	[ "$(reserved_on "$1" "$2")" = $(($3 << 20)) ]
}
# What the servers say that others use without a reservation.
unreserved_is() { # MIB
	etcd_do e get --prefix /rswap/1/blue/servers/ --print-value-only | grep . |
		sed 's/.*"unreserved_bytes":\([0-9]*\).*/\1/' |
		awk -v mib="$1" '{ n += $1 } END { exit n != mib * 1048576 }'
}
device() { # NAME IDENTITY KEY=VALUE...
	start_plugin "$1" pool="$pool" psk-file="$dir/$2.key" encrypt=off checksum=off timeout=60 lanes=4 "${@:3}"
}
refused() { # "WORD..." IDENTITY KEY=VALUE...
	plugin_refuses "$1" pool="$pool" psk-file="$dir/$2.key" encrypt=off checksum=off "${@:3}"
}
tells() { # NAME WORD...: rswapctl check
	"$ctl" check "$dir/$1.ctl" >"$dir/said" || true
	has_line "$dir/said" "${@:2}"
}

say "what is not allowed"
pool=etcd://127.0.0.1:1/blue
plugin_refuses "pool-reserve=x not allowed no, all, or a size from 1M" pool="$pool" size=16M pool-reserve=x
plugin_refuses "pool-reserve is given without pool" 127.0.0.1:1 size=16M pool-reserve=all

start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
memory a 32M
expect 20 registered 1
refused "pool-reserve=17M takes 16M on servers at most" alpha size=16M pool-reserve=17M

say "the servers hold back what is reserved"
device p alpha size=20M pool-reserve=all
[ "$(value p pool.reserve_bytes)" = $((20 << 20)) ] || fail "$(ask p | grep pool)"
[ "$(value p pool.reserved_bytes)" = $((20 << 20)) ] || fail "$(ask p | grep pool)"
reservations_are 2 || fail "$(etcd_do e get --prefix /rswap/)"
expect 10 reserved_on_is a alpha 20
expect_line "$dir/a.log" "figures at http"
scrape a
expect_metric a 'rswap_memserver_tenant_reserved_bytes{tenant="alpha"}' $((20 << 20))
"$ctl" status "$dir/p.ctl" >"$dir/said" || true
expect_line "$dir/said" "reserved " "20 MiB of 20 MiB"
! tells p reservation-lost || fail "$(cat "$dir/said")"
refused "size=13M more than 12M" beta size=13M
refused "pool-reserve=all: 13M are wanted, and 1 server of the pool has 12M free to reserve" \
	beta size=13M pool-reserve=all
refused "of 32M in all, at an overcommit of 1.000, others reserve 20M" beta size=13M pool-reserve=all
device q beta size=12M
expect_req q ok write:0:12M:4
expect_req p ok write:0:20M:4
expect_req p ok check:0:20M:4
stop q
stop p
reservations_are 0 || fail "it is not given back: $(etcd_do e get --prefix /rswap/ --keys-only)"
expect 40 unreserved_is 0
expect 10 reserved_on_is a alpha 0
# A tenant without a session has no metrics.
scrape a
! grep -q '^rswap_memserver_tenant_reserved_bytes{tenant="alpha"} [1-9]' "$dir/a.prom" ||
	fail "by the metrics it is still reserved"

say "one that was there before finds no room while another one has it reserved"
device q beta size=24M timeout=5
device p alpha size=16M pool-reserve=all
expect 10 reserved_on_is a alpha 16
result=$(req q write:0:24M:4 2>&1) || true
[ "$result" != ok ] || fail "it took what is reserved"
expect_value q servers.0.slabs -le 16
expect_req p ok write:0:16M:4
stop q
stop p
expect 40 unreserved_is 0

say "part of a device"
device p alpha size=16M pool-reserve=4M
expect 10 reserved_on_is a alpha 4
stop p
expect 10 reserved_on_is a alpha 0

say "copies, on several servers"
memory b 32M
expect 20 registered 2
device p alpha size=24M replicas=2 pool-reserve=all
reservations_are 3 || fail "$(etcd_do e get --prefix /rswap/)"
expect 10 reserved_on_is a alpha 24
expect 10 reserved_on_is b alpha 24
refused "17M are wanted, and 2 servers of the pool have 16M free" beta size=17M pool-reserve=all

say "a server hears of orders and of reservations"
order() { # WORD
	etcd_do e put "/rswap/1/blue/orders/$(server b)" \
		"{\"order\":\"$1\",\"incarnation\":\"$(value b incarnation)\"}" >/dev/null
}
state_is() { # STATE
	[ "$(value b state)" = "$1" ]
}
is_registered_as() { # STATE
	etcd_do e get "/rswap/1/blue/servers/$(server b)" --print-value-only | grep -q "\"state\":\"$1\""
}
order drain
expect 10 state_is draining
stop p
expect 10 reserved_on_is b alpha 0
order serve
expect 10 state_is serving
expect 10 is_registered_as serving

say "killed: it ends with its lease"
expect 40 unreserved_is 0
device p alpha size=34M pool-reserve=all
stop p KILL || true
reservations_are 3 || fail "it went with the process"
refused "34M are wanted" beta size=34M pool-reserve=all
expect 30 reservations_are 0
expect 10 reserved_on_is a alpha 0
device q beta size=34M pool-reserve=all
stop q

say "quotas"
"$ctl" pool reserve "$pool" --tenant=alpha --quota=20M >/dev/null
etcd_do e put /rswap/1/blue/tenants/alphabet '{"reserve_bytes":0}' >/dev/null
device p alpha size=16M pool-reserve=all
refused "pool-reserve=all: 8M are wanted, and identity alpha reserves 16M already, of its quota of 20M" \
	alpha size=8M pool-reserve=all
device q alpha size=4M pool-reserve=all
stop q
device q beta size=40M pool-reserve=all
stop q
stop p
etcd_do e put /rswap/1/blue/tenants/alpha 'what?' >/dev/null
refused "pool-reserve=all: /rswap/1/blue/tenants/alpha: its whole value is not that of a quota" \
	alpha size=8M pool-reserve=all
etcd_do e del --prefix /rswap/1/blue/tenants/ >/dev/null

say "overcommit"
device p alpha size=40M pool-reserve=all
refused "40M are wanted" beta size=40M pool-reserve=all
"$ctl" pool reserve "$pool" --overcommit=1.25 >"$dir/said"
expect_line "$dir/said" "pool blue: 40 MiB reserved by 1 client, 40 MiB left to reserve, overcommit 1.250"
device q beta size=40M pool-reserve=all
refused "have 0 free to reserve: of 64M in all, at an overcommit of 1.250, others reserve 80M" \
	alpha size=1M pool-reserve=all
stop q
etcd_do e put /rswap/1/blue/settings '{"overcommit_permille":500}' >/dev/null
refused "at an overcommit of 0.500" beta size=1M pool-reserve=all
stop p
etcd_do e del /rswap/1/blue/settings >/dev/null

say "what others use without a reservation cannot be reserved"
device q beta size=40M
expect_req q ok write:0:40M:4
expect 40 unreserved_is 40
refused "25M are wanted, and 2 servers of the pool have 24M free to reserve" alpha size=25M pool-reserve=all
stop q

expect 40 unreserved_is 0

say "etcd is restarted empty: it is reserved again, and no request notices"
read -r http < <(free_ports 1)
figure_is() { # STATE MIB
	curl -fsS "http://127.0.0.1:$http/metrics" >"$dir/figures"
	grep -qx "rswap_pool_reservation_bytes{state=\"$1\"} $(($2 << 20))" "$dir/figures"
}
device p alpha size=24M pool-reserve=all metrics="$http"
figure_is wanted 24 && figure_is held 24 || fail "$(grep reservation "$dir/figures")"
expect_req p ok write:0:16M:4
expect_req p ok trim:0:24M
start_shadow load p --connections=2 --size=24M
expect_more 10 p writes 200
stop e KILL || true
expect 40 tells p "of the 24 MiB that it reserves in the pool it has 0" "[reservation-lost]"
figure_is wanted 24 && figure_is held 0 || fail "$(grep reservation "$dir/figures")"
[ $(($(reserved_on a alpha) + $(reserved_on b alpha))) = $((24 << 20)) ] || fail "the servers forgot it"
rm -rf "$dir/e.etcd"
start_etcds e
held() { [ "$(value p pool.reserved_bytes)" = $((24 << 20)) ]; }
expect 60 held
expect 10 reservations_are 3
expect_line "$dir/p.log" "pool blue: 24M are reserved again"
figure_is held 24 || fail "$(grep reservation "$dir/figures")"
! tells p reservation-lost || fail "$(cat "$dir/said")"
"$ctl" events "$dir/p.ctl" >"$dir/said"
expect_line "$dir/said" "reservation lost" blue
expect_line "$dir/said" "reservation back" blue "24M on 2 servers"
expect_more 10 p writes 200
[ "$(value p errors)" = 0 ] || fail "requests failed"
finish_shadow load
both() { [ $(($(reserved_on a alpha) + $(reserved_on b alpha))) = $((24 << 20)) ]; }
expect 60 both
stop p
stop a
stop b

say "a lease that ended: reserved again with the same parts, beside what others use"
memory a 32M
memory b 32M
expect 60 registered 2
# by hand, so that nothing moves from a to b
start_plugin q "$(server a)" psk-file="$dir/beta.key" encrypt=off checksum=off size=20M timeout=60 lanes=4
expect_req q ok write:0:20M:4
expect 40 unreserved_is 20
device p alpha size=30M pool-reserve=all
parts() {
	etcd_do e get --prefix /rswap/1/blue/reserved/ | sed 's/"machine":"[^"]*",//'
}
before=$(parts)
lease=$(etcd_do e get --prefix /rswap/1/blue/reserved/ -w json | sed 's/.*"lease":\([0-9]*\).*/\1/')
etcd_do e lease revoke "$(printf %x "$lease")" >/dev/null
expect 60 reservations_are 3
[ "$(parts)" = "$before" ] || fail "before: $before, now: $(parts)"
stop p
stop q

say "it ends while the device starts, and another one has the memory then"
expect 40 unreserved_is 0
DELAY_S=0.5 network slow e
lease_of_all() { # in LEASE
	lease=$(etcd_do e get --prefix /rswap/1/blue/reserved/ -w json | sed -n 's/.*"lease":\([0-9]*\).*/\1/p')
	[ "$lease" ]
}
has_begun() { lease_of_all || gone "${pid[p]}"; }
other_reserves() {
	local name
	for name in a b; do
		etcd_do e put "/rswap/1/blue/reserved/$(server $name)/0123456789abcdef0123456789abcdef" \
			'{"identity":"beta","bytes":20971520}' >/dev/null
	done
}
# etcd's answer is on its way for half a second, and the next question too.  Where that
# is not enough for what is done here meanwhile, once more.
for attempt in 1 2 3 4 5; do
	rm -f "$dir/p.log" "$dir/p.sock"
	"$rswap_nbd" -U "$dir/p.sock" control="$dir/p.ctl" pool="etcd://$(server slow)/blue" \
		psk-file="$dir/alpha.key" encrypt=off checksum=off size=30M pool-reserve=all >"$dir/p.log" 2>&1 &
	pid[p]=$!
	lease=
	expect 40 has_begun
	if [ -z "$lease" ]; then
		stop p || true # on a busy machine etcd's answers come too late
		continue
	fi
	etcd_do e lease revoke "$(printf %x "$lease")" >/dev/null
	other_reserves
	expect 40 serves_or_ended p
	alive p || break
	stop p
	etcd_do e del --prefix /rswap/1/blue/reserved/ >/dev/null
done
[ "$lease" ] || fail "etcd's answers come too late, each time"
! stop p || fail "it serves, each time"
expect_line "$dir/p.log" "pool-reserve=all: 30M are wanted, and 2 servers of the pool have 24M free to reserve"
reservations_are 2 || fail "it has left something: $(parts)"
stop slow || true
stop a
stop b

say "etcd does not answer"
stop e KILL || true
refused "pool=$pool: 127.0.0.1:${port[e]}:" alpha size=8M pool-reserve=all
