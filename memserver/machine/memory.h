/* How much memory this machine, and the cgroup of this process, have left. */
#ifndef RSWAP_MEMSERVER_MEMORY_H
#define RSWAP_MEMSERVER_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cgroup.h"
#include "error.h"

/* Opens the files that the functions below read, and keeps them open.  Logs a
 * line when no cgroup can be seen.  Main thread, before any other thread. */
bool memory_open(struct error *why);

/* Whether the machine, and every cgroup of this process, can give BYTES more
 * and keep a reserve.  False with WHY, in figures; also when a figure cannot be
 * read.  Any thread. */
bool memory_has(uint64_t bytes, struct error *why);

/* Reads /proc/meminfo, at most SIZE - 1 bytes, NUL-terminated.  Any thread. */
bool memory_read_info(char *text, size_t size);

/* The part of a cgroup's limit that is never granted. */
uint64_t memory_cgroup_reserve_bytes(const struct cgroup_limit *limit);

/* Resident bytes of this process, 0 when the kernel does not tell. */
uint64_t memory_rss_bytes(void);

#endif
