#!/bin/bash
# rswapctl pool drain: servers of a pool in a real etcd drain and serve again, as
# somebody says who is on none of their machines.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

ctl=$build/ctl/rswapctl

# drains STATUS SERVER OPTION...: rswapctl pool drain ends with that status
drains() {
	local status=0
	"$ctl" pool drain "$pool" "${@:2}" >"$dir/said" 2>"$dir/err" || status=$?
	[ "$status" = "$1" ] ||
		fail "pool drain ${*:2}: exit status $status, $(cat "$dir/said" "$dir/err")"
}

state_is() { # NAME STATE
	[ "$(value "$1" state)" = "$2" ]
}

say "what is not allowed"
pool=etcd://127.0.0.1:1/blue
drains 1
expect_one_line "$dir/err" "rswapctl pool: " "drain URL SERVER"
drains 1 host:99999
expect_one_line "$dir/err" "SERVER host:99999" "HOST[:PORT]"
drains 1 host --timeout=0
expect_one_line "$dir/err" "--timeout=0" "1 to 604800"
drains 1 host --watch
expect_one_line "$dir/err" "--watch is allowed only with status"
drains 1 host --stop --wait
expect_one_line "$dir/err" "--wait is allowed only without --stop"
! "$ctl" pool status "$pool" --stop 2>"$dir/err" || fail "--stop is taken"
expect_one_line "$dir/err" "--stop is allowed only with drain"

say "nobody answers, nobody is there"
drains 3 host
expect_one_line "$dir/err" "rswapctl pool: 127.0.0.1:1:"
start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
drains 1 host
expect_one_line "$dir/err" "host:10909 is not in pool blue, which has no servers"

for name in a b; do
	start_server $name --memory=64M --slab-size=1M --pool="$pool"
done
expect 40 registered 2
drains 1 host:7
expect_one_line "$dir/err" "host:7 is not in pool blue; allowed is one of" "$(server a)" "$(server b)"
etcd_do e put /rswap/1/blue/servers/store-9:1 '{}' >/dev/null
drains 1 store-9:1
expect_one_line "$dir/err" "store-9:1: its address is not what a memory server registers"
etcd_do e del /rswap/1/blue/servers/store-9:1 >/dev/null

say "until it drains, and until it is empty"
start_plugin p "$(server a)" "$(server b)" size=16M replicas=1 timeout=60 lanes=4
expect_req p ok write:0:16M:7
drains 0 "$(server a)"
expect_line "$dir/said" "$(server a): draining, with " " slabs of 1 session"
expect 20 state_is a draining
expect_line "$dir/a.log" "draining, as asked by an order in pool blue"
drains 0 "$(server a)" --wait --timeout=300
[ "$(tail -n 1 "$dir/said")" = "$(server a): draining, with 0 slabs of 1 session" ] ||
	fail "it is not empty: $(cat "$dir/said")"
expect_value a slabs_used -eq 0
state_is b serving || fail "b drains too"
expect_req p "stamp 7" read:0:16M
# the order is gone some time, and has a lease for that
order_key=/rswap/1/blue/orders/$(server a)
etcd_do e get "$order_key" -w json | grep -q '"lease":[1-9]' || fail "the order has no lease"

say "where the slabs have no other place"
drains 1 "$(server b)" --wait --timeout=5
expect_one_line "$dir/err" "$(server b): it was not emptied in the time of --timeout: it is draining"
expect_line "$dir/said" "$(server b): draining, with "

say "its key is gone before it is empty: it may be cut off from etcd, with pages"
"$ctl" pool drain "$pool" "$(server b)" --wait >"$dir/gone.log" 2>&1 &
pid[wait]=$!
expect_line "$dir/gone.log" "$(server b): draining, with"
etcd_do e del "/rswap/1/blue/servers/$(server b)" >/dev/null
expect 20 gone "${pid[wait]}"
status=0
wait "${pid[wait]}" || status=$?
unset "pid[wait]"
[ "$status" = 1 ] || fail "exit status $status: $(cat "$dir/gone.log")"
expect_line "$dir/gone.log" "$(server b): its key is gone" "did not say that it was emptied"
# the server puts its key again after a minute at most
expect 90 registered 2

say "serve again"
for name in a b; do
	drains 0 "$(server $name)" --stop
	expect_one_line "$dir/said" "$(server $name): serving, with "
	state_is $name serving || fail "$name is $(value $name state)"
done
drains 0 "$(server a)" --stop # which it does

say "it is taken back while somebody waits"
drains 0 "$(server a)"
"$ctl" pool drain "$pool" "$(server b)" --wait >"$dir/wait.log" 2>&1 &
pid[wait]=$!
expect_line "$dir/wait.log" "$(server b): draining, with"
"$ctl" drain --control="$dir/b.ctl" --undo >/dev/null
status=0
wait "${pid[wait]}" || status=$?
unset "pid[wait]"
[ "$status" = 1 ] || fail "exit status $status: $(cat "$dir/wait.log")"
expect_line "$dir/wait.log" "$(server b): the order was taken back: it is serving"
drains 0 "$(server a)" --stop

say "it does not obey, and is gone"
kill -STOP "${pid[a]}"
drains 1 "$(server a)" --timeout=1
expect_one_line "$dir/err" "$(server a): it did not obey the order in the time of --timeout: it is serving"
drains 1 "$(server a)" --timeout=60
expect_one_line "$dir/err" "$(server a): its key is gone"
kill -CONT "${pid[a]}"
# the order that it gets once it is back is for this run of it
expect 60 state_is a draining
expect 40 registered 2

say "it ends while somebody waits"
"$ctl" pool drain "$pool" "$(server b)" --wait >"$dir/ends.log" 2>&1 &
pid[wait]=$!
expect_line "$dir/ends.log" "$(server b): draining, with"
stop p
expect 20 gone "${pid[wait]}"
wait "${pid[wait]}" || fail "exit status $?: $(cat "$dir/ends.log")"
unset "pid[wait]"
stop b

say "it is told to end, moves its slabs away, and ends"
start_server b --memory=64M --slab-size=1M --pool="$pool"
drains 0 "$(server a)" --stop
expect 40 registered 2
start_plugin p "$(server a)" "$(server b)" size=16M replicas=1 repair-rate=1M timeout=60 lanes=4
expect_req p ok write:0:16M:7
kill -TERM "${pid[a]}"
expect 20 state_is a leaving
"$ctl" pool drain "$pool" "$(server a)" --wait >"$dir/late.log" 2>&1 &
pid[wait]=$!
expect_line "$dir/late.log" "$(server a): leaving, with"
# so that it hears of all the rest at once
kill -STOP "${pid[wait]}"
expect 60 gone "${pid[a]}"
wait "${pid[a]}" || fail "a: exit status $?"
unset "pid[a]"
kill -CONT "${pid[wait]}"
wait "${pid[wait]}" || fail "exit status $?: $(cat "$dir/late.log")"
unset "pid[wait]"
stop p
stop b
stop e || true

say "users"
start_etcds auth
(umask 077 && echo swap:secret >"$dir/swap" && echo admin:secret >"$dir/admin" &&
	echo looks:secret >"$dir/looks")
for words in "user add root:rootpw" "user grant-role root root" \
	"role add rswap" "role grant-permission rswap --prefix=true readwrite /rswap/" \
	"role add admin" "role grant-permission admin --prefix=true read /rswap/1/blue/" \
	"role grant-permission admin --prefix=true readwrite /rswap/1/blue/orders/" \
	"role add looks" "role grant-permission looks --prefix=true read /rswap/" \
	"user add swap:secret" "user grant-role swap rswap" \
	"user add admin:secret" "user grant-role admin admin" \
	"user add looks:secret" "user grant-role looks looks" "auth enable"; do
	read -ra word <<<"$words"
	etcd_do auth "${word[@]}" >/dev/null
done
pool=etcd://127.0.0.1:${port[auth]}/blue
start_server u --memory=64M --slab-size=1M --pool="$pool" --pool-login="$dir/swap"
in_pool() { [ "$(value u pool.state)" = registered ]; }
expect 40 in_pool
drains 3 "$(server u)" --pool-login="$dir/looks"
expect_one_line "$dir/err" "no order without the right to write it to etcd: " "permission denied"
state_is u serving || fail "it drains"
drains 0 "$(server u)" --pool-login="$dir/admin"
expect_line "$dir/said" "$(server u): draining, with 0 slabs of 0 sessions"
stop u
stop auth || true
