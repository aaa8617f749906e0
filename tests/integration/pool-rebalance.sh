#!/bin/bash
# Servers that join a pool when others are nearly full: slabs move to them in the
# background, until all are about as full, and no two copies get into one zone.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

memory() { # NAME OPTION...
	start_server "$1" --memory=48M --slab-size=1M --pool="$pool" "${@:2}"
}
at_rest() { # PLUGIN
	is "$1" slabs_moving -eq 0 && is "$1" slabs_short -eq 0
}
intact() { # PLUGIN
	expect_value "$1" pages_lost_ever -eq 0
	expect_value "$1" errors -eq 0
	expect_value "$1" slabs_stuck -eq 0
}

start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
memory a
expect 60 registered 1
start_plugin p pool="$pool" size=40M replicas=1 timeout=60 lanes=4
start_shadow load p --connections=2 --size=40M
expect 240 is a slabs_used -ge 38

say "a server joins: it gets half of the slabs while requests go on"
memory b
expect 240 is b slabs_used -ge 18
expect 60 at_rest p
expect 60 is a slabs_used -le 23
is b slabs_used -le 22 || fail "b has $(value b slabs_used)"
expect_more 10 p writes 1000
intact p
finish_shadow load
stop p
stop a
stop b

say "copies: those of c have no other zone than that of their twins"
pool=etcd://127.0.0.1:${port[e]}/blue
memory a --zone=left
memory c --zone=right
expect 60 registered 2
start_plugin p pool="$pool" size=40M replicas=2 timeout=60 lanes=4
expect_req p ok write:0:40M:7
used=$(value c slabs_used)
memory b --zone=left
expect 240 is b slabs_used -ge 18
expect 60 at_rest p
expect_value c slabs_used -eq "$used"
expect 60 is a slabs_used -le 23
expect_req p "stamp 7" read:0:40M
intact p
stop c KILL || true
expect_req p "stamp 7" read:0:40M

stop e KILL || true
