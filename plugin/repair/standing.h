/* Where a shard stands: whether it has a twin, leaves, or is worth filling.
 * These functions read a slab and change nothing.  Only the repair thread calls
 * them.
 *
 * A twin of a shard is another LIVE shard of the same slab with the same shard
 * index.
 */
#ifndef RSWAP_STANDING_H
#define RSWAP_STANDING_H

#include "servers/core.h"

/* The twin of SHARD, or NULL. */
struct slab_shard *standing_twin(const struct engine *engine,
				 const struct slab_shard *shard);

/* Whether a shard for the repair thread is asked for or at hand, and not yet
 * attached. */
bool standing_has_new(const struct engine *engine, const struct slab *slab);

/* Whether SERVER, or the server of SHARD, has been away for repair-after, and
 * pages can be had without it. */
bool standing_server_is_away(const struct engine *engine,
			     const struct server *server);
bool standing_is_away(const struct engine *engine,
		      const struct slab_shard *shard);

/* Whether SHARD is to be moved away, as far as its server is concerned, and
 * whether one more of that server's slabs may be moved now. */
bool standing_is_leaving(const struct engine *engine,
			 const struct slab_shard *shard);
bool standing_may_move(const struct engine *engine,
		       const struct slab_shard *shard);

/* Whether SHARD is to be moved away only because other servers are emptier. */
bool standing_is_unloading(const struct engine *engine,
			   const struct slab_shard *shard);

/* Whether the slab, in CLOSING, still wants a shard with that index. */
bool standing_wants_index(const struct engine *engine, const struct slab *slab,
			  uint8_t index);

/* Whether SHARD is not worth copying to, as its twin stays. */
bool standing_is_given_up(const struct engine *engine,
			  const struct slab_shard *shard);

/* Whether the chunks that SHARD misses should be copied to it: its server is
 * UP, and SHARD has no twin that is nearer to being whole. */
bool standing_wants_fill(const struct engine *engine,
			 const struct slab_shard *shard);

#endif
