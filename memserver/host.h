/* What this machine has and allows: memory, huge pages, limits. */
#ifndef RSWAP_MEMSERVER_HOST_H
#define RSWAP_MEMSERVER_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "reason.h"

/* The number behind KEY ("MemAvailable:") in the text of /proc/meminfo; sizes
 * in bytes.  False where there is no such key.  Pure. */
bool host_meminfo_find(const char *meminfo, const char *key, uint64_t *value);

/* Whether BYTES more can be locked without driving the machine into running
 * out of memory: what is available, less a reserve.  True where the kernel
 * does not tell.  Any thread; reads /proc/meminfo. */
bool host_has_memory(uint64_t bytes);

/* Refuses, with what to raise, where slabs of config->memory_bytes could not
 * be locked. */
bool host_check_memlock(const struct config *config, struct reason *why);

/* Refuses, with figures, where --hugepages asks for more than there are. */
bool host_check_hugepages(const struct config *config, struct reason *why);

/* Says so where the machine hardly has what --memory promises. */
void host_check_memory(const struct config *config);

/* Asks the kernel to kill others first; says once where it refuses. */
void host_protect_from_oom(void);

/* As many file descriptors as the hard limit allows: one per lane. */
void host_raise_file_limit(void);

/* Resident bytes of this process, 0 where the kernel does not tell. */
uint64_t host_rss_bytes(void);

#endif
