#!/bin/bash
# The fallback's disk hangs (its file system is frozen, so that writes do not
# return): requests to the memory server go on, and those to the disk end at their
# deadline.  When the disk goes on, so do they.
. "$(dirname "$0")/functions.sh"

# The mount ends with the test.
if [ -z "${RSWAP_OWN_MOUNTS:-}" ]; then
	requires unshare --mount true
	rmdir "$dir"
	RSWAP_OWN_MOUNTS=1 exec unshare --mount "$BASH" "$0" "$@"
fi
fs=$dir/fs
mkdir "$fs"
truncate --size=64M "$dir/image"
requires mkfs.ext4 -q "$dir/image"
requires mount -o loop "$dir/image" "$fs"
# Before cleanup, which ends the processes and removes $dir.
end_mount() {
	local status=$?
	set +e
	fsfreeze --unfreeze "$fs" 2>/dev/null
	umount --lazy "$fs"
	(exit "$status")
	cleanup
}
trap end_mount EXIT

start_server a --memory=4M --slab-size=1M
start_plugin p "$(server a)" size=12M timeout=6 lanes=8 \
	fallback="$fs/spill" encrypt=off # so that a MiB is a slab
expect_req p ok write:0:12M:3
expect_value p servers.0.slabs -eq 4
expect_value p servers.1.slabs -eq 8

say "the disk hangs"
fsfreeze --freeze "$fs"
for i in 1 2 3; do
	req p "write:$((i + 7))M:4096:5" >"$dir/write.$i" &
	writers[i]=$!
done
# None of these ends before the disk goes on, if the disk holds others.
for i in 0 1 2 3; do
	expect_req p ok "write:${i}M:64K:4"
	expect_req p "stamp 4" "read:${i}M:64K"
	expect_req p "stamp 3" "read:$((i * 1024 + 64))K:64K"
done
for i in 1 2 3; do
	wait "${writers[i]}" || fail "exit status $?"
	[ "$(cat "$dir/write.$i")" = EIO ] || fail "$(cat "$dir/write.$i")"
done
expect_req p "stamp 4" read:0:64K

say "the disk goes on"
fsfreeze --unfreeze "$fs"
up() {
	[ "$(value p servers.1.state)" = up ]
}
expect 10 up
# A page whose write failed may have either content.
for i in 1 2 3; do
	expect_req p ok "write:$((i + 7))M:4096:6"
	expect_req p "stamp 6" "read:$((i + 7))M:4096"
done
expect_req p "stamp 3" read:5M:2M
