# shellcheck shell=bash
# Functions for scripts that run rswap inside a guest.  Source it after lib.sh.

memserver=$RSWAP_BUILD/memserver/rswap-memserver
rswapctl=$RSWAP_BUILD/ctl/rswapctl
plugin=$RSWAP_BUILD/plugin/nbdkit-rswap-plugin.so
# The front end: its program, and what attach needs to take it.
front=${RSWAP_FRONT:-nbd}
block_device=/dev/nbd0
PATH=$RSWAP_BUILD/plugin:$PATH
case $front in
nbd)
	front_program=rswap-nbd
	front_options=(--front=nbd)
	;;
nbdkit)
	front_program=nbdkit
	front_options=(--front=nbdkit --plugin="$plugin")
	;;
ublk)
	front_program=rswap-ublk
	front_options=(--front=ublk)
	block_device=/dev/ublkb0
	;;
*) die "RSWAP_FRONT=$front: allowed is nbd, nbdkit or ublk" ;;
esac
block_run=/run/rswap/${block_device#/dev/}
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

# attach TRANSPORT SIZE SERVER [OPTIONS...]: swap on $block_device.
attach()
{
	local transport=$1 size=$2 server=$3
	shift 3
	[ "$transport" = tcp ] || rxe_active || rxe_up
	[ "$front" = ublk ] || nbd_up
	"$rswapctl" attach "$server" --size="$size" --device="$block_device" \
		--transport="$transport" "${front_options[@]}" \
		--psk-file="$psk_file" "$@"
}

detach()
{
	"$rswapctl" detach "$block_device" "$@"
}

plugin_pid()
{
	pgrep -x "$front_program"
}

# status_value PATH [SOCKET]: what the plugin (or a server) tells.
status_value()
{
	printf 'status\n' |
		socat -t 5 - "UNIX-CONNECT:${2:-$block_run/control.sock}" |
		perl "$RSWAP_SRC/tests/flatten.pl" |
		sed -n "s/^$1 //p"
}

# On failure: what the plugin said.
tell_plugin_log()
{
	local status=$?
	[ "$status" = 0 ] || tail -n 20 "$block_run/log" >&2 || true
}
trap tell_plugin_log EXIT

# start_block TRANSPORT SIZE SERVER [KEYS...]: $block_device without swap on it.
block_pid=
start_block()
{
	local transport=$1 size=$2 server=$3 keys
	shift 3
	[ "$transport" = tcp ] || rxe_active || rxe_up
	mkdir -p "$block_run"
	keys=("$server" size="$size" transport="$transport"
		control="$block_run/control.sock" psk-file="$psk_file" "$@")
	if [ "$front" = ublk ]; then
		start_ublk "${keys[@]}"
	else
		start_nbd "${keys[@]}"
	fi
}

start_nbd()
{
	nbd_up
	if [ "$front" = nbdkit ]; then
		set -- nbdkit -f "$plugin" "$@"
	else
		set -- "$front_program" "$@"
	fi
	"$@" -U "$block_run/nbd.sock" 2>"$block_run/log" &
	block_pid=$!
	await 20 test -S "$block_run/control.sock" ||
		die "$front_program does not start"
	# A guest that gets little of a processor takes its time; of several
	# connections the kernel drops those that are silent for half a minute,
	# where it is not told otherwise.
	nbd-client -unix "$block_run/nbd.sock" "$block_device" -block-size 4096 \
		-connections 2 -timeout 600 >/dev/null
}

# start_ublk KEYS...: with ublk_options before.
ublk_options=()
start_ublk()
{
	load_modules ublk_drv
	rm -f "$block_run/pid"
	"$front_program" --id=0 --pidfile="$block_run/pid" "${ublk_options[@]}" "$@" \
		2>>"$block_run/log" &
	block_pid=$!
	await 60 started_or_ended "$block_pid" "$block_run/pid"
	[ -s "$block_run/pid" ] || die "rswap-ublk does not start"
}

started_or_ended()
{
	[ -s "$2" ] || ! kill -0 "$1" 2>/dev/null
}

swap_on()
{
	mkswap "$block_device" >/dev/null
	swapon --discard=pages "$block_device"
}

stop_block()
{
	[ "$front" = ublk ] || nbd-client -d "$block_device" >/dev/null
	kill "$block_pid"
	wait "$block_pid" || [ "$front" != ublk ] ||
		die "rswap-ublk ended with status $?"
	rm -rf "$block_run"
}
