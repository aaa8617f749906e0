/* Placement: which servers the shards of a slab go to. */
#ifndef RSWAP_PLACEMENT_H
#define RSWAP_PLACEMENT_H

#include "core.h"
#include "rebalance.h"

/* The server in STATE that should take the shard INDEX of SLAB, or NULL.  It
 * has reported room for a slab, asks for no slab back, and holds no shard of
 * SLAB. choose.h tells which of several servers it is.  A shard that has INDEX
 * already is about to be moved: its server is left out, its zone is not.  The
 * local fallback comes after all other servers. */
struct server *placement_pick(const struct engine *engine,
			      const struct slab *slab, uint8_t index,
			      enum server_state state);

/* The progress of a request that needs SLAB to be LIVE.  The request begins
 * with all other members 0. */
struct placement {
	struct slab *slab;
	bool asked; /* the slab was asked for, in GENERATION */
	uint32_t generation;
	/* How to wait before the next step: where SERVER is set, for SERVER
	 * until UNTIL_NS; else where PAUSE_NS is set, for that time; else until
	 * SLAB changes. */
	struct server *server;
	uint64_t until_ns, pause_ns;
};

/* Has the slab allocated, unless another thread does so.  Does not wait.  0
 * where the slab is LIVE, though it may have changed again on return.  -EAGAIN:
 * wait as P says, and call again.  Else what ends the request: -ENOSPC (every
 * reachable server is full) or -EIO (no server is reachable), where no server
 * may have room soon or DEADLINE_NS has passed.  The caller is in no slab. */
int placement_step(struct engine *engine, struct placement *p,
		   uint64_t deadline_ns);

/* Whether another server than SERVER is UP and has room for a slab. */
bool placement_elsewhere(const struct server *server);

/* Asks a server for an unused shard of a LIVE slab.  The repairer attaches the
 * shard once it is SPARE.  NULL where there is no server or no unused shard.
 * Where ONLY is set, a move of that decision: the server may take the slab by
 * it, and is in a zone without another shard of the slab. */
struct slab_shard *placement_ask_for_repair(struct engine *engine,
					    struct slab *slab, uint8_t index,
					    const struct rebalance *only);

/* What is known of SERVER, for a choice. */
struct choose_server placement_view(const struct server *server);

/* A session calls this with the answer for SHARD, which is ASKED.  REMOTE tells
 * where the shard is; NULL: the server refused it.  After a refusal the
 * server's free_bytes, or its state, keep the plugin from asking again. */
void placement_answer(struct engine *engine, struct slab_shard *shard,
		      const struct remote_slab *remote);

/* Gives a shard that is in STATE, and that no request uses, back to its server:
 * NONE.  The session frees the server's slab later.  Does nothing where the
 * shard is not in STATE any more, because the session lost its server first. */
void placement_give_back(struct engine *engine, struct slab_shard *shard,
			 enum shard_state state);

#endif
