#!/bin/bash
# rswap's device as a block device: fio with verify on it, then a file
# system, files copied to it, read back and compared, and checked.
#
#	rswap-block.sh TRANSPORT
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/lib.sh"
. "$here/rswap-lib.sh"

transport=${1:?rdma or tcp}

run_fio()
{
	fio --name=verify --filename="$block_device" --ioengine=libaio --direct=1 \
		--rw=randwrite --bsrange=4k-128k --size=96M --iodepth=16 \
		--verify=crc32c --verify_fatal=1 --verify_dump=0 \
		--randseed=1 --output=/run/fio.out ||
		{ cat /run/fio.out >&2; die "fio found wrong data"; }
}

copy_files()
{
	mkfs.ext4 -q -b 4096 "$block_device"
	mkdir -p /mnt
	mount "$block_device" /mnt
	cp -r "$RSWAP_SRC"/{common,plugin,memserver,docs} /mnt
	dd if=/dev/urandom of=/mnt/random bs=1M count=64 status=none
	cp /mnt/random /mnt/random.copy
	umount /mnt
	echo 3 >/proc/sys/vm/drop_caches
}

check_files()
{
	fsck.ext4 -f -n "$block_device" || die "fsck found errors"
	mount -o ro "$block_device" /mnt
	cmp /mnt/random /mnt/random.copy
	diff -r "$RSWAP_SRC/plugin" /mnt/plugin
	umount /mnt
}

start_memserver "$transport" 10.77.0.1 768M
start_block "$transport" 512M 10.77.0.1
say "fio"
run_fio
say "a file system"
copy_files
check_files
[ "$(status_value errors)" = 0 ] || die "requests failed"
stop_block
stop_memserver
kernel_log_clean
say "done"
