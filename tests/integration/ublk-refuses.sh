#!/bin/bash
# What rswap-ublk refuses, in one line that says what is allowed.  The device
# itself is tested in a guest (vm/ublk).
. "$(dirname "$0")/functions.sh"

# refuses "WORD..." ARGUMENT...
refuses() {
	local words status=0
	read -ra words <<<"$1"
	shift
	timeout $((20 * slow)) "$build/plugin/rswap-ublk" "$@" >"$dir/out" \
		2>"$dir/err" || status=$?
	[ "$status" = 1 ] || fail "$*: exit status $status, $(cat "$dir/err")"
	expect_one_line "$dir/err" "${words[@]}"
}

for id in x -1 1048576 ""; do
	refuses "--id=$id auto or a number from 0 to 1048575" --id=$id size=1G h
done
for depth in 0 1025 x; do
	refuses "--depth=$depth 1 to 1024" --depth=$depth size=1G h
done
for queues in 0 65 x; do
	refuses "--queues=$queues auto or a number from 1 to 64" \
		--queues=$queues size=1G h
done
# each queue has a lane for reads
refuses "--queues=22 lanes=42 at most 21" --queues=22 lanes=42 size=1G h
refuses "--queues=2 lanes=3 at most 1" --queues=2 lanes=3 size=1G h
refuses "--delete=auto a number from 0 to 1048575" --delete=auto
refuses "size=1G --delete=N goes without keys" --delete=0 size=1G
refuses "server is missing" size=1G
refuses "size is missing" 127.0.0.1
refuses "lane=3 no such key" 127.0.0.1 size=1G lane=3
refuses "size=1000 multiple of 4096" 127.0.0.1 size=1000

if [ ! -e /dev/ublk-control ]; then
	say "no driver"
	refuses "/dev/ublk-control modprobe ublk_drv Linux 6.4" 127.0.0.1 size=1G
	refuses "/dev/ublk-control modprobe ublk_drv" --delete=0
	for queues in "--queues=21 lanes=42" "--queues=1 lanes=1"; do
		# shellcheck disable=SC2086
		refuses "/dev/ublk-control" $queues 127.0.0.1 size=1G
	done
fi
