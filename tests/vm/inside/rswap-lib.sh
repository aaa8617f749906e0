# shellcheck shell=bash
# Functions for scripts that run rswap inside a guest.  Source it after lib.sh.

memserver=$RSWAP_BUILD/memserver/rswap-memserver
rswapctl=$RSWAP_BUILD/ctl/rswapctl
plugin=$RSWAP_BUILD/plugin/nbdkit-rswap-plugin.so
memserver_control=/run/rswap-memserver.sock
memserver_pid=
# The same in both guests of a pair, so it is no secret.
psk_file=/run/rswap-guest.keys
(umask 077 && echo "guest:$(printf '%032x' 14 15)" >$psk_file)

# start_memserver TRANSPORT ADDRESS MEMORY [OPTIONS...]: serves on port 10909.
start_memserver()
{
	local transport=$1 address=$2 memory=$3
	shift 3
	[ "$transport" = tcp ] || rxe_active || rxe_up
	rm -f /run/memserver.port
	"$memserver" --transport="$transport" --listen="$address" \
		--memory="$memory" --port-file=/run/memserver.port \
		--control="$memserver_control" --psk-file="$psk_file" "$@" &
	memserver_pid=$!
	await 20 test -s /run/memserver.port ||
		die "rswap-memserver does not start"
}

stop_memserver()
{
	[ -n "$memserver_pid" ] || return 0
	kill "$memserver_pid"
	wait "$memserver_pid" || die "rswap-memserver ended with status $?"
	memserver_pid=
}

# attach TRANSPORT SIZE SERVER [OPTIONS...]: swap on /dev/nbd0.
attach()
{
	local transport=$1 size=$2 server=$3
	shift 3
	[ "$transport" = tcp ] || rxe_active || rxe_up
	nbd_up
	"$rswapctl" attach "$server" --size="$size" --device=/dev/nbd0 \
		--transport="$transport" --plugin="$plugin" \
		--psk-file="$psk_file" "$@"
}

detach()
{
	"$rswapctl" detach nbd0 "$@"
}

plugin_pid()
{
	pgrep -x nbdkit
}

# status_value KEY [SOCKET]: what the plugin (or a server) tells.
status_value()
{
	printf 'status\n' |
		socat -t 5 - "UNIX-CONNECT:${2:-/run/rswap/nbd0/control.sock}" |
		sed -n "s/^$1 //p"
}

# On failure: what the plugin said.
tell_plugin_log()
{
	local status=$?
	[ "$status" = 0 ] || tail -n 20 /run/rswap/nbd0/log >&2 || true
}
trap tell_plugin_log EXIT

# start_block TRANSPORT SIZE SERVER [KEYS...]: /dev/nbd0 without swap on it.
block_pid=
start_block()
{
	local transport=$1 size=$2 server=$3
	shift 3
	[ "$transport" = tcp ] || rxe_active || rxe_up
	nbd_up
	mkdir -p /run/rswap/nbd0
	nbdkit -f -U /run/rswap/nbd0/nbd.sock "$plugin" "$server" \
		size="$size" transport="$transport" \
		control=/run/rswap/nbd0/control.sock psk-file="$psk_file" "$@" \
		2>/run/rswap/nbd0/log &
	block_pid=$!
	await 20 test -S /run/rswap/nbd0/control.sock ||
		die "nbdkit does not start"
	# A guest that gets little of a processor takes its time; of several
	# connections the kernel drops those that are silent for half a minute,
	# where it is not told otherwise.
	nbd-client -unix /run/rswap/nbd0/nbd.sock /dev/nbd0 -block-size 4096 \
		-connections 2 -timeout 600 >/dev/null
}

stop_block()
{
	nbd-client -d /dev/nbd0 >/dev/null
	kill "$block_pid"
	wait "$block_pid" || true
	rm -rf /run/rswap/nbd0
}
