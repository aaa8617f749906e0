/* File descriptors: each session, TCP link and newcomer has one.  All that are
 * allowed at a time have to fit the limit of the process, so that accept never
 * fails for a client that has a session. */
#ifndef RSWAP_MEMSERVER_FILELIMIT_H
#define RSWAP_MEMSERVER_FILELIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "error.h"

/* TCP links that every session can have, whatever the others have: a plugin has
 * at most so many.  RDMA links need no descriptor. */
#define FILELIMIT_TCP_LINKS 8

/* Call after host_raise_file_limit.  Refuses, with figures, when --max-sessions
 * does not fit the limit.  *LINKS: descriptors that the links of all sessions
 * may have together. */
bool filelimit_check(const struct config *config, uint64_t *links,
		     struct error *why);

#endif
