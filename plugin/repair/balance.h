/* Which server has too many slabs (servers/rebalance.h), decided again every
 * few seconds.  The repairer moves slabs away from there as from a server that
 * is drained, but only to servers that are clearly emptier, and no copy into a
 * zone that has another copy of the slab.
 *
 * Only with a pool: servers that are given by hand are few, and stay as they
 * are filled.  The repair thread only. */
#ifndef RSWAP_BALANCE_H
#define RSWAP_BALANCE_H

#include "servers/core.h"

/* Decides anew, if it is time, nothing else is to be repaired or moved, and the
 * moves of the last decision are over.  Sets repair.unload_slabs of one server
 * at most. */
void balance_turn(struct engine *engine);

/* Whether SERVER has too many slabs, and is not asked for them anyway. */
bool balance_unloads(const struct server *server);

/* A slab was moved away from SERVER. */
void balance_count(struct server *server);

#endif
