/* Which processes have pages in swap: VmSwap of /proc/PID/status. */
#ifndef RSWAPCTL_SWAPUSERS_H
#define RSWAPCTL_SWAPUSERS_H

#include <stdint.h>
#include <sys/types.h>

#define SWAPUSERS_NAMED 5

struct swapuser {
	pid_t pid;
	char name[20]; /* as the kernel has it, unprintable bytes as '?' */
	uint64_t bytes;
};

struct swapusers {
	struct swapuser largest[SWAPUSERS_NAMED]; /* in order */
	unsigned n;				  /* processes, of all sizes */
	uint64_t bytes;				  /* of all of them */
};

struct swapusers_text {
	char text[240];
};

/* Reads how much every process has in swap.  VmSwap counts the pages in all
 * swap devices, and no shared memory. */
void swapusers_read(struct swapusers *users);

/* "pagecheck (process 99, 170 MiB), bash (process 5, 2 MiB) and 3 more". */
struct swapusers_text swapusers_format(const struct swapusers *users);

/* For swapusers_read: one process with so much. */
void swapusers_add(struct swapusers *users, const struct swapuser *user);

#endif
