# shellcheck shell=bash
# Functions for scripts that run inside a guest (see ../README.md).  Source it
# after set -euo pipefail.

: "${RSWAP_SRC:?is set by tests/vm/guest}"
: "${RSWAP_BUILD:=$RSWAP_SRC/build}"
. "$RSWAP_SRC/tests/vm/kernel-log.bash"

die()
{
	echo "${0##*/}: $*" >&2
	exit 1
}

say()
{
	echo "[$(cut -d' ' -f1 /proc/uptime)] $*"
}

# await SECONDS COMMAND ARGS...: until the command succeeds, but no longer.  Not
# the time is counted but the looks, five for each second: what takes its time in
# a guest that gets little of a processor is given more of it.
await()
{
	local looks=$((5 * $1))
	shift
	until "$@"; do
		[ $((looks--)) -gt 0 ] || return 1
		sleep 0.2
	done
}

load_modules()
{
	local module
	for module in "$@"; do
		modprobe "$module" || die "modprobe $module"
	done
}

rxe_active()
{
	rdma link show rxe0/1 2>/dev/null | grep -q 'state ACTIVE'
}

# rxe_up [NETDEV]: a soft-RoCE device rxe0, with the programs' interfaces to
# it (uverbs, rdma_cm), ready for connections.
rxe_up()
{
	load_modules rdma_rxe ib_uverbs rdma_ucm
	rdma link add rxe0 type rxe netdev "${1:-eth0}"
	await 20 rxe_active || die "rxe0 does not become active"
}

nbd_up()
{
	load_modules nbd
	await 10 test -b /dev/nbd0 || die "there is no /dev/nbd0"
}

# make_cgroup NAME BYTES: processes in it have that much memory, and swap.
make_cgroup()
{
	local dir=/sys/fs/cgroup/$1
	echo +memory >/sys/fs/cgroup/cgroup.subtree_control
	mkdir -p "$dir"
	echo "$2" >"$dir/memory.max"
}

# run_in_cgroup NAME COMMAND ARGS...
run_in_cgroup()
(
	echo "$BASHPID" >"/sys/fs/cgroup/$1/cgroup.procs"
	shift
	exec "$@"
)

# start_in_cgroup NAME COMMAND ARGS...: in the background; $program is its process.
start_in_cgroup()
{
	local group=$1
	shift
	"$@" &
	program=$!
	echo "$program" >"/sys/fs/cgroup/$group/cgroup.procs"
}

# raise_ballast MIB: fills memory but for so much, that what is swapped out has no
# place in it
ballast=/run/ballast
raise_ballast()
{
	local mib
	mib=$(awk -v left="$1" '/^MemAvailable/ { print int($2 / 1024) - left }' \
		/proc/meminfo)
	mkdir -p $ballast
	mount -t tmpfs -o size=100% tmpfs $ballast
	head -c "${mib}M" /dev/zero >$ballast/file
}

drop_ballast()
{
	umount $ballast
}

# vmstat_value NAME, for instance pswpin.
vmstat_value()
{
	awk -v name="$1" '$1 == name { print $2 }' /proc/vmstat
}

# result_value KEY FILE: the value in a file of key=value lines.
result_value()
{
	sed -n "s/^$1=//p" "$2"
}

# Fails where the kernel's log tells of a hang, a kill or a lost page.  An
# allocation that failed is told, and no more: the kernel goes on without it.
kernel_log_clean()
{
	local bad='blocked for more than|oom-kill|Out of memory|BUG:|Oops'
	bad+='|soft lockup|detected stall|Call Trace|I/O error'
	bad+='|[Rr]ead-error on swap|[Ww]rite-error on swap|Possible stuck request'
	local benign='page allocation failure'
	local log
	log=$(dmesg | without_reads_of_the_disconnected)
	grep -E "$benign" <<<"$log" | sed 's/^/warning: /' || true
	log=$(sed "/$benign/,/Mem-Info/d" <<<"$log")
	# A task that waits for a page when the machine is to sleep: the kernel shows
	# it, and stays awake.
	log=$(sed '/refusing to freeze/,/Restarting tasks/d' <<<"$log")
	! grep -E "$bad" <<<"$log" || die "the kernel's log is not clean"
}
