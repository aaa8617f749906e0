/* Placement: which server a new slab goes to. */
#ifndef RSWAP_PLACE_H
#define RSWAP_PLACE_H

#include "engine.h"

/* Walks the servers that are UP, from the one with the most free memory to the
 * one with the least, and then those that are BROKEN, where a new slab waits
 * for the recovery.  A server's figure is the one at the time of the call. */
struct place_walk {
	uint64_t free_bytes; /* of the last one returned */
	uint32_t index;
	bool begun;
	bool broken; /* past those that are UP */
};

/* The next server that could take a slab: one that is not DOWN and has told of
 * at least SLAB_BYTES free; NULL when there is none left. */
struct peer *place_next(const struct engine *engine, struct place_walk *walk);

/* Sees to it that SLAB is LIVE, which it may be no longer on return.  Waits for
 * it, or has it allocated, until DEADLINE_NS.  Holds nothing.  0, -ETIMEDOUT,
 * -ENOSPC (every server that is there is full) or -EIO (no server is there). */
int place_slab(struct engine *engine, struct slab *slab, uint64_t deadline_ns);

#endif
