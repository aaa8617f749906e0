# What the integration tests share; they source it first.  A test has a
# directory of its own ($dir), starts real servers and real nbdkits by a name of
# its choice, and leaves nothing behind.
#
# Exit status: 0 passed, 77 skipped, anything else failed.
# shellcheck shell=bash
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
src=${RSWAP_SRC:-$(cd "$here/../.." && pwd)}
build=${RSWAP_BUILD:-$src/build}
sanitizer=${RSWAP_SANITIZER:-}
memserver=$build/memserver/rswap-memserver
plugin=$build/plugin/nbdkit-rswap-plugin.so
# The front end that start_plugin starts: nbdkit with the plugin, or rswap-nbd.
front=${RSWAP_FRONT:-nbdkit}
rswap_nbd=$build/plugin/rswap-nbd
programs=$build/tests/integration

# Not /tmp, which may be memory: no place for a fallback.
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/rswap.XXXXXX")
declare -A pid port

say() {
	echo "$(basename "$0"): $*"
}

fail() {
	say "FAILED: $*" >&2
	exit 1
}

skip() {
	say "skipped: $*"
	exit 77
}

# requires COMMAND...: skips the test where it fails
requires() {
	"$@" >/dev/null 2>&1 || skip "needs: $*"
}

# --- sanitizers ---

# A sanitized plugin wants its runtime in nbdkit, which isn't sanitized.
preload=
case $sanitizer in
asan)
	preload="$(gcc -print-file-name=libasan.so) $programs/preload.so"
	export UBSAN_OPTIONS=print_stacktrace=1
	export ASAN_OPTIONS=detect_stack_use_after_return=1
	export LSAN_OPTIONS=suppressions=$src/tests/lsan.supp:print_suppressions=0
	slow=3
	;;
tsan)
	preload="$(gcc -print-file-name=libtsan.so) $programs/preload.so"
	export TSAN_OPTIONS=suppressions=$src/tests/tsan.supp:print_suppressions=0
	slow=5
	# its shadow memory has no place for addresses that are all too random
	if [ -z "${RSWAP_NOT_RANDOM:-}" ]; then
		rmdir "$dir"
		RSWAP_NOT_RANDOM=1 exec setarch -R "$BASH" "$0" "$@"
	fi
	;;
*)
	slow=1
	;;
esac

sanitizer_reports() {
	grep -lE 'ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:|Sanitizer:DEADLYSIGNAL' \
		"$dir"/*.log 2>/dev/null
}

# --- the end ---

alive() { # NAME
	! gone "${pid[$1]}"
}

# Ends NAME with a signal and waits until it is gone; its exit status.
stop() { # NAME [SIGNAL]
	local name=$1 signal=${2:-TERM} status=0 process=${pid[$1]}
	unset "pid[$name]"
	kill "-$signal" "$process" 2>/dev/null || true
	if ! wait_for 15 gone "$process"; then
		say "$name does not end on SIG$signal" >&2
		kill -KILL "$process"
	fi
	wait "$process" 2>/dev/null || status=$?
	return "$status"
}

# A process that has ended and wasn't waited for is gone too.
gone() { # PID
	local state
	state=$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null) || return 0
	[ -z "$state" ] || [ "$state" = Z ]
}

# Every signal that it was sent has been taken.
no_signal() { # PID
	! grep -qE '^(SigPnd|ShdPnd):.*[1-9a-f]' "/proc/$1/status"
}

show_logs() {
	local log name
	for name in "${!pid[@]}"; do
		[ -S "$dir/$name.ctl" ] || continue
		echo "--- status of $name"
		ask "$name" || true
	done >&2
	for log in "$dir"/*.log; do
		[ -s "$log" ] || continue
		echo "--- $(basename "$log")"
		tail -n "${1:-40}" "$log"
	done >&2
}

cleanup() {
	local status=$? name
	trap - EXIT
	set +e
	if [ "$status" = 0 ]; then
		# nbdkits first, as an administrator would
		for name in "${!pid[@]}"; do
			[ ! -e "$dir/$name.sock" ] || end_well "$name"
		done
		for name in "${!pid[@]}"; do
			end_well "$name"
		done
	else
		for name in "${!pid[@]}"; do
			kill -CONT "${pid[$name]}" 2>/dev/null
		done
		[ "$status" = 77 ] || show_logs
		for name in "${!pid[@]}"; do
			kill -KILL "${pid[$name]}" 2>/dev/null
		done
	fi
	wait 2>/dev/null
	if [ "$status" != 77 ] && sanitizer_reports >/dev/null; then
		say "sanitizer reports" >&2
		show_logs 100
		status=1
	fi
	rm -rf "$dir"
	exit "$status"
}

# What a test has left running has to end as it should: sets status.
end_well() { # NAME
	local ended=0
	stop "$1" || ended=$?
	[ "$ended" = 0 ] && return
	say "$1: exit status $ended after SIGTERM" >&2
	status=1
}
trap cleanup EXIT
trap 'exit 1' INT TERM HUP

# --- waiting ---

# wait_for SECONDS COMMAND...: until it succeeds; false when it never does
wait_for() {
	local end=$((SECONDS + $1 * slow + 1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# expect SECONDS COMMAND...: the same, and fails the test
expect() {
	wait_for "$@" || fail "not within $1 seconds: ${*:2}"
}

# --- servers and plugins ---

# start_server NAME OPTION...: listens on a free port, or, after it was stopped,
# on the one it had
start_server() {
	local name=$1
	shift
	rm -f "$dir/$name.port"
	"$memserver" --listen="127.0.0.1:${port[$name]:-0}" \
		--port-file="$dir/$name.port" --control="$dir/$name.ctl" "$@" \
		>>"$dir/$name.log" 2>&1 &
	pid[$name]=$!
	expect 10 test -s "$dir/$name.port"
	port[$name]=$(head -n 1 "$dir/$name.port")
}

# The command line of nbdkit with the plugin, as an array.
nbdkit_command() {
	nbdkit=(nbdkit -f)
	if [ "$preload" ]; then
		nbdkit=(env LD_PRELOAD="$preload" nbdkit -f)
	fi
}

# The command line of the front end, as an array.
front_command() { # NBDKIT-OPTION...
	if [ "$front" = nbd ]; then
		front_command=("$rswap_nbd")
	else
		nbdkit_command
		front_command=("${nbdkit[@]}" "$@" "$plugin")
	fi
}

# start_plugin NAME [-OPTION...] KEY=VALUE...: options are nbdkit's own, each one
# word, and other front ends do without
start_plugin() {
	local name=$1 options=()
	shift
	while [[ ${1:-} == -* ]]; do
		options+=("$1")
		shift
	done
	rm -f "$dir/$name.sock" # nbdkit leaves it behind
	front_command "${options[@]}"
	"${front_command[@]}" -U "$dir/$name.sock" \
		control="$dir/$name.ctl" "$@" >>"$dir/$name.log" 2>&1 &
	pid[$name]=$!
	expect 20 serves_or_ended "$name"
	alive "$name" || fail "$name does not start"
}

serves_or_ended() { # NAME
	gone "${pid[$1]}" || ask "$1" >/dev/null
}

# network NET NAME: a network to the server NAME, by proxy.pl, as the process NET;
# after it was stopped, on the port that it had
network() {
	local own=${port[$1]:-}
	rm -f "$dir/$1.port"
	perl "$src/tests/integration/proxy.pl" "${port[$2]}" ${own:+"$own"} \
		>"$dir/$1.port" 2>>"$dir/$1.log" &
	pid[$1]=$!
	expect 20 test -s "$dir/$1.port"
	port[$1]=$(cat "$dir/$1.port")
}

server() { # NAME: its address
	echo "127.0.0.1:${port[$1]}"
}

uri() { # NAME
	echo "nbd+unix:///?socket=$dir/$1.sock"
}

# --- what they tell ---

# What the control socket of NAME answers to a command: JSON.
tell() { # NAME COMMAND
	perl -MIO::Socket::UNIX -e '
		alarm shift;
		my $s = IO::Socket::UNIX->new(Peer => shift) or exit 1;
		print $s "@ARGV\n";
		$s->flush;
		my $n = 0;
		while (<$s>) { print; $n++ }
		exit($n ? 0 : 1)' $((10 * slow)) "$dir/$1.ctl" "$2"
}

# Everything that it tells of itself, as lines "path value" (tests/flatten.pl).
ask() { # NAME
	tell "$1" status | perl "$src/tests/flatten.pl"
}

value() { # NAME PATH
	local answer
	answer=$(ask "$1") || fail "$1 does not answer on its control socket"
	awk -v key="$2" '$1 == key { sub(/^[^ ]* /, ""); print; found = 1 }
		END { exit !found }' <<<"$answer" ||
		fail "the status of $1 has no $2"
}

# is NAME KEY OPERATOR NUMBER, as in: is a slabs_used -gt 3
is() {
	test "$(value "$1" "$2")" "$3" "$4"
}

# the same, and fails the test
expect_value() {
	local now
	now=$(value "$1" "$2")
	test "$now" "$3" "$4" || fail "$1: $2 is $now, and not $3 $4"
}

# expect_more SECONDS NAME KEY NUMBER: KEY becomes so much more than it is now, and
# does not stand still for SECONDS seconds meanwhile.  How long it takes in all
# depends on what else the machine does.
expect_more() {
	local now wanted
	now=$(value "$2" "$3")
	wanted=$((now + $4))
	while [ "$now" -lt "$wanted" ]; do
		expect "$1" is "$2" "$3" -gt "$now"
		now=$(value "$2" "$3")
	done
}

# --- what they say ---

# has FILE TEXT: a line has it (no pattern)
has() {
	grep -qF -e "$2" "$1"
}

# How many lines have it.
lines_with() { # FILE TEXT
	grep -cF -e "$2" "$1" || true
}

# has_line FILE WORD...: some line has them all
has_line() {
	local file=$1 found word
	found=$(cat "$file")
	shift
	for word; do
		found=$(grep -F -e "$word" <<<"$found") || return 1
	done
}

# A log is written by a thread of its own: a line may come after what it tells.

# expect_line FILE WORD...: the same, soon
expect_line() {
	wait_for 5 has_line "$@" ||
		fail "no line of $(basename "$1") has: ${*:2}"
}

at_least_lines() { # FILE TEXT NUMBER
	[ "$(lines_with "$1" "$2")" -ge "$3" ]
}

# expect_lines FILE TEXT NUMBER: so many lines have it, soon, and no more
expect_lines() {
	expect 5 at_least_lines "$@"
	[ "$(lines_with "$1" "$2")" = "$3" ] ||
		fail "more than $3 lines of $(basename "$1") have: $2"
}

# expect_one_line FILE WORD...: there is one line only, and it has them all
expect_one_line() {
	[ "$(wc -l <"$1")" = 1 ] ||
		fail "not one line: $(cat "$1") (wanted: ${*:2})"
	expect_line "$@"
}

# --- refusals ---

# server_refuses "WORD..." OPTION...: the server ends with exit status 1, and with
# one line, which has all these words
server_refuses() {
	local words status=0
	read -ra words <<<"$1"
	shift
	timeout $((20 * slow)) "$memserver" "$@" >"$dir/out" 2>"$dir/err" ||
		status=$?
	[ "$status" = 1 ] ||
		fail "server $*: exit status $status, $(cat "$dir/err")"
	expect_one_line "$dir/err" "${words[@]}"
}

# plugin_fails KEY=VALUE...: the plugin ends with exit status 1, and $dir/err has
# its log
plugin_fails() {
	local status=0
	rm -f "$dir/fails.sock" # nbdkit leaves it behind
	nbdkit_command
	timeout $((20 * slow)) "${nbdkit[@]}" -U "$dir/fails.sock" "$plugin" \
		"$@" >"$dir/out" 2>"$dir/err" || status=$?
	[ "$status" = 1 ] ||
		fail "plugin $*: exit status $status, $(cat "$dir/err")"
}

# plugin_refuses "WORD..." KEY=VALUE...: and its log is one line, which has all these
# words
plugin_refuses() {
	local words
	read -ra words <<<"$1"
	plugin_fails "${@:2}"
	expect_one_line "$dir/err" "${words[@]}"
}

# --- requests ---

# How many TCP connections a plugin of so many lanes has to a server: pairs, as
# plugin/transport/tcp.c says.
tcp_connections() { # LANES
	local pairs=$(($(nproc) / 4))
	[ "$pairs" -le 4 ] || pairs=4
	[ "$pairs" -le "$1" ] || pairs=$1
	echo $((2 * (pairs > 0 ? pairs : 1)))
}

# Carries out requests by req.c; one line of result for each.
req() { # NAME REQUEST...
	timeout $((60 * slow)) "$programs/req" "$(uri "$1")" "${@:2}"
}

# expect_req NAME "RESULT" REQUEST: that is the result
expect_req() {
	local result
	result=$(req "$1" "$3" 2>&1) || true
	[ "$result" = "$2" ] || fail "$3 on $1: \"$result\", expected \"$2\""
}

# A byte of PAGE, which holds STAMP, changes in the memory of the server NAME.  The
# plugin does not seal pages.
spoil() { # NAME STAMP PAGE
	perl "$src/tests/integration/spoil.pl" "${pid[$1]}" "$2" "$3" ||
		fail "page $3 of stamp $2 is not in the memory of $1 just once"
}

# Verified random requests by shadow.c.
shadow() { # NAME OPTION...
	timeout $((60 * slow)) "$programs/shadow" "${@:2}" "$(uri "$1")"
}

# The same in the background, as the process SHADOW, with a log, until it is told
# to end or its time is over.
# Large requests hold the lanes for so long that a slow machine does little else.
start_shadow() { # SHADOW NAME OPTION...
	rm -f "$dir/$1.end"
	timeout $((310 * slow)) "$programs/shadow" --max=512K "${@:3}" \
		--seconds=$((300 * slow)) --until="$dir/$1.end" \
		"$(uri "$2")" >"$dir/$1.log" 2>&1 &
	pid[$1]=$!
}

# Ends it, and wants it to have found nothing wrong.
finish_shadow() { # SHADOW
	local status=0
	touch "$dir/$1.end"
	wait "${pid[$1]}" || status=$?
	unset "pid[$1]"
	[ "$status" = 0 ] || fail "$1: exit status $status"
	tail -n 1 "$dir/$1.log"
}
