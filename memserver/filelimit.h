/* File descriptors: sessions, lanes and newcomers have one each, and all that
 * are allowed at a time have to fit what the process may open.  So accept never
 * fails for a client that has a session. */
#ifndef RSWAP_MEMSERVER_FILELIMIT_H
#define RSWAP_MEMSERVER_FILELIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "error.h"

/* TCP lanes that every session can have, whatever others have: what a plugin
 * has at most.  RDMA lanes need no descriptor. */
#define FILELIMIT_TCP_LANES 8

/* Once the soft limit is as it stays: refuses, with figures, where
 * --max-sessions does not fit it. *LANES: how many TCP lanes all sessions
 * together may have. */
bool filelimit_check(const struct config *config, uint64_t *lanes,
		     struct error *why);

#endif
