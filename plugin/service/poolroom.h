/* Where to reserve memory of a pool, if the servers that poolpick.h chose have
 * too little: that choice goes by what servers tell as free, which is up to 12
 * seconds old, and not by what is reserved.  This one reads what is reserved on
 * all servers, and takes those with the most room.
 *
 * At start, before any other thread runs. */
#ifndef RSWAP_POOLROOM_H
#define RSWAP_POOLROOM_H

#include "poolwatch.h"

/* Puts servers in the place of those that the pool had given to ENGINE, which
 * is of the config of WATCH.  Their slabs are of SLAB_BYTES.  As before there
 * may be more than servers-max, and the best are first.  0; -ENOSPC, where the
 * pool has no room for what is to be reserved: WHY has the figures of all of
 * it; or another negative errno with WHY. */
int poolroom_choose(struct poolwatch *watch, struct engine_config *engine,
		    uint64_t slab_bytes, struct error *why);

#endif
