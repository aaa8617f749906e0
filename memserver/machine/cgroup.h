/* How much memory the control group of this process, and every group above that
 * group, have left: cgroup v2 (memory.max, memory.high), and v1 or
 * hybrid (memory.limit_in_bytes, memory.memsw.limit_in_bytes).  The kernel
 * does not refuse to populate memory beyond a limit: the OOM killer comes.
 *
 * The files stay open, so that a lack of descriptors does not hide a limit.  A
 * group above the root of this process' cgroup
 * namespace, or above what is mounted, cannot be seen. */
#ifndef RSWAP_MEMSERVER_CGROUP_H
#define RSWAP_MEMSERVER_CGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

#define CGROUP_NO_LIMIT UINT64_MAX

struct cgroup_limit {
	uint64_t max_bytes; /* or CGROUP_NO_LIMIT */
	/* Of that not used; page cache that the kernel can drop counts as not
	 * used. */
	uint64_t available_bytes;
	char file[128]; /* has the limit; the end of a long path */
};

struct cgroup_room {
	struct cgroup_limit smallest; /* by max_bytes */
	struct cgroup_limit tightest; /* by available_bytes */
};

/* Finds the groups of this process and opens their files.  *SEEN: a group was
 * found.  Without control groups in the kernel, or in the mounted file systems,
 * there is no limit.  0 or a negative errno with WHY.  Main thread, before any
 * other thread. */
int cgroup_open(bool *seen, struct error *why);

/* What the groups allow now.  Follows this process to another group.  0, or a
 * negative errno with WHY when a file cannot be read.  Any thread. */
int cgroup_look(struct cgroup_room *room, struct error *why);

/* Copies the path of the memory group from TEXT, the content of
 * /proc/self/cgroup, to the SIZE bytes of PATH.  *V1: the memory controller is
 * in v1, so the path is that of v1.  False when there is no path, or no room.
 * Pure. */
bool cgroup_find_path(const char *text, bool *v1, char *path, size_t size);

#endif
