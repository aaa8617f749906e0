#!/bin/bash
# etcd by a name: it is found again at the address that was known where the name
# cannot be looked up any more, and at another one where it has another.
[ -n "${RSWAP_OWN_MOUNTS:-}" ] || RSWAP_OWN_MOUNTS=1 exec unshare --mount "$BASH" "$0" "$@"
. "$(dirname "$0")/functions.sh"
. "$(dirname "$0")/etcd-functions.bash"

# The name service: /etc/hosts, of this test alone, and nothing else.
requires mount --make-rprivate /
printf 'hosts: files\n' >"$dir/nsswitch.conf"
printf '127.0.0.1 etcd.test\n' >"$dir/hosts"
requires mount --bind "$dir/nsswitch.conf" /etc/nsswitch.conf
requires mount --bind "$dir/hosts" /etc/hosts

state_is() { # STATE
	[ "$(value a pool.state)" = "$1" ]
}

start_etcds e
start_server a --memory=32M --slab-size=1M --pool="etcd://etcd.test:${port[e]}/blue"
expect 20 state_is registered

say "the name service is gone, and then etcd for a while"
: >"$dir/hosts"
! getent hosts etcd.test || fail "the name is still known"
stop e KILL || true
expect 40 state_is away
sleep 5 # for a look-up that fails
start_etcds e
expect 40 state_is registered

say "another address"
stop e || true
expect 40 state_is away
printf '127.0.0.2 etcd.test\n' >"$dir/hosts"
etcd_host=127.0.0.2
start_etcds e
expect 60 state_is registered

say "one of two names has no address"
for turn in 1 2 3; do
	start_plugin p pool="etcd://etcd.test:${port[e]},nowhere.test:1/blue" servers-max=2 size=8M lanes=4
	stop e KILL || true
	start_etcds e
	start_server b --memory=32M --slab-size=1M --pool="etcd://etcd.test:${port[e]}/blue"
	joined() { [ "$(value p pool.used)" = 2 ]; }
	expect 15 joined
	stop p
	stop b
done
stop a
stop e || true
