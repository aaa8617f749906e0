/* What can be wrong with a running plugin, a memory server, a device or the
 * machine that has them: one
 * table.  Each finding has a code that stays the same from version to version,
 * for monitoring and for rswap-findings(7), which has a section for each. */
#ifndef RSWAPCTL_FINDING_H
#define RSWAPCTL_FINDING_H

#include <stdbool.h>

enum health {
	HEALTH_GOOD,
	HEALTH_DEGRADED, /* it serves, and less could make it fail */
	HEALTH_BAD,	 /* pages are lost, or it does not serve */
};

enum finding_code {
	/* a plugin's pages */
	FINDING_PAGES_LOST,
	FINDING_READS_FAILED,
	FINDING_WRITES_FAILED,
	FINDING_COPIES_MISSING,
	FINDING_NO_ROOM,
	FINDING_SERVERS_FULL,
	FINDING_MEMORY_WASTED,
	FINDING_WRONG_BYTES,
	/* one of its servers */
	FINDING_SERVER_NOT_UP,
	FINDING_SERVER_SILENT,
	FINDING_SLABS_CANNOT_LEAVE,
	/* processes */
	FINDING_NOTHING_RUNS,
	FINDING_NOT_RUNNING,
	FINDING_NO_ANSWER,
	FINDING_LOOP_HANGS,
	FINDING_ASKED_TO_END,
	FINDING_DRAINING,
	FINDING_POOL_AWAY,
	FINDING_RESERVATION_LOST,
	/* the device */
	FINDING_DEAD_SWAP,
	FINDING_FRONT_GONE,
	FINDING_SWAP_WAITS,
	FINDING_NOT_CONNECTED,
	FINDING_CONNECTIONS_LOST,
	FINDING_NOT_USED,
	/* what swaps safely */
	FINDING_IO_FLUSHER_REFUSED,
	FINDING_REALTIME_REFUSED,
	FINDING_LOCK_REFUSED,
	FINDING_NOT_LOCKED,
	FINDING_OOM_REFUSED,
	/* the machine, as doctor looks at it */
	FINDING_HUGE_PAGES_OFF,
	FINDING_HUGE_PAGES_IDLE,
	FINDING_NUMA_FAR,
	FINDING_MTU_SMALL,
	FINDING_NO_GID,
	FINDING_CGROUP_MEMORY,
	FINDING_CGROUP_SWAP,
	FINDING_NBD_PARTITIONS,
	/* what is beside the device */
	FINDING_EQUAL_PRIORITY,
	FINDING_ZRAM_IN_FRONT,
	FINDING_ZRAM_WRITEBACK,
	FINDING_SEALED_TWICE,
	FINDING_DEVICE_IN_FSTAB,
	FINDING_STARTED_BEFORE_SWAP,
	FINDING_NETWORK_ENDS,
	N_FINDINGS
};

struct finding {
	enum finding_code code;
	const char *what;   /* one line */
	const char *action; /* what to do; NULL: as the table has it */
	/* It only adds to the finding before, which has the same code. */
	bool adds;
};

/* A function that gets findings, one at a time. */
typedef void finding_tell(void *arg, const struct finding *finding);

/* "pages-lost" */
const char *finding_name(const struct finding *finding);
/* NULL where a finding only adds to the one before. */
const char *finding_action(const struct finding *finding);
enum health finding_health(enum finding_code code);
/* "good", "degraded", "bad" */
const char *health_name(enum health health);

#endif
