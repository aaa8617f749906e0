#!/bin/bash
# fio's nbd engine: random writes verified by checksum, several jobs at once.
. "$(dirname "$0")/functions.sh"

requires fio --enghelp=nbd
start_server a --memory=256M --slab-size=4M
start_server b --memory=256M --slab-size=4M
start_plugin p "$(server a)" "$(server b)" size=128M

# fio NAME OPTION...
run_fio() {
	timeout $((60 * slow)) fio --name="$1" --ioengine=nbd \
		--uri="$(uri p)" --group_reporting --output="$dir/fio.log" \
		--verify=crc32c --verify_fatal=1 --verify_state_save=0 \
		--randrepeat=0 --numjobs=4 --size=32M --offset_increment=32M \
		"${@:2}" || {
		cat "$dir/fio.log"
		fail "fio: $1"
	}
	grep -q 'err= 0' "$dir/fio.log" || fail "fio: no result of $1"
}

run_fio pages --rw=randwrite --bs=4k --iodepth=32
run_fio mixed --rw=randrw --bsrange=4k-1m --bs_unaligned=0 --blockalign=4k \
	--iodepth=8
expect_value p errors -eq 0
expect_value p writes -gt 30000
