#!/bin/bash
# How much memory the servers keep for what is left when programs that swapped
# have shrunk to a tenth: memory taken over memory present, by slab size and by
# what the programs give back (tests/shrink.c).
#
#	rswap-shrink.sh TRANSPORT [SLAB_SIZE,... [PATTERN,... [SIZE [LIMIT [DEVICE]]]]]
#
# A slab size of "default" is the memory server's own: where it is the only one,
# a figure of 2 or more fails.
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"

transport=${1:?rdma or tcp}
slab_sizes=${2:-default}
patterns=${3:-tail,chunk:4M}
size=${4:-200M}
limit=${5:-40M}
device=${6:-1G}
rotational=${RSWAP_SHRINK_ROTATIONAL:-}
address=10.77.0.1
results=/run/shrink.results

# The repairer frees empty slabs after some seconds.
settled()
{
	local now
	now="$(status_value pages_present) $(status_value slabs_live)"
	[ "$now" = "$before" ] && [ $((SECONDS - since)) -ge 6 ] && return 0
	[ "$now" = "$before" ] || since=$SECONDS
	before=$now
	return 1
}

await_settled()
{
	before= since=$SECONDS
	await 90 settled || die "it does not settle"
}

measure() # SLAB_SIZE PATTERN
{
	local shrink_pid present taken most swapped begin_ms fill_ms
	rm -f /run/shrink.said /run/shrink.hold
	mkfifo /run/shrink.hold
	swapped=$(vmstat_value pswpout)
	begin_ms=$(date +%s%3N)
	run_in_cgroup limited "$RSWAP_BUILD/tests/shrink" --size="$size" \
		--keep=10 --pattern="$2" </run/shrink.hold >/run/shrink.said &
	shrink_pid=$!
	exec 9>/run/shrink.hold
	await 240 grep -q shrunk /run/shrink.said || die "$2 does not shrink"
	fill_ms=$(($(date +%s%3N) - begin_ms))
	most=$(status_value slabs_live)
	await_settled
	present=$(status_value present_bytes)
	taken=$(status_value taken_bytes)
	echo "slab=$1 pattern=$2 swapped=$((($(vmstat_value pswpout) - swapped) / 256))M" \
		"fill_ms=$fill_ms slabs_most=$most slab_bytes=$(status_value slab_bytes)" \
		"present=$((present / 1048576))M taken=$((taken / 1048576))M" \
		"ratio=$(awk -v t=$taken -v p=$present 'BEGIN { printf "%.2f", p ? t / p : 0 }')" |
		tee -a "$results"
	exec 9>&-
	wait "$shrink_pid" || die "$2: a page is wrong"
}

make_cgroup limited "$limit"
for slab in ${slab_sizes//,/ }; do
	options=()
	[ "$slab" = default ] || options=(--slab-size="$slab")
	# sealed pages are 0.4 % longer
	start_memserver "$transport" "$address" \
		$(($(numfmt --from=iec "$device") * 65 / 64)) "${options[@]}"
	attach "$transport" "$device" "$address" >/dev/null
	[ -z "$rotational" ] ||
		echo "$rotational" >/sys/block/nbd0/queue/rotational
	if [ -n "$rotational" ]; then # swapon looks at it
		swapoff /dev/nbd0
		swapon --discard=pages -p 100 /dev/nbd0
	fi
	for pattern in ${patterns//,/ }; do
		measure "$slab" "$pattern"
	done
	detach >/dev/null
	stop_memserver
	rm -f /run/memserver.port
done
kernel_log_clean
if [ "$slab_sizes" = default ]; then
	! sed -n 's/.*ratio=//p' "$results" | awk '$1 >= 2 { bad = 1 } END { exit !bad }' ||
		die "more than twice the memory is taken"
fi
say "done"
