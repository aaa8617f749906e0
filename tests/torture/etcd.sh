# A cluster of three etcds in namespaces of their own, and the faults of it: how one
# begins and how it is undone.  Sourced by run, after faults.sh.
# shellcheck shell=bash

# Of one etcd, of less than half of them, of more, of all.  A server's lease ends
# after 10 seconds.
etcd_faults=(etcd_leader etcd_minority etcd_majority etcd_hang etcd_gone etcd_empty)
etcds=(e0 e1 e2)

# Of a server, in a pool alone.
pool_faults=(move "${etcd_faults[@]}")

etcd_urls() { # PORT NAME-PREFIX
	local name urls=
	for name in "${etcds[@]}"; do
		urls+=${urls:+,}${2:+$name=}http://${address[$name]}:$1
	done
	echo "$urls"
}

start_etcd() { # NAME
	local at=http://${address[$1]}
	(in_ns "$1" etcd --name="$1" --data-dir="$dir/$1.etcd" \
		--listen-client-urls="$at:2379" --advertise-client-urls="$at:2379" \
		--listen-peer-urls="$at:2380" --initial-advertise-peer-urls="$at:2380" \
		--initial-cluster="$(etcd_urls 2380 names)") >>"$dir/$1.etcd.out" 2>&1 &
	pid[$1]=$!
}

start_etcds() {
	local name i=100 hosts=
	for name in "${etcds[@]}"; do
		net_join "$name" $((i++))
		hosts+=${hosts:+,}${address[$name]}
	done
	pool=etcd://$hosts/torture
	undo_etcd_gone
	expect 60 etcds_are_well
}

etcd_do() { # ETCDCTL-ARGUMENT...
	ETCDCTL_API=3 nsenter --net="/run/netns/$prefix-plugin" \
		etcdctl --endpoints="$(etcd_urls 2379 "")" --command-timeout=$((5 * slow))s "$@"
}

etcds_are_well() {
	etcd_do endpoint health >/dev/null 2>&1
}

servers_are_registered() {
	[ "$(etcd_do get --prefix /rswap/1/torture/servers/ --keys-only 2>/dev/null |
		grep -c .)" = "$servers" ]
}

# All servers are in the pool, and the plugin hears of it.
pool_is_well() {
	etcds_are_well && servers_are_registered &&
		[ "$(value p pool.state)" = current ]
}

# What is reserved is in etcd, whatever came between, and on servers that are used.
reserved_as_told() {
	local wanted
	wanted=$(value p pool.reserve_bytes)
	[ "$(value p pool.reserved_bytes)" = "$wanted" ] &&
		[ "$(for ((i = 0; i < servers; i++)); do
			etcd_do get --prefix "/rswap/1/torture/reserved/${address[s$i]}:10909/" --print-value-only
		done | sed -n 's/.*"bytes":\([0-9]*\).*/\1/p' | awk '{ n += $1 } END { print n + 0 }')" = "$wanted" ]
}

# The leader, or the first one while there is none.
leader() {
	local name found=${etcds[0]}
	for name in "${etcds[@]}"; do
		! nsenter --net="/run/netns/$prefix-plugin" env ETCDCTL_API=3 \
			etcdctl --endpoints="http://${address[$name]}:2379" endpoint status 2>/dev/null |
			grep -q ', true, ' || found=$name
	done
	echo "$found"
}

begin_etcd_leader() {
	killed=$(leader)
	stop "$killed" KILL || true
}
undo_etcd_leader() { start_etcd "$killed"; }

begin_etcd_minority() { port_off e0; }
undo_etcd_minority() { port_on e0; }

# Each of the three is alone.
begin_etcd_majority() { port_off e0; port_off e1; }
undo_etcd_majority() { port_on e0; port_on e1; }

begin_etcd_hang() {
	local name
	for name in "${etcds[@]}"; do
		kill -STOP "${pid[$name]}"
	done
}
undo_etcd_hang() {
	local name
	for name in "${etcds[@]}"; do
		kill -CONT "${pid[$name]}"
	done
}

begin_etcd_gone() {
	local name
	for name in "${etcds[@]}"; do
		stop "$name" KILL || true
	done
}
undo_etcd_gone() {
	local name
	for name in "${etcds[@]}"; do
		start_etcd "$name"
	done
}

begin_etcd_empty() { begin_etcd_gone; }
undo_etcd_empty() {
	rm -rf "$dir"/e?.etcd
	undo_etcd_gone
}

# A server comes back with another address: in a pool, nobody has to be told.
begin_move() { stop "$1" KILL || true; }
undo_move() {
	local last=${address[$1]##*.}
	ip -n "$prefix-$1" addr del "${address[$1]}/24" dev eth0
	address[$1]=10.210.0.$((last < 50 ? last + 50 : last - 50))
	ip -n "$prefix-$1" addr add "${address[$1]}/24" dev eth0
	start_memserver "$1"
}
