/* Whether this machine has and allows what the options ask for: memory, huge
 * pages, limits. */
#ifndef RSWAP_MEMSERVER_HOST_H
#define RSWAP_MEMSERVER_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "error.h"

/* Refuses, with both figures, when a cgroup's limit is below --memory. */
bool host_check_cgroup(const struct config *config, struct error *why);

/* Refuses, with the limit to raise, when slabs of config->memory_bytes cannot
 * be locked. */
bool host_check_memlock(const struct config *config, struct error *why);

/* Refuses, with figures, when --hugepages asks for more than there are. */
bool host_check_hugepages(const struct config *config, struct error *why);

/* Logs a line when the machine does not have --memory now. */
void host_check_memory(const struct config *config);

/* Raises the limit of file descriptors to the hard limit: a TCP link needs one.
 */
void host_raise_file_limit(void);

#endif
