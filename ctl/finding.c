#include "finding.h"

#include <stddef.h>

static const struct {
	const char *name;
	enum health health;
	const char *action;
} table[N_FINDINGS] = {
	[FINDING_PAGES_LOST] = { "pages-lost", HEALTH_BAD,
				 "start the programs with pages in swap anew" },
	[FINDING_READS_FAILED] = { "reads-failed", HEALTH_BAD,
				   "start the programs that were killed anew" },
	[FINDING_WRITES_FAILED] = { "writes-failed", HEALTH_DEGRADED,
				    "add a server to the pool, or detach and "
				    "attach with one more server" },
	[FINDING_COPIES_MISSING] = { "copies-missing", HEALTH_DEGRADED,
				     "wait for the repair: rswapctl status "
				     "tells how long it takes" },
	[FINDING_NO_ROOM] = { "no-room", HEALTH_DEGRADED,
			      "bring back the server that is away, or add one "
			      "to the pool, or detach and attach with one "
			      "more" },
	[FINDING_SERVERS_FULL] = { "servers-full", HEALTH_DEGRADED,
				   "add a server to the pool, or detach and "
				   "attach with one more server" },
	[FINDING_MEMORY_WASTED] = { "memory-wasted", HEALTH_DEGRADED,
				    "detach all devices of the memory servers, "
				    "then restart these with --slab-size=2M" },
	[FINDING_WRONG_BYTES] = { "wrong-bytes", HEALTH_DEGRADED,
				  "test memory and network of the server "
				  "whose wrong_chunks grow" },
	[FINDING_SERVER_NOT_UP] = { "server-not-up", HEALTH_DEGRADED,
				    "look at the server and at the network to "
				    "it" },
	[FINDING_SERVER_SILENT] = { "server-silent", HEALTH_DEGRADED,
				    "see whether the server is stopped or "
				    "stuck" },
	[FINDING_SLABS_CANNOT_LEAVE] = { "slabs-cannot-leave", HEALTH_DEGRADED,
					 "add a server to the pool, or detach, "
					 "before this one leaves" },
	[FINDING_NOTHING_RUNS] = { "nothing-runs", HEALTH_BAD,
				   "rswapctl attach, or start "
				   "rswap-memserver" },
	[FINDING_NOT_RUNNING] = { "not-running", HEALTH_BAD,
				  "see in its log why it ended, and start it "
				  "again" },
	[FINDING_NO_ANSWER] = { "no-answer", HEALTH_BAD,
				"see whether it is stopped, or stuck" },
	[FINDING_LOOP_HANGS] = { "loop-hangs", HEALTH_BAD,
				 "see in its log what it waits for, and detach "
				 "if it goes on" },
	[FINDING_ASKED_TO_END] = { "asked-to-end", HEALTH_DEGRADED,
				   "rswapctl detach" },
	[FINDING_DRAINING] = { "draining", HEALTH_DEGRADED,
			       "wait until it is empty, or rswapctl drain "
			       "--undo" },
	[FINDING_POOL_AWAY] = { "pool-away", HEALTH_DEGRADED,
				"see whether etcd runs, and what it says to "
				"this machine" },
	[FINDING_RESERVATION_LOST] = { "reservation-lost", HEALTH_DEGRADED,
				       "see whether etcd runs, and who "
				       "reserves what (rswapctl pool "
				       "reserve)" },
	[FINDING_DEAD_SWAP] = { "dead-swap", HEALTH_BAD,
				"rswapctl detach, then start the programs "
				"with pages in swap anew" },
	[FINDING_FRONT_GONE] = { "front-gone", HEALTH_BAD, "rswapctl detach" },
	[FINDING_SWAP_WAITS] = { "swap-waits", HEALTH_BAD,
				 "see whether the front end is stopped, or "
				 "stuck" },
	[FINDING_NOT_CONNECTED] = { "not-connected", HEALTH_DEGRADED,
				    "rswapctl detach, and attach again" },
	[FINDING_CONNECTIONS_LOST] = { "connections-lost", HEALTH_DEGRADED,
				       "rswapctl detach, and attach again" },
	[FINDING_NOT_USED] = { "not-used", HEALTH_DEGRADED,
			       "rswapctl detach, and attach again" },
	[FINDING_IO_FLUSHER_REFUSED] = { "io-flusher-refused", HEALTH_DEGRADED,
					 "grant CAP_SYS_RESOURCE" },
	[FINDING_REALTIME_REFUSED] = { "realtime-refused", HEALTH_DEGRADED,
				       "grant CAP_SYS_NICE, or set "
				       "LimitRTPRIO=infinity" },
	[FINDING_LOCK_REFUSED] = { "lock-refused", HEALTH_DEGRADED,
				   "grant CAP_IPC_LOCK, or set "
				   "LimitMEMLOCK=infinity" },
	[FINDING_NOT_LOCKED] = { "not-locked", HEALTH_DEGRADED,
				 "detach, then start nbdkit with -f" },
	[FINDING_OOM_REFUSED] = { "oom-refused", HEALTH_DEGRADED,
				  "grant CAP_SYS_RESOURCE" },
	[FINDING_HUGE_PAGES_OFF] = { "huge-pages-off", HEALTH_DEGRADED,
				     "echo madvise "
				     ">/sys/kernel/mm/transparent_hugepage/"
				     "enabled" },
	[FINDING_HUGE_PAGES_IDLE] = { "huge-pages-idle", HEALTH_DEGRADED,
				      "lower vm.nr_hugepages to what programs "
				      "use" },
	[FINDING_NUMA_FAR] = { "numa-far", HEALTH_DEGRADED,
			       "detach, then start it near the device: "
			       "NUMAPolicy=preferred and NUMAMask=NODE in the "
			       "unit, or numactl --preferred=NODE" },
	[FINDING_MTU_SMALL] = { "mtu-small", HEALTH_DEGRADED,
				"ip link set INTERFACE mtu 9000, on both "
				"machines and the switches between" },
	[FINDING_NO_GID] = { "no-gid", HEALTH_DEGRADED,
			     "give the interface an IP address" },
	[FINDING_CGROUP_MEMORY] = { "cgroup-memory", HEALTH_DEGRADED,
				    "raise memory.max and memory.high of the "
				    "group, or detach and start rswap by its "
				    "unit" },
	[FINDING_CGROUP_SWAP] = { "cgroup-swap", HEALTH_DEGRADED,
				  "raise memory.swap.max (MemorySwapMax=) of "
				  "what is to swap" },
	[FINDING_NBD_PARTITIONS] = { "nbd-partitions", HEALTH_DEGRADED,
				     "set max_part=0 for nbd in "
				     "/etc/modprobe.d, and unload nbd" },
	[FINDING_EQUAL_PRIORITY] = { "equal-priority", HEALTH_DEGRADED,
				     "rswapctl detach, and attach with another "
				     "--priority" },
	[FINDING_ZRAM_IN_FRONT] = { "zram-in-front", HEALTH_DEGRADED,
				    "use zswap in its place, or give zram a "
				    "lower priority" },
	[FINDING_ZRAM_WRITEBACK] = { "zram-writeback", HEALTH_DEGRADED,
				     "write zram back to another device, or "
				     "use zswap in front" },
	[FINDING_SEALED_TWICE] = { "sealed-twice", HEALTH_DEGRADED,
				   "swap to the device itself, or detach and "
				   "attach with --encrypt=off" },
	[FINDING_DEVICE_IN_FSTAB] = { "device-in-fstab", HEALTH_DEGRADED,
				      "remove the line; rswap@NAME.service "
				      "attaches at boot" },
	[FINDING_STARTED_BEFORE_SWAP] = { "started-before-swap",
					  HEALTH_DEGRADED,
					  "start it anew; rswap@NAME.service "
					  "starts before it" },
	[FINDING_NETWORK_ENDS] = { "network-ends", HEALTH_DEGRADED,
				   "have the network's manager leave the "
				   "interface up when it ends" },
};

const char *finding_name(const struct finding *finding)
{
	return table[finding->code].name;
}

const char *finding_action(const struct finding *finding)
{
	if (finding->adds)
		return NULL;
	return finding->action ? finding->action : table[finding->code].action;
}

enum health finding_health(enum finding_code code)
{
	return table[code].health;
}

const char *health_name(enum health health)
{
	static const char *const names[] = { [HEALTH_GOOD] = "good",
					     [HEALTH_DEGRADED] = "degraded",
					     [HEALTH_BAD] = "bad" };

	return names[health];
}
