# A network of the test's own: the plugin and each server in a namespace, joined
# by a bridge in one more, so that nothing of the machine's network is touched
# and each can be cut off.  Sourced after ../integration/functions.sh.
# shellcheck shell=bash

prefix=rt$$
hub=$prefix-hub
declare -A address=() # of NAME

# Leftovers of runs that were killed.
sweep_namespaces() {
	local ns owner
	ip netns list | while read -r ns _; do
		[[ $ns =~ ^rt([0-9]+)- ]] || continue
		owner=${BASH_REMATCH[1]}
		[ -d "/proc/$owner" ] || ip netns del "$ns"
	done
}

# Exit status 77 where there can't be any.
net_create() {
	local out
	[ "$(id -u)" = 0 ] || skip "needs: root, for network namespaces"
	requires command -v ip
	requires command -v nsenter
	sweep_namespaces
	out=$(ip netns add "$hub" 2>&1) ||
		skip "no network namespace: $out"
	out=$(ip -n "$hub" link add br0 type bridge 2>&1) ||
		skip "no bridge: $out"
	ip -n "$hub" link set br0 up
	# Without a name it lasts as long as somebody is in it: so that all can
	# end as they should, when the names are gone.
	(in_ns hub sleep infinity) &
	disown
}

# net_join NAME NUMBER: 10.210.0.NUMBER is in the namespace of that name
net_join() {
	local name=$1 ns=$prefix-$1 out
	address[$name]=10.210.0.$2
	ip netns add "$ns"
	out=$(ip -n "$hub" link add "$name" type veth \
		peer name eth0 netns "$ns" 2>&1) || skip "no veth: $out"
	ip -n "$hub" link set "$name" master br0 up
	ip -n "$ns" link set lo up
	ip -n "$ns" addr add "10.210.0.$2/24" dev eth0
	ip -n "$ns" link set eth0 up
}

net_destroy() {
	local ns
	for ns in "${!address[@]}"; do
		ip netns del "$prefix-$ns" 2>/dev/null
	done
	ip netns del "$hub" 2>/dev/null
}

# in_ns NAME COMMAND...: replaces this process, so in the background or in a
# subshell only; it ends with the test, whatever ends that.
in_ns() {
	local ns=$prefix-$1
	shift
	exec setpriv --pdeathsig KILL nsenter --net="/run/netns/$ns" -- "$@"
}

# The port of NAME forwards nothing, and nobody is told.
port_off() {
	nsenter --net="/run/netns/$hub" bridge link set dev "$1" state 0
}

port_on() {
	nsenter --net="/run/netns/$hub" bridge link set dev "$1" state 3
}

have_netem() {
	ip netns exec "$hub" tc qdisc add dev br0 root netem delay 1ms \
		2>/dev/null || return 1
	ip netns exec "$hub" tc qdisc del dev br0 root
}

# shape NAME ARGUMENT...: both ways; no arguments: as it was
shape() {
	local name=$1
	shift
	nsenter --net="/run/netns/$hub" tc qdisc del dev "$name" root \
		2>/dev/null || true
	nsenter --net="/run/netns/$prefix-$name" tc qdisc del dev eth0 root \
		2>/dev/null || true
	[ $# -gt 0 ] || return 0
	nsenter --net="/run/netns/$hub" tc qdisc add dev "$name" root "$@"
	nsenter --net="/run/netns/$prefix-$name" \
		tc qdisc add dev eth0 root "$@"
}

# Where the kernel has no netem: the port forwards nothing for 20 to 80 ms,
# again and again, until it is ended.
lose_packets() { # NAME
	local draw
	trap 'port_on "$1"; exit 0' TERM
	while :; do
		draw=$((RANDOM % 60))
		port_off "$1"
		sleep "0.0$((20 + draw))"
		port_on "$1"
		sleep "0.$((10 + draw))"
	done
}
