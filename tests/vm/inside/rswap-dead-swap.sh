#!/bin/bash
# Swap that nobody serves any more: the front end is killed under it, and nbd-client -d
# disconnects it.  status, check and doctor say so, with the program that has
# pages there; detach takes the device away, and the program gets SIGBUS.
#
#	rswap-dead-swap.sh TRANSPORT
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"

transport=${1:?rdma or tcp}
address=10.77.0.1
results=/run/pagecheck.results
said=/run/said

# told STATUS COMMAND WORD...: rswapctl's exit status, and some line has the words
told()
{
	local wanted=$1 command=$2 status=0 found word
	shift 2
	timeout 60 "$rswapctl" "$command" >"$said" 2>&1 || status=$?
	[ "$status" = "$wanted" ] ||
		die "$command: exit status $status, not $wanted: $(cat "$said")"
	found=$(cat "$said")
	for word; do
		found=$(grep -F -e "$word" <<<"$found") ||
			die "$command: no line with $*: $(cat "$said")"
	done
}

# A program that has pages out there, and is stopped.
start_program()
{
	make_cgroup limited 60M
	run_in_cgroup limited "$RSWAP_BUILD/tests/pagecheck" --size=160M \
		--passes=0 --seconds=600 >"$results" &
	program=$!
	await 60 swapped_over 80 || die "nothing is swapped out"
	process=$(pgrep -x pagecheck)
	kill -STOP "$process"
	# its last requests
	await 30 nothing_in_flight || die "requests are in flight"
}

swapped_over()
{
	[ "$(awk '$1 == "/dev/nbd0" { print int($4 / 1024) }' /proc/swaps)" -gt "$1" ]
}

nothing_in_flight()
{
	[ "$(tr -s ' ' </sys/block/nbd0/inflight)" = " 0 0" ]
}

# dead WORD...: what all three say of it
dead()
{
	local command
	for command in status check doctor; do
		told 5 "$command" "$@" "swap on /dev/nbd0 is on with" SIGBUS
		told 5 "$command" "pages there: pagecheck (process $process, "
		told 5 "$command" "rswapctl detach nbd0"
	done
	cat "$said"
}

# end_dead STATUS...: detach brings nothing back, and ends in its time; the
# program ends with one of these.
end_dead()
{
	local status=0
	timeout 120 "$rswapctl" detach nbd0 >"$said" 2>&1 || status=$?
	cat "$said"
	[ "$status" = 2 ] || die "detach: exit status $status"
	grep -q "pagecheck (process $process, " "$said" ||
		die "detach does not say whose pages are lost"
	! grep -q nbd0 /proc/swaps || die "still a swap device"
	[ ! -e /sys/block/nbd0/pid ] || die "still connected"
	[ ! -e /run/rswap/nbd0 ] || die "its directory is still there"
	kill -CONT "$process" 2>/dev/null || true
	status=0
	wait "$program" || status=$?
	[[ " $* " == *" $status "* ]] ||
		die "the program ended with $status, not with one of $*"
}

sigbus=$((128 + 7)) sigkill=$((128 + 9))

start_memserver "$transport" "$address" 512M --grace=2

say "the front end is killed under swap"
attach "$transport" 256M "$address"
start_program
told 0 status kernel "swap on /dev/nbd0" "0 reads and 0 writes in flight"
told 0 check
front_process=$(plugin_pid)
kill -KILL "$front_process"
await 20 test ! -e "/proc/$front_process" || die "$front_program is still there"
dead "$front_program (process $front_process) is gone"
echo max >/sys/fs/cgroup/limited/memory.max
end_dead $sigbus

say "nbd-client -d under swap"
attach "$transport" 256M "$address"
start_program
front_process=$(plugin_pid)
nbd-client -d /dev/nbd0 >/dev/null
dead "/dev/nbd0 has no connection to $front_program (process $front_process)"

# The old ioctl takes new connections, and the kernel sends nothing there: so
# there are connections, and pages that can't be read.
say "nbd-client again, under the same swap"
nbd-client -nonetlink -unix /run/rswap/nbd0/nbd.sock /dev/nbd0 \
	-block-size 4096 -connections 2 >/dev/null
await 20 test "$(status_value connections)" = 2 || die "it is not connected"
dead "/dev/nbd0 has no connection to $front_program (process $front_process)"
# What is read in vain is charged to the group, which is full, and can put
# nothing out any more: the program may be killed for that.
end_dead $sigbus $sigkill
stop_memserver
say "done: dead swap is told and taken away over $transport"
