#!/bin/bash
# A client that means harm, over RDMA: it tries every rkey of another machine's
# plugin and of its own sessions, offsets and tokens that are not its own, and
# slabs that it gave back (../hostile/hostile-verbs.c).  Meanwhile fio writes,
# reads and verifies through that plugin, which notices nothing.
#
#	rswap-hostile.sh
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"

hostile=$RSWAP_BUILD/tests/vm/hostile-verbs
log=/run/rswap/nbd0/log
on=/run/hostile.on
keys_of_all=/run/all.keys
keys_of_thief=/run/thief.keys

verify()
{
	fio --name=verify --filename=/dev/nbd0 --ioengine=libaio --direct=1 \
		--rw=randwrite --bsrange=4k-64k --size=12M --iodepth=4 \
		--verify=crc32c --verify_fatal=1 --verify_dump=0 \
		--randrepeat=0 --eta=never --output=/run/fio.out
}

# Until $on is gone, and at least once.
verify_on()
{
	while [ -e $on ]; do
		verify || return 1
		echo pass
	done
}

# The rkeys of all memory that the memory server has registered.  The plugin's
# own memory has none.
rkeys()
{
	rdma resource show mr |
		sed -nE 's/.* rkey (0x[1-9a-f][0-9a-f]*) .*/\1/p'
}

# Without spares: a spare of the hostile client's own session is its own, and an
# rkey that it guesses may be that.
(umask 077
	echo "thief:$(printf '%032x' 16 17)" >$keys_of_thief
	cat "$psk_file" $keys_of_thief >$keys_of_all)
start_memserver rdma 10.77.0.1 64M --slab-size=1M --stock=0 \
	--psk-file=$keys_of_all 2>/run/memserver.log
start_block rdma 16M 10.77.0.1
verify || { cat /run/fio.out >&2; die "fio found wrong data"; }
rkeys >/run/rkeys
mapfile -t keys </run/rkeys
[ "${#keys[@]}" -ge 12 ] ||
	die "the kernel knows ${#keys[@]} rkeys of the memory server: \
$(rdma resource show mr)"
lines=$(wc -l <$log)
touch $on
verify_on >/run/passes &
fio_pid=$!
await 60 test -s /run/passes || die "fio does not begin"
before=$(wc -l </run/passes)

say "${#keys[@]} rkeys of the plugin's slabs"
"$hostile" 10.77.0.1 $keys_of_thief "${keys[@]}" || die "the memory server gave way"
kill -0 $fio_pid || { cat /run/fio.out >&2; die "fio found wrong data"; }
rm $on
wait $fio_pid || { cat /run/fio.out >&2; die "fio found wrong data"; }
say "fio went over all $(wc -l </run/passes) times, $before of them before"

[ "$(wc -l <$log)" = "$lines" ] ||
	die "the plugin says: $(tail -n +$((lines + 1)) $log)"
for figure in errors servers.0.reconnects servers.0.recoveries; do
	[ "$(status_value $figure)" = 0 ] ||
		die "$figure is $(status_value $figure)"
done
# each refused lane has a line in the server's log
[ "$(grep -c "a lane's token joins nothing" /run/memserver.log)" -ge 7 ] ||
	die "the server says: $(</run/memserver.log)"
stop_block
stop_memserver
kernel_log_clean
say "done"
