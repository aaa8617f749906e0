# A cluster of three etcds in namespaces of their own, and the faults of it: how one
# begins and how it is undone.  Sourced by run, after faults.sh.
# shellcheck shell=bash

# Of one etcd, of less than half of them, of more, of all.  A server's lease ends
# after 9 seconds.
etcd_faults=(etcd_leader etcd_stuck etcd_minority etcd_majority etcd_slow etcd_hang
	etcd_gone etcd_compact etcd_empty)
etcds=(e0 e1 e2)

# Of a server, in a pool alone.
pool_faults=(move lease cut_from_etcd "${etcd_faults[@]}")

etcd_urls() { # PORT NAME-PREFIX
	local name urls=
	for name in "${etcds[@]}"; do
		urls+=${urls:+,}${2:+$name=}http://${address[$name]}:$1
	done
	echo "$urls"
}

start_etcd() { # NAME [ADDRESS-FOR-CLIENTS]
	local at=http://${address[$1]} for_clients=http://${2:-${address[$1]}}
	(in_ns "$1" etcd --name="$1" --data-dir="$dir/$1.etcd" \
		--listen-client-urls="$for_clients:2379" --advertise-client-urls="$at:2379" \
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
	etcds_are_well && servers_are_registered && plugin_knows "$servers"
}
plugin_knows() { # N: servers of the pool
	[ "$(value p pool.state)" = current ] &&
		[ "$(value p pool.registered)" = "$1" ]
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

# That of which the plugin reads.
read_by_plugin() {
	local name at found=${etcds[0]}
	at=$(value p pool.endpoint)
	for name in "${etcds[@]}"; do
		[ "${address[$name]}:2379" != "$at" ] || found=$name
	done
	echo "$found"
}

# Beside other faults it may not become the leader.
make_leader() { # NAME
	local id
	[ "$(leader)" != "$1" ] || return 0
	id=$(etcd_do member list | sed -n "s/^\([0-9a-f]*\), started, $1, .*/\1/p") || return 0
	etcd_do move-leader "$id" >/dev/null 2>&1 || true
}

# The leader, of which the plugin reads, hangs, and keeps its connections.
begin_etcd_stuck() {
	stuck=$(read_by_plugin)
	make_leader "$stuck"
	kill -STOP "${pid[$stuck]}"
}
undo_etcd_stuck() { kill -CONT "${pid[$stuck]}"; }

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

# Each answer takes long: of each second they work for a fifth.
slow_down_etcds() {
	trap 'undo_etcd_hang; exit 0' TERM
	while :; do
		begin_etcd_hang
		sleep 0.8
		undo_etcd_hang
		sleep 0.2
	done
}
begin_etcd_slow() {
	slow_down_etcds &
	undo_pid[etcd]=$!
}
undo_etcd_slow() {
	kill "${undo_pid[etcd]}" || true
	wait "${undo_pid[etcd]}" || true
	unset "undo_pid[etcd]"
	undo_etcd_hang
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

# Each of them has clients on its own machine alone, where nobody of rswap is.
local_etcd_do() { # ETCDCTL-ARGUMENT...
	ETCDCTL_API=3 nsenter --net="/run/netns/$prefix-e0" \
		etcdctl --endpoints=http://127.0.0.1:2379 --command-timeout=$((5 * slow))s "$@"
}
local_etcds_are_well() {
	local_etcd_do endpoint health >/dev/null 2>&1
}

# A key of a server that nobody uses, as it is stopping.
put_key() { # KEY
	local like=${address[s0]}:10909 value
	value=$(etcd_do get "/rswap/1/torture/servers/$like" --print-value-only |
		sed "s/$like/${1##*/}/; s/serving/stopping/") || return
	[ "$value" ] && etcd_do put "$1" "$value" >/dev/null
}

# Beside other faults the plugin may not hear of it.
add_key() { # KEY
	put_key "$1" || return 0
	wait_for 10 plugin_knows $((servers + 1)) || [ -z "$sequence" ] ||
		fail "the plugin does not hear of a server"
}

# How often a server has lost its key, or the plugin its reservation.
losses() {
	cat "$dir"/s?.log "$dir/p.log" | grep -cE 'serving clients meanwhile|the reservation of .* is lost' || true
}

has_no_key() { # NAME
	[ -z "$(etcd_do get "/rswap/1/torture/servers/${address[$1]}:10909" --keys-only || echo away)" ]
}

# A server that etcd has lost serves on: no session ends, and no page moves.
check_cut() { # NAME
	wait_for 10 has_no_key "$1" || fail "cut_from_etcd: $1 still has its key"
	wait_for 10 plugin_knows $((servers - 1)) || fail "cut_from_etcd: the plugin does not hear of it"
	grep -q 'serving clients meanwhile' "$dir/$1.log" || fail "cut_from_etcd: $1 does not say so"
	[ "$(ask p | grep -cE '^servers\.[0-9]+\.state up$')" = "$servers" ] ||
		fail "cut_from_etcd: a session has ended: $(ask p | grep '^servers')"
}

# At the end of a fault, before it is undone.  While etcd as a whole works, though
# slowly or without one of the three, no lease ends, and the plugin hears of a change.
# Without this such a fault would only show that no request waits for etcd.
check_etcd() { # KIND NAME
	local key=/rswap/1/torture/servers/192.0.2.2:10909
	case $1 in
	etcd_leader | etcd_stuck | etcd_minority | etcd_slow) ;;
	cut_from_etcd) check_cut "$2"; return ;;
	*) return 0 ;;
	esac
	[ "$(losses)" = "$losses_before" ] || fail "$1: a lease has ended"
	wait_for 10 servers_are_registered || fail "$1: not all servers are registered"
	wait_for 20 put_key "$key" || fail "$1: etcd takes no key"
	# Without a call now and then, a watch alone takes two minutes to miss its server.
	if [[ $config = *pool-reserve=* ]]; then
		wait_for 10 plugin_knows $((servers + 1)) || fail "$1: the plugin does not hear of a server"
	fi
	wait_for 20 etcd_do del "$key" >/dev/null || fail "$1: etcd deletes no key"
}

# While all are away from etcd, a key goes, and etcd drops the change: no watch can go
# on where it was.  Over when it has begun.
begin_etcd_compact() {
	local key=/rswap/1/torture/servers/192.0.2.1:10909 name revision
	add_key "$key"
	begin_etcd_gone
	for name in "${etcds[@]}"; do
		start_etcd "$name" 127.0.0.1
	done
	expect 60 local_etcds_are_well
	local_etcd_do del "$key" >/dev/null
	# The last change is kept.
	local_etcd_do put /torture/missed first >/dev/null
	local_etcd_do put /torture/missed second >/dev/null
	revision=$(local_etcd_do get /torture/missed -w json |
		sed 's/.*"mod_revision":\([0-9]*\).*/\1/')
	local_etcd_do compact "$revision" >/dev/null
	begin_etcd_gone
	undo_etcd_gone
}
undo_etcd_compact() { :; }

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

# Of what a server sends nothing comes to etcd, and nobody is told.  Its clients reach
# it.
begin_cut_from_etcd() { # NAME
	local name
	for name in "${etcds[@]}"; do
		ip -n "$prefix-$1" neigh replace "${address[$name]}" dev eth0 \
			lladdr 02:00:00:00:00:01 nud permanent
	done
}
undo_cut_from_etcd() { # NAME
	local name
	for name in "${etcds[@]}"; do
		ip -n "$prefix-$1" neigh del "${address[$name]}" dev eth0
	done
}

# etcd ends the lease of a server that lives.  If etcd has a fault too, it may not do so.
end_lease_of() { # NAME
	local lease
	lease=$(etcd_do get "/rswap/1/torture/servers/${address[$1]}:10909" -w json |
		sed -n 's/.*"lease":\([0-9]*\).*/\1/p')
	[ "$lease" ] && etcd_do lease revoke "$(printf %x "$lease")" >/dev/null
}
begin_lease() {
	end_lease_of "$1" 2>/dev/null && return
	[ -z "$sequence" ] || fail "the lease of $1 does not end"
	event "etcd does not end the lease of $1"
}
undo_lease() { :; }
