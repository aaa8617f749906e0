# The faults: of each kind, how one begins with a server and how it is undone.
# Sourced by run, after net.sh.  What a fault needs to be undone is in the server
# processes, the network, and $undo_pid.
# shellcheck shell=bash

all_faults=(kill stop restart flap loss delay blackhole reject reset drain)
declare -A undo_pid=()
pool= # etcd.sh

# start_memserver NAME: with the options of run's command line
start_memserver() {
	local name=$1
	rm -f "$dir/$name.port"
	(in_ns "$name" "$memserver" --listen="${address[$name]}:10909" \
		--port-file="$dir/$name.port" --control="$dir/$name.ctl" \
		--memory="$memory" --slab-size="$slab_size" \
		--psk-file="$dir/keys" ${pool:+--pool="$pool"} \
		"${server_options[@]//@/$name}") >>"$dir/$name.log" 2>&1 &
	pid[$name]=$!
	expect 60 test -s "$dir/$name.port"
}

begin_kill() { stop "$1" KILL || true; }
undo_kill() { start_memserver "$1"; }

begin_stop() { kill -STOP "${pid[$1]}"; }
undo_stop() { kill -CONT "${pid[$1]}"; }

# As an administrator does it: it may take the time that its clients need to
# move what they have there.
begin_restart() { kill "${pid[$1]}"; }
undo_restart() {
	local status=0
	wait_for 60 gone "${pid[$1]}" ||
		fail "$1 does not leave within 60 seconds after SIGTERM"
	wait "${pid[$1]}" || status=$?
	[ "$status" = 0 ] || fail "$1: exit status $status after SIGTERM"
	start_memserver "$1"
}

begin_flap() { ip -n "$prefix-$1" link set eth0 down; }
undo_flap() { ip -n "$prefix-$1" link set eth0 up; }

begin_loss() {
	if [ "$netem" ]; then
		shape "$1" netem loss 10%
		return
	fi
	lose_packets "$1" &
	undo_pid[$1]=$!
}
undo_loss() {
	if [ "$netem" ]; then
		shape "$1"
		return
	fi
	kill "${undo_pid[$1]}"
	wait "${undo_pid[$1]}" || true
	unset "undo_pid[$1]"
	port_on "$1"
}

# A slow link is what a queue without netem can make.
begin_delay() {
	if [ "$netem" ]; then
		shape "$1" netem delay 30ms 10ms
	else
		shape "$1" tbf rate 8mbit burst 16k latency 300ms
	fi
}
undo_delay() { shape "$1"; }

begin_blackhole() { port_off "$1"; }
undo_blackhole() { port_on "$1"; }

begin_reject() {
	ip -n "$prefix-plugin" route add unreachable "${address[$1]}/32"
}
undo_reject() {
	ip -n "$prefix-plugin" route del unreachable "${address[$1]}/32"
}

begin_reset() {
	nsenter --net="/run/netns/$prefix-$1" \
		ss -tK state established 'sport = :10909' >/dev/null
}
undo_reset() { :; }

begin_drain() {
	"$build/ctl/rswapctl" drain --control="$dir/$1.ctl" ||
		fail "rswapctl drain of $1"
}
undo_drain() {
	"$build/ctl/rswapctl" drain --control="$dir/$1.ctl" --undo ||
		fail "rswapctl drain --undo of $1"
}

can_drain() {
	"$build/ctl/rswapctl" drain --help >/dev/null 2>&1
}
