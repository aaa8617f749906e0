#!/bin/bash
# Changes that etcd has compacted before a watch was told of them: a device, and a
# memory server, list all keys again, and miss nothing.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

uses() { # SERVER: and has a session there
	ask p | awk -v address="$(server "$1")" '
		$1 ~ /^servers\.[0-9]+\.address$/ { here = $2 == address }
		here && $1 ~ /\.state$/ && $2 == "up" { found = 1 }
		END { exit !found }'
}
memory() { # NAME POOL
	start_server "$1" --memory=48M --slab-size=1M --grace=5 --pool="$2"
}
# What was said so far is dropped.  The last change is the one to keep, so there is one
# more.
compact() {
	local revision
	etcd_do e put /other 1 >/dev/null
	etcd_do e put /other 2 >/dev/null
	revision=$(etcd_do e get /other -w json | sed 's/.*"mod_revision":\([0-9]*\).*/\1/')
	etcd_do e compact "$revision" >/dev/null
}
# What goes to etcd and comes from it by the network NET is in $dir/NET.wire, from now
# on.
watched_network() { # NET
	rm -f "$dir/$1.wire"
	CAPTURE=$dir/$1.wire network "$1" e
}
# The watch was refused, and after that all keys were listed.
was_refused() { # NET
	grep -aq compact_revision "$dir/$1.wire"
}
lists_after_that() { # NET
	sed '1,/compact_revision/d' "$dir/$1.wire" | grep -aq '^POST /v3/kv/range'
}

start_etcds e
memory a "etcd://127.0.0.1:${port[e]}/blue"
watched_network device
watched_network server
memory b "etcd://$(server server)/blue"
expect 20 registered 2
start_plugin p pool="etcd://$(server device)/blue" size=40M replicas=1 timeout=60 lanes=4
expect 20 uses a
expect 20 uses b
start_shadow load p --connections=2 --size=24M

# Each watch asks for the changes that it missed before it lists for another reason,
# unless the machine is very busy: then once more.
say "a device, which misses that a server registers"
for attempt in 1 2 3 4 5; do
	stop device KILL || true
	memory "c$attempt" "etcd://127.0.0.1:${port[e]}/blue"
	expect 20 registered $((2 + attempt))
	compact
	watched_network device
	expect 60 uses "c$attempt"
	! was_refused device || break
done
was_refused device || fail "no watch was behind, each time"
expect 20 lists_after_that device

say "and it hears of what comes next"
memory d "etcd://127.0.0.1:${port[e]}/blue"
expect 60 uses d
[ "$(value p pool.state)" = current ] || fail "the pool is $(value p pool.state)"

say "a memory server, which misses an order"
order() { # WORD
	etcd_do e put "/rswap/1/blue/orders/$(server b)" \
		"{\"order\":\"$1\",\"incarnation\":\"$(value b incarnation)\"}" >/dev/null
}
state_is() { # STATE
	[ "$(value b state)" = "$1" ]
}
for attempt in 1 2 3 4 5; do
	stop server KILL || true
	order drain
	compact
	watched_network server
	expect 60 state_is draining
	order serve
	expect 60 state_is serving
	! was_refused server || break
done
was_refused server || fail "no watch was behind, each time"
expect 20 lists_after_that server

finish_shadow load
[ "$(value p errors)" = 0 ] || fail "requests failed"
stop p
stop b
stop device || true
stop server || true
for name in "${!pid[@]}"; do
	[ "$name" = e ] || stop "$name"
done
stop e || true
