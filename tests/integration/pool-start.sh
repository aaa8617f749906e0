#!/bin/bash
# A device that finds its memory servers in a pool, in a real etcd: pool=.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

addresses() { # NAME: of the servers that it uses
	ask "$1" | sed -n 's/^servers\.[0-9]*\.address //p' | sort
}
uses() { # NAME SERVER...
	local name=$1 server
	shift
	diff <(addresses "$name") <(for server; do server "$server"; done | sort) ||
		fail "$name does not use $*"
}
memory() { # NAME OPTION...
	start_server "$1" --memory=32M --slab-size=1M --grace=5 --pool="$pool" "${@:2}"
}

say "what is not allowed"
plugin_refuses "pool=etcd://e1 not allowed etcd://HOST[:PORT]" pool=etcd://e1 size=16M
plugin_refuses "servers-max given without pool" 127.0.0.1:1 servers-max=2 size=16M
plugin_refuses "servers-max=1 replicas needs 2" pool=etcd://127.0.0.1:1/blue \
	servers-max=1 replicas=2 size=16M
plugin_refuses "pool=etcd://127.0.0.1:1/blue: $dir/none: No such file" \
	pool=etcd://127.0.0.1:1/blue pool-login="$dir/none" size=16M

say "nobody answers, nobody is there"
plugin_refuses "pool=etcd://127.0.0.1:1/blue: 127.0.0.1:1:" pool=etcd://127.0.0.1:1/blue size=16M
start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
plugin_refuses "pool=$pool: none of the 0 memory servers in it is serving" pool="$pool" size=16M

say "the servers of the pool"
memory a --zone=z1
memory b --zone=z2
expect 20 registered 2
start_plugin p pool="$pool" size=40M encrypt=off timeout=60 lanes=4
uses p a b
expect_req p ok write:0:40M:4
[ "$(value p servers.0.slabs)" -gt 4 ] && [ "$(value p servers.1.slabs)" -gt 4 ] ||
	fail "not both have slabs"
expect_req p ok trim:0:40M
shadow p --seconds=3
stop p

say "beside one that is given by hand, which is in the pool too"
start_server c --memory=32M --slab-size=1M --grace=5
start_plugin p "$(server c)" "$(server a)" pool="$pool" size=16M replicas=3 timeout=60 lanes=4
uses p a b c
stop p

say "as many as are allowed, in other zones"
memory d --zone=z2
expect 20 registered 3
start_plugin p pool="$pool" servers-max=2 size=16M timeout=60 lanes=4
addresses p | grep -qx "$(server a)" || fail "two servers of one zone"
[ "$(addresses p | wc -l)" = 2 ] || fail "not two servers"
stop p

say "what does not serve is left out"
"$build/ctl/rswapctl" drain --control="$dir/a.ctl" >/dev/null
drains() { etcd_do e get "/rswap/1/blue/servers/$(server a)" | grep -q draining; }
expect 20 drains
start_plugin p pool="$pool" size=16M timeout=60 lanes=4
uses p b d
stop p

say "what does not answer is left out"
stop d KILL || true
start_plugin p pool="$pool" size=16M timeout=60 lanes=4
expect_line "$dir/p.log" "server=$(server d):" "starting without it"
stop p
plugin_fails pool="$pool" size=16M replicas=2
expect_line "$dir/err" "1 server can be used, and replicas needs 2: server=$(server d):"
expect 40 registered 2 # its lease ends

say "all are asked at the same time"
# Two that answer only when both are asked.
at() { # NAME: who is connected to its port
	ss -Htn state established "sport = :${port[$1]}" | grep -c . || true
}
answer_together() {
	until [ "$(at b)" -gt 0 ] && [ "$(at f)" -gt 0 ]; do
		sleep 0.02
	done
	kill -CONT "${pid[b]}" "${pid[f]}"
}
memory f --zone=z3
expect 20 registered 3
# They have two seconds to answer, which a busy machine may not give them: once more.
for attempt in 1 2 3 4 5; do
	kill -STOP "${pid[b]}" "${pid[f]}"
	answer_together &
	together=$!
	start_plugin p pool="$pool" size=16M timeout=60 lanes=4
	kill "$together" 2>/dev/null || true
	wait "$together" 2>/dev/null || true
	kill -CONT "${pid[b]}" "${pid[f]}"
	[ "$(addresses p)" != "$(for s in b f; do server $s; done | sort)" ] || break
	stop p
done
uses p b f
stop p

say "where the first are silent, all others are asked at once"
start_server near --memory=32M --slab-size=1M --grace=5 # by hand: it is asked first
memory g
memory h
expect 20 registered 5
for s in b f g h; do
	kill -STOP "${pid[$s]}"
done
start_plugin r "$(server near)" pool="$pool" servers-max=2 size=16M timeout=60 lanes=4
expect_line "$dir/r.log" "serving 16M from 1 server"
[ "$(lines_with "$dir/r.log" "starting without it")" = 4 ] || fail "not all were asked: $(cat "$dir/r.log")"
for s in b f g h; do
	kill -CONT "${pid[$s]}"
done
stop r
for s in near f g h; do
	stop $s
done
expect 20 registered 2

say "another front end"
"$rswap_nbd" -U "$dir/q.sock" control="$dir/q.ctl" pool="$pool" size=16M timeout=60 lanes=4 \
	>>"$dir/q.log" 2>&1 &
pid[q]=$!
expect 20 serves_or_ended q
uses q b
expect_req q ok write:0:8M:4
stop q

say "the file of servers, for a start without etcd"
state=$dir/blue.state
plugin_refuses "pool=$pool: pool-state=$dir/none/state: No such file" pool="$pool" \
	pool-state="$dir/none/state" size=16M
start_plugin p pool="$pool" pool-state="$state" size=16M timeout=60 lanes=4
[ "$(head -n 1 "$state")" = "rswap-pool 1 blue" ] || fail "$(cat "$state")"
has "$state" "$(server b) {" || fail "b is not in the file"
memory f
expect 40 has_line "$state" "$(server f) {" serving
sum() { sha256sum <"$state"; }
before=$(sum)
expect_req p ok write:0:8M:4
sleep 14 # in which the servers refresh their keys
[ "$(sum)" = "$before" ] || fail "it is written for nothing"
stop p
stop e || true
start_plugin p pool="$pool" pool-state="$state" size=16M timeout=60 lanes=4
uses p b f
expect_line "$dir/p.log" "pool blue: 127.0.0.1:${port[e]}:" "starting with the servers of pool-state=$state"
[ "$(value p pool.state)" = away ] || fail "it is $(value p pool.state)"
value p pool.error >/dev/null
shadow p --seconds=2
start_etcds e
current() { [ "$(value p pool.state)" = current ]; }
expect 40 current
stop p
stop e || true
plugin_refuses "pool=$pool: 127.0.0.1:${port[e]}: pool-state=$dir/none: No such file" \
	pool="$pool" pool-state="$dir/none" size=16M
sed -i 's/blue/red/' "$state"
plugin_refuses "pool-state=$state: it is of pool red, and not of blue" \
	pool="$pool" pool-state="$state" size=16M
sed -i 's/red/blue/; 2s/.*/x/' "$state"
plugin_refuses "pool-state=$state: line 2 is not a server of a pool" \
	pool="$pool" pool-state="$state" size=16M
stop a
stop b
stop c
stop f
