/* Placement: which servers the shards of a slab go to. */
#ifndef RSWAP_PLACE_H
#define RSWAP_PLACE_H

#include "engine.h"

/* The server in STATE that should take a shard of SLAB next: the one with the
 * most free memory among those that have told of room for a slab, want none
 * back, hold no shard of this one, and are in another zone than those who do;
 * where NEW_ZONE is false the zone does not matter.  The local fallback comes
 * after all others. NULL where there is none. */
struct server *placement_pick(const struct engine *engine,
			      const struct slab *slab, enum server_state state,
			      bool new_zone);

/* Sees to it that SLAB is LIVE, which it may be no longer on return.  Waits for
 * it, or has it allocated, until DEADLINE_NS.  Holds nothing.  A slab that not
 * all shards can be found for is LIVE without them, as long as its pages can be
 * kept: the repairer adds them.  0, -ETIMEDOUT, -ENOSPC (every server that is
 * there is full) or -EIO (no server is there). */
int placement_slab(struct engine *engine, struct slab *slab,
		   uint64_t deadline_ns);

/* Whether another server than SERVER is UP and has room for a slab. */
bool placement_elsewhere(const struct server *server);

/* Asks a server for an unused shard of a LIVE slab, to be attached by the
 * repairer once it is SPARE.  NULL where there is no server or no shard. */
struct slab_shard *placement_ask_for_repair(struct engine *engine,
					    struct slab *slab, uint8_t index);

/* A session's answer to an ask: where the shard is, or NULL where it is
 * refused, after which the server is not to be asked again (its free_bytes, or
 * its state, says so). */
void placement_answer(struct engine *engine, struct slab_shard *shard,
		      const struct remote_slab *remote);

/* Gives a shard that nobody uses, and that is in STATE, back to its server,
 * sooner or later: NONE.  Does nothing where it is not, as the session that
 * lost its server was faster. */
void placement_give_back(struct engine *engine, struct slab_shard *shard,
			 enum shard_state state);

#endif
