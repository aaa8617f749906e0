#include "standing.h"

#include "balance.h"
#include "servers/placement.h"

/* How many slabs of a server that is away are moved at the same time. */
#define AWAY_AT_A_TIME 4
/* And of a server that is fuller than others, as figures change meanwhile. */
#define UNLOAD_AT_A_TIME 4

/* Another LIVE shard with the shard index of SHARD, or NULL. */
struct slab_shard *standing_twin(const struct engine *engine,
				 const struct slab_shard *shard)
{
	struct slab *slab = slab_of_shard(&engine->slabs, shard);

	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		struct slab_shard *other = &slab->shards[i];

		if (other != shard && shard_is_live(other) &&
		    other->index == shard->index)
			return other;
	}
	return NULL;
}

bool standing_has_new(const struct engine *engine, const struct slab *slab)
{
	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		const struct slab_shard *shard = &slab->shards[i];

		if (shard_state(shard) == SHARD_SPARE ||
		    (shard_state(shard) == SHARD_ASKED &&
		     atomic_load(&shard->for_repair)))
			return true;
	}
	return false;
}

static bool other_server_has_room(const struct engine *engine,
				  const struct slab_shard *shard)
{
	const struct server *server =
		placement_pick(engine, slab_of_shard(&engine->slabs, shard),
			       shard->index, SERVER_UP);

	return server && !server_is_last_resort(server);
}

/* Whether SERVER has been away for so long that its shards are copied to other
 * servers.  False where pages cannot be had without one server. */
bool standing_server_is_away(const struct engine *engine,
			     const struct server *server)
{
	uint64_t after_ns = engine->config.repair_after_ns;

	return redundancy_can_spare(&engine->redundancy) && after_ns &&
	       server_is_away(server, after_ns);
}

bool standing_is_away(const struct engine *engine,
		      const struct slab_shard *shard)
{
	return standing_server_is_away(engine, server_of_shard(engine, shard));
}

/* Whether a server that stays has, or is about to have, the shard index of a
 * shard of a last resort. */
static bool has_lasting_twin(const struct engine *engine,
			     const struct slab_shard *shard)
{
	const struct slab *slab = slab_of_shard(&engine->slabs, shard);

	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		const struct slab_shard *other = &slab->shards[i];

		if (other != shard && shard_state(other) != SHARD_NONE &&
		    other->index == shard->index &&
		    !server_is_last_resort(server_of_shard(engine, other)) &&
		    !standing_is_away(engine, other) &&
		    atomic_load(&server_of_shard(engine, other)
					 ->shared.release_slabs) == 0)
			return true;
	}
	return false;
}

/* Whether SHARD is to be moved away, as far as its server is concerned. */
bool standing_is_leaving(const struct engine *engine,
			 const struct slab_shard *shard)
{
	const struct server *server = server_of_shard(engine, shard);

	if (server_is_last_resort(server))
		return has_lasting_twin(engine, shard) ||
		       other_server_has_room(engine, shard);
	return atomic_load(&server->shared.release_slabs) > 0 ||
	       balance_unloads(server) || standing_is_away(engine, shard);
}

bool standing_is_unloading(const struct engine *engine,
			   const struct slab_shard *shard)
{
	const struct server *server = server_of_shard(engine, shard);

	return balance_unloads(server) && !server_is_last_resort(server) &&
	       !standing_is_away(engine, shard);
}

/* Whether servers that are UP have all of the shard's pages.  Else a new twin
 * could not become whole, and would keep another shard from being moved: only a
 * few are moved at a time. */
static bool can_do_without(const struct engine *engine,
			   const struct slab_shard *shard)
{
	const struct slab *slab = slab_of_shard(&engine->slabs, shard);
	uint32_t indexes = 0;

	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		const struct slab_shard *other = &slab->shards[i];

		if (other != shard && shard_is_live(other) &&
		    atomic_load(&other->stale_chunks) == 0 &&
		    server_state(server_of_shard(engine, other)) == SERVER_UP)
			indexes |= 1u << other->index;
	}
	return redundancy_is_enough(&engine->redundancy, indexes);
}

/* Whether one more slab of the server may be moved.  A server gives back no
 * more slabs than it asked for.  Of a server that is away, only a few are moved
 * at a time, because the server may be back at any moment. */
bool standing_may_move(const struct engine *engine,
		       const struct slab_shard *shard)
{
	const struct server *server = server_of_shard(engine, shard);

	return server_is_last_resort(server) ||
	       server->repair.moving <
		       atomic_load(&server->shared.release_slabs) ||
	       (standing_is_unloading(engine, shard) &&
		server->repair.moving < server->repair.unload_slabs &&
		server->repair.moving < UNLOAD_AT_A_TIME) ||
	       (standing_is_away(engine, shard) &&
		server->repair.moving < AWAY_AT_A_TIME &&
		can_do_without(engine, shard));
}

/* Whether the slab, in CLOSING, still wants a shard with that shard index. */
bool standing_wants_index(const struct engine *engine, const struct slab *slab,
			  uint8_t index)
{
	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		const struct slab_shard *shard = &slab->shards[i];

		if (shard_is_live(shard) && shard->index == index)
			return standing_is_leaving(engine, shard) &&
			       !standing_twin(engine, shard);
	}
	return true;
}

/* Of two shards with the same shard index: whether OLD is the one that goes. */
static bool goes_before(const struct engine *engine,
			const struct slab_shard *old,
			const struct slab_shard *other)
{
	bool leaving = standing_is_leaving(engine, old);
	uint32_t stale = atomic_load(&old->stale_chunks);
	uint32_t other_stale = atomic_load(&other->stale_chunks);

	if (leaving != standing_is_leaving(engine, other))
		return leaving;
	return stale != other_stale ? stale > other_stale : old > other;
}

/* Whether SHARD is not worth copying to, as its twin stays. */
bool standing_is_given_up(const struct engine *engine,
			  const struct slab_shard *shard)
{
	const struct slab_shard *twin = standing_twin(engine, shard);

	return twin &&
	       server_state(server_of_shard(engine, twin)) == SERVER_UP &&
	       goes_before(engine, shard, twin);
}

bool standing_wants_fill(const struct engine *engine,
			 const struct slab_shard *shard)
{
	return shard_is_live(shard) && atomic_load(&shard->stale_chunks) > 0 &&
	       server_state(server_of_shard(engine, shard)) == SERVER_UP &&
	       !standing_is_given_up(engine, shard);
}
