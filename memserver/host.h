/* What this machine has and allows: memory, huge pages, limits. */
#ifndef RSWAP_MEMSERVER_HOST_H
#define RSWAP_MEMSERVER_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "error.h"

/* Opens what the functions below read, and keeps it open.  Says once where no
 * cgroup can be seen.  Main thread, before any other. */
bool host_open_memory(struct error *why);

/* Whether BYTES more can be populated and locked without driving the machine,
 * or a cgroup that this process is in, out of memory: what is available, less a
 * reserve.  False with WHY, in figures; false where it cannot be told.  Any
 * thread. */
bool host_has_memory(uint64_t bytes, struct error *why);

/* Refuses, with both figures, where a cgroup's limit is below --memory. */
bool host_check_cgroup(const struct config *config, struct error *why);

/* Refuses, with what to raise, where slabs of config->memory_bytes could not
 * be locked. */
bool host_check_memlock(const struct config *config, struct error *why);

/* Refuses, with figures, where --hugepages asks for more than there are. */
bool host_check_hugepages(const struct config *config, struct error *why);

/* Says so where the machine hardly has what --memory promises. */
void host_check_memory(const struct config *config);

/* Asks the kernel to kill others first; says once where it refuses. */
void host_protect_from_oom(void);

/* As many file descriptors as the hard limit allows: one per lane. */
void host_raise_file_limit(void);

/* Resident bytes of this process, 0 where the kernel does not tell. */
uint64_t host_rss_bytes(void);

#endif
