#!/bin/bash
# What doctor tells of the machine: huge pages, RDMA devices with their NUMA node, MTU
# and GIDs, limits of control groups, and nbd's partitions.  /sys is the test's own.
. "$(dirname "$0")/harness.sh"

sys=$dir/sys
port=$sys/class/infiniband/mlx5_0/ports/1

put() { # PATH TEXT: below /sys
	mkdir -p "$(dirname "$sys/$1")"
	echo "$2" >"$sys/$1"
}

doctor() { # OPTION...
	"$ctl" doctor "$@" >"$dir/said" 2>&1 || true
}

says() { # WORD...
	expect_line "$dir/said" "$@"
}

says_not() { # CODE
	! has "$dir/said" "[$1]" || fail "$1: $(cat "$dir/said")"
}

# A machine with nothing wrong.
put_machine() {
	put kernel/mm/transparent_hugepage/enabled 'always [madvise] never'
	put devices/system/node/node0/meminfo 'Node 0 MemTotal:       33554432 kB'
	put class/infiniband/mlx5_0/node_type '1: CA'
	put class/infiniband/mlx5_0/device/numa_node 0
	put class/infiniband/mlx5_0/ports/1/state '4: ACTIVE'
	put class/infiniband/mlx5_0/ports/1/link_layer Ethernet
	put class/infiniband/mlx5_0/ports/1/gid_attrs/ndevs/0 eth2
	put class/infiniband/mlx5_0/ports/1/gid_attrs/types/0 'IB/RoCE v1'
	put class/infiniband/mlx5_0/ports/1/gid_attrs/types/1 'RoCE v2'
	put class/infiniband/mlx5_0/ports/1/gids/0 fe80:0000:0000:0000:0202:c9ff:fe00:0001
	put class/infiniband/mlx5_0/ports/1/gids/1 0000:0000:0000:0000:0000:ffff:0a00:0001
	put class/infiniband/mlx5_0/ports/1/gids/2 0000:0000:0000:0000:0000:0000:0000:0000
	put class/net/eth2/mtu 9000
	put module/nbd/parameters/max_part 0
	put fs/cgroup/memory.max max
	put fs/cgroup/system.slice/memory.swap.max max
	put fs/cgroup/system.slice/rswap-memserver.service/memory.swap.max 0
}

meminfo() { # HUGE-PAGES FREE, of 2 MiB
	cat >"$dir/meminfo" <<-END
	MemTotal:       33554432 kB
	HugePages_Total:    $1
	HugePages_Free:     $2
	HugePages_Rsvd:        0
	Hugepagesize:       2048 kB
	END
}

grep -q '^0::/' /proc/self/cgroup || skip "no control groups of version 2"
start_server a --memory=64M --slab-size=1M
cp /proc/meminfo "$dir/meminfo"
mount --bind "$dir/meminfo" /proc/meminfo
meminfo 0 0
mkdir -p "$sys/block"
put_machine
mount --bind "$sys" /sys
mount --bind "$RSWAP_FAKE/block" /sys/block

say "nothing is wrong"
doctor --role=both
says ok "RDMA mlx5_0 port 1" ACTIVE Ethernet
says ok "RDMA mlx5_0 port 1" "a page fits a packet"
says ok "RDMA mlx5_0 port 1" "1 GID of RoCE v2"
says ok "huge pages" transparent
! grep -E '\[[a-z]+(-[a-z]+)+\]' "$dir/said" || fail "it finds something"

say "huge pages"
put kernel/mm/transparent_hugepage/enabled 'always madvise [never]'
doctor --role=compute
says warn "huge pages" "tables" "[huge-pages-off]" "-> echo madvise"
doctor --role=server
says warn "huge pages" "slabs" "[huge-pages-off]"
meminfo 4096 4096
doctor --role=server
says_not huge-pages-off
says_not huge-pages-idle
doctor --role=compute
says warn "huge pages" "8G are reserved and not used" "[huge-pages-idle]"
meminfo 4096 512
doctor --role=compute
says_not huge-pages-idle
put_machine

say "NUMA"
numa_maps() { # LINE...: of the memory server
	printf '%s\n' "$@" >"$dir/numa_maps"
}
put devices/system/node/node1/meminfo 'Node 1 MemTotal:       11184810 kB'
doctor --role=server
says ok "RDMA mlx5_0" "at NUMA node 0, which has 32 GiB of the machine's 42.7 GiB" "NUMAPolicy=preferred"
says_not numa-far
mkdir -p "$dir/run-files/rswap-memserver"
mount --bind "$dir/run-files" /run
ln -s "$dir/a.ctl" /run/rswap-memserver/control.sock
numa_maps "7f00 prefer:0 anon=512 dirty=512 N0=500 N1=12 kernelpagesize_kB=2048" \
	"7f10 default file=/usr/lib/libc.so.6 mapped=90000 N1=90000 kernelpagesize_kB=4"
mount --bind "$dir/numa_maps" "/proc/${pid[a]}/numa_maps"
doctor --role=server
says ok "memory of" "at NUMA node 0, as mlx5_0"
says_not numa-far
numa_maps "7f00 default anon=512 dirty=512 N0=256 N1=256 kernelpagesize_kB=2048" \
	"7f20 default heap anon=131072 dirty=131072 N1=131072 kernelpagesize_kB=4"
doctor --role=server
says warn "512 MiB of 1.5 GiB at NUMA node 0, where mlx5_0 is" "[numa-far]" "NUMAPolicy=preferred"
put class/infiniband/mlx5_0/device/numa_node -1
doctor --role=server
says_not numa-far
umount "/proc/${pid[a]}/numa_maps"
umount /run
put_machine
rm -r "$sys/devices/system/node/node1"

say "MTU"
for mtu in 1500:1024:4 4191:2048:2; do
	IFS=: read -r mtu packet packets <<<"$mtu"
	put class/net/eth2/mtu "$mtu"
	doctor --role=server
	says warn "RDMA mlx5_0 port 1" "eth2 has MTU $mtu" "$packet bytes a packet" \
		"a page in $packets" "[mtu-small]" "mtu 9000"
done
put class/net/eth2/mtu 4192
doctor --role=server
says_not mtu-small
put class/net/eth2/mtu 1500
put class/infiniband/mlx5_0/node_type '4: RNIC'
doctor --role=server
says warn "RDMA mlx5_0 port 1" "iWARP, which is not used" "over TCP"
says_not mtu-small
put class/infiniband/mlx5_0/node_type '1: CA'
put class/infiniband/mlx5_0/ports/1/link_layer InfiniBand
doctor --role=server
says_not mtu-small
put_machine

say "GIDs"
put class/infiniband/mlx5_0/ports/1/gid_attrs/types/1 'IB/RoCE v1'
doctor --role=server
says warn "RDMA mlx5_0 port 1" "only of v1" "[no-gid]"
rm "$port/gids/1"
doctor --role=server
says warn "RDMA mlx5_0 port 1" "no GID of an IP address" "[no-gid]" "IP address"
put_machine

say "limits of memory"
put fs/cgroup/memory.max $((512 << 20))
doctor --role=server
says warn "control group" "at most 512M" /sys/fs/cgroup/memory.max "[cgroup-memory]"
put fs/cgroup/memory.high $((256 << 20))
doctor --role=compute
says warn "control group" "at most 256M" memory.high
attach one || fail "attach: $(cat "$dir/one.log")"
doctor --role=compute
says warn "attached nbd0" "at most 256M" "[cgroup-memory]"
detach one || fail "detach: $(cat "$dir/one.log")"
rm "$sys/fs/cgroup/memory.high"
put_machine

say "limits of swap"
put fs/cgroup/kubepods.slice/memory.swap.max max
rm "$sys/fs/cgroup/system.slice/memory.swap.max"
put fs/cgroup/system.slice/db.service/memory.swap.max $((1 << 30))
# systemd's slices say "max", and what is below them goes by it
for n in 1 2 3; do
	put "fs/cgroup/kubepods.slice/pod$n.slice/memory.swap.max" 0
done
doctor --role=compute
says warn memory.swap.max "/kubepods.slice/pod1.slice (0)" "and 1 more" \
	"[cgroup-swap]" MemorySwapMax=
! has "$dir/said" rswap-memserver.service || fail "rswap's own unit is told of"
rm -r "$sys/fs/cgroup/kubepods.slice"
doctor --role=compute
says warn memory.swap.max "a limit for /system.slice/db.service (1G)"
doctor --role=server
says_not cgroup-swap
rm -r "$sys/fs/cgroup/system.slice"
put_machine

say "partitions of nbd"
put module/nbd/parameters/max_part 16
doctor --role=compute --front=nbd
says warn "nbd devices" "16 partitions" "[nbd-partitions]" max_part=0
umount /sys/block /sys /proc/meminfo
mount --bind "$RSWAP_FAKE/block" /sys/block
