#!/bin/bash
# A device may use one server of a pool (servers-max=1), and finds the one that has room
# for its reservation, wherever that is; where none has, the refusal has the figures of the
# whole pool.
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

ctl=$build/ctl/rswapctl
make_keys alpha beta

memory() { # NAME MIB
	start_server "$1" --memory="$2M" --slab-size=1M --grace=5 --psk-file="$dir/keys" --pool="$pool"
}
options=(encrypt=off checksum=off timeout=60 lanes=4 servers-max=1)
device() { # NAME IDENTITY KEY=VALUE...
	start_plugin "$1" pool="$pool" psk-file="$dir/$2.key" "${options[@]}" "${@:3}"
}
refused() { # "WORD..." IDENTITY KEY=VALUE...
	plugin_refuses "$1" pool="$pool" psk-file="$dir/$2.key" "${options[@]}" "${@:3}"
}
reserved_is() { # SERVER MIB
	[ "$(etcd_do e get --prefix "/rswap/1/blue/reserved/$(server "$1")/" --print-value-only |
		sed -n 's/.*"bytes":\([0-9]*\).*/\1/p' | awk '{ n += $1 } END { print n + 0 }')" = $(($2 << 20)) ]
}

reserve_by_hand() { # SERVER MIB: another client's, as in etcd
	etcd_do e put "/rswap/1/blue/reserved/$(server "$1")/0123456789abcdef0123456789abcdef" \
		"{\"identity\":\"alpha\",\"bytes\":$(($2 << 20))}" >/dev/null
}
give_back() { # SERVER
	etcd_do e del --prefix "/rswap/1/blue/reserved/$(server "$1")/" >/dev/null
	expect 10 holds_back "$1" 0
}
holds_back() { # SERVER MIB
	[ "$(ask "$1" | awk '/^tenants\.[0-9]+\.reserved_bytes / { n += $2 } END { print n + 0 }')" = $(($2 << 20)) ]
}

start_etcds e
pool=etcd://127.0.0.1:${port[e]}/blue
memory a 32
memory b 32
expect 20 registered 2

# A server tells what it has free every 12 seconds.  So a device that starts sooner after
# another one has reserved does not know which server that was.
say "one of two is reserved, now this one and now that one"
for attempt in 1 2 3 4 5 6; do
	for full in a b; do
		other=$(tr ab ba <<<$full)
		reserve_by_hand $full 32
		device q beta size=16M pool-reserve=all
		reserved_is "$other" 16 || fail "attempt $attempt: $(etcd_do e get --prefix /rswap/1/blue/reserv)"
		stop q
		give_back $full
	done
done

say "the same, of a device that reserves a part of what it may take"
for attempt in 1 2 3; do
	for full in a b; do
		other=$(tr ab ba <<<$full)
		reserve_by_hand $full 32
		expect 10 holds_back $full 32
		device q beta size=16M pool-reserve=4M
		reserved_is "$other" 4 || fail "attempt $attempt: $(etcd_do e get --prefix /rswap/1/blue/reserv)"
		stop q
		give_back $full
	done
done

say "what is reserved is there"
# by hand, so that it is known which
start_plugin p "$(server a)" pool="$pool" psk-file="$dir/alpha.key" "${options[@]}" size=32M pool-reserve=all
device q beta size=32M pool-reserve=all
expect_req q ok write:0:32M:4
expect_req p ok write:0:32M:5
expect_req q ok check:0:32M:4
stop q
stop p

say "nothing has room: the figures are those of the pool"
memory c 32
expect 20 registered 3
for name in a b c; do
	reserve_by_hand $name 24
done
refused "pool-reserve=all: 9M are wanted, and 3 servers of the pool have 24M free to reserve, but 8M at most with servers-max=1: of 96M in all" \
	beta size=9M pool-reserve=all
refused "of 96M in all, at an overcommit of 1.000, others reserve 72M" beta size=9M pool-reserve=all
refused "32M are wanted, and 3 servers of the pool have 24M free to reserve: of 96M in all" \
	beta size=32M pool-reserve=all
device q beta size=8M pool-reserve=all
stop q
stop a
stop b
stop c
stop e || true
