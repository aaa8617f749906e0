/* What this process may still take of the memory that its control group has,
 * and every group above it: cgroup v2 (memory.max, memory.high), and v1 or
 * hybrid (memory.limit_in_bytes, memory.memsw.limit_in_bytes).  Populating
 * beyond a limit is not refused by the kernel, it ends in the OOM killer.
 *
 * The files stay open: what is asked in the middle of things must not fail for
 * want of a descriptor.  A group above the root of this process' cgroup
 * namespace, or above what is mounted, cannot be seen. */
#ifndef RSWAP_MEMSERVER_CGROUP_H
#define RSWAP_MEMSERVER_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

#define CGROUP_NO_LIMIT UINT64_MAX

struct cgroup_limit {
	uint64_t max_bytes; /* CGROUP_NO_LIMIT: there is none */
	/* Of that not used; page cache that the kernel can drop counts as not
	 * used. */
	uint64_t available_bytes;
	char file[128]; /* that says so; of a long path the end */
};

struct cgroup_room {
	struct cgroup_limit smallest; /* by max_bytes */
	struct cgroup_limit tightest; /* by available_bytes */
};

/* Finds the groups of this process and opens their files.  Where the kernel has
 * no control groups, or they are not mounted here, there is no limit; *SEEN
 * tells the two apart from a group that was found.  0 or a negative errno with
 * WHY.  Main thread, before any other. */
int cgroup_open(bool *seen, struct error *why);

/* What the groups allow now.  Follows a process that was moved to another
 * group. 0, or a negative errno with WHY where it cannot be told.  Any thread.
 */
int cgroup_look(struct cgroup_room *room, struct error *why);

/* The path of the memory group in TEXT, which is that of /proc/self/cgroup:
 * where v1 has the memory controller that one (*V1), else that of v2.  The SIZE
 * bytes of PATH are a copy.  False where there is none, or no room.  Pure. */
bool cgroup_find_path(const char *text, bool *v1, char *path, size_t size);

#endif
