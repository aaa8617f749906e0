#!/bin/bash
# How long a grant takes: a write that needs a new slab (ALLOC: the memory server
# populates the slab, locks it and, over RDMA, registers it), beside a write that
# needs none.  Without a stock and without spare slabs, which hide that.  It
# measures, and tests nothing.
#
#	rswap-grant.sh
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"

address=10.77.0.1
slabs=12
socket=/run/grant.sock
control=/run/grant.ctl

serves()
{
	[ -n "$(status_value slabs_live "$control" 2>/dev/null)" ]
}

# write_all MIB: a page of each slab; the median in microseconds
write_all()
{
	"$RSWAP_BUILD/bench/nbdlat" --socket=$socket --write --count=$slabs \
		--stride=$(($1 << 20)) | sed -n 's/^50=//p'
}

# measure TRANSPORT MIB
measure()
{
	local transport=$1 slab=$2 nbdkit_pid first second
	rm -f $socket
	start_memserver "$transport" $address $((slabs * slab))M \
		--slab-size="${slab}M" --stock=0 2>/run/memserver.log
	nbdkit -f -U $socket "$plugin" $address size=$((slabs * slab))M \
		transport="$transport" lanes=2 encrypt=off control=$control \
		psk-file="$psk_file" 2>/run/grant.log &
	nbdkit_pid=$!
	await 20 serves || die "nbdkit does not start: $(</run/grant.log)"
	first=$(write_all "$slab")
	second=$(write_all "$slab")
	[ "$(status_value slabs_live $control)" = $slabs ] ||
		die "the writes did not take $slabs slabs"
	kill "$nbdkit_pid"
	wait "$nbdkit_pid" || true
	stop_memserver
	echo "$transport, slabs of $slab MiB: $first us with ALLOC, $second us without"
}

for slab in 2 4 8 16 64; do
	for transport in tcp rdma; do
		measure $transport $slab
	done
done
