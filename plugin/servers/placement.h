/* Placement: which servers the parts of a slab go to. */
#ifndef RSWAP_PLACE_H
#define RSWAP_PLACE_H

#include "engine.h"

/* The server in STATE that should take a part of SLAB next: the one with the
 * most free memory among those that have told of room for a slab, want none
 * back, hold no part of this one, and are in another zone than those who do;
 * where NEW_ZONE is false the zone does not matter.  The local fallback comes
 * after all others. NULL where there is none. */
struct peer *place_pick(const struct engine *engine, const struct slab *slab,
			enum peer_state state, bool new_zone);

/* Sees to it that SLAB is LIVE, which it may be no longer on return.  Waits for
 * it, or has it allocated, until DEADLINE_NS.  Holds nothing.  A slab that not
 * all parts can be found for is LIVE without them, as long as its pages can be
 * kept: the keeper adds them.  0, -ETIMEDOUT, -ENOSPC (every server that is
 * there is full) or -EIO (no server is there). */
int place_slab(struct engine *engine, struct slab *slab, uint64_t deadline_ns);

/* Whether another server than PEER is UP and has room for a slab. */
bool place_elsewhere(const struct peer *peer);

/* Asks a server for an unused part of a LIVE slab, to be attached by the keeper
 * once it is SPARE.  NULL where there is no server or no part. */
struct slab_part *place_ask_keepers(struct engine *engine, struct slab *slab,
				    uint8_t row);

/* A session's answer to an ask: where the part is, or NULL where it is refused,
 * after which the peer is not to be asked again (its free_bytes, or its state,
 * says so). */
void place_answer(struct engine *engine, struct slab_part *part,
		  const struct remote_slab *remote);

/* Gives a part that nobody uses, and that is in STATE, back to its server,
 * sooner or later: NONE.  Does nothing where it is not, as the session that
 * lost its server was faster. */
void place_give_back(struct engine *engine, struct slab_part *part,
		     enum part_state state);

#endif
