#!/bin/bash
# Orders to memory servers by a real etcd: what a server does with them.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

ctl=$build/ctl/rswapctl

# order NAME VALUE: as somebody may write it
order() {
	etcd_do e put "/rswap/1/blue/orders/$(server "$1")" "$2" >/dev/null
}

tells() { # NAME WORD [INCARNATION]
	order "$1" "{\"order\":\"$2\",\"incarnation\":\"${3:-$(value "$1" incarnation)}\"}"
}

state_is() { # NAME STATE
	[ "$(value "$1" state)" = "$2" ]
}

# key_is NAME PATH VALUE: a member of what NAME registered
key_is() {
	[ "$(etcd_do e get "/rswap/1/blue/servers/$(server "$1")" --print-value-only |
		perl "$src/tests/flatten.pl" 2>/dev/null | sed -n "s/^$2 //p")" = "$3" ]
}

start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
for name in a b; do
	start_server $name --memory=64M --slab-size=1M --pool="$pool"
	expect 20 key_is $name state serving
done
start_plugin p "$(server a)" "$(server b)" size=32M replicas=1 repair-rate=1M timeout=60 lanes=4
expect_req p ok write:0:32M:7

say "a drain, and what is left as it goes"
key_is a held_slabs "$(value a slabs_used)" || expect 30 key_is a held_slabs "$(value a slabs_used)"
writes=$(value a pool.writes) since_s=$SECONDS
tells a drain
expect 20 state_is a draining
expect_line "$dir/a.log" "draining, as asked by an order in pool blue: clients have to move"
expect 20 key_is a state draining
"$ctl" events "$dir/a.ctl" >"$dir/said"
expect_line "$dir/said" "drain"
state_is b serving || fail "b drains too"
expect 60 key_is a held_slabs 0
# when it began, every 12 seconds, and at the end
most=$((writes + 2 + (SECONDS - since_s) / 12))
[ "$(value a pool.writes)" -le $most ] || fail "$(value a pool.writes) writes of the key, and not $most at most"
expect_req p "stamp 7" read:0:16M

say "it serves again"
tells a serve
expect 20 state_is a serving
expect 20 key_is a state serving
expect_line "$dir/a.log" "serving again, as asked by an order in pool blue"

say "orders for another, and what is none"
tells a drain 000102030405060708090a0b0c0d0e0f
expect_line "$dir/a.log" "orders/$(server a) is skipped" "for another server at this address"
order a '{"order":"leave"}'
expect_line "$dir/a.log" "orders/$(server a) is skipped" "neither drain nor serve"
state_is a serving || fail "a drains"

say "what comes while etcd is away is obeyed later"
stop e KILL || true
away() { state_of_pool=$(value a pool.state) && [ "$state_of_pool" = away ]; }
expect 40 away
start_etcds e
expect 40 key_is a state serving
tells a drain
expect 40 state_is a draining

say "a server that was told to end"
tells a serve
expect 20 state_is a serving
expect_req p ok write:0:16M:8
held() { is b slabs_used -gt 0; }
expect 20 held
ETCDCTL_API=3 etcdctl --endpoints="127.0.0.1:${port[e]}" watch --prefix /rswap/1/blue/servers/ \
	--rev=1 >"$dir/watch.log" 2>&1 &
pid[watch]=$!
stop a
# the last word of a server is whether slabs were left
expect_line "$dir/watch.log" '"state":"stopping"' '"held_slabs":0'
stop watch || true
kill -TERM "${pid[b]}"
expect 20 state_is b leaving
tells b serve
expect_line "$dir/b.log" "the order to serve is refused"
state_is b leaving || fail "b serves again"
stop p
wait "${pid[b]}" || fail "b: exit status $?"
unset "pid[b]"
stop e || true
