#include "place.h"

#include <errno.h>

/* The order of the walk: more free memory first, then the lower index. */
static bool comes_after(uint64_t free_bytes, uint32_t index,
			const struct place_walk *walk)
{
	if (!walk->begun || free_bytes < walk->free_bytes)
		return true;
	return free_bytes == walk->free_bytes && index > walk->index;
}

/* The next one among the servers in STATE. */
static struct peer *next_in(const struct engine *engine, enum peer_state state,
			    struct place_walk *walk)
{
	uint64_t slab_bytes = engine->slabs.geometry.slab_bytes;
	struct peer *best = NULL;
	uint64_t best_bytes = 0;

	for (uint32_t i = 0; i < engine->config.n_servers; i++) {
		struct peer *peer = &engine->peers[i];
		uint64_t free_bytes = atomic_load(&peer->free_bytes);

		if (peer_state(peer) != state || free_bytes < slab_bytes ||
		    !comes_after(free_bytes, i, walk))
			continue;
		if (!best || free_bytes > best_bytes) {
			best = peer;
			best_bytes = free_bytes;
		}
	}
	if (best) {
		walk->free_bytes = best_bytes;
		walk->index = best->index;
		walk->begun = true;
	}
	return best;
}

struct peer *place_next(const struct engine *engine, struct place_walk *walk)
{
	struct peer *peer = NULL;

	if (!walk->broken)
		peer = next_in(engine, PEER_UP, walk);
	if (peer)
		return peer;
	if (!walk->broken)
		*walk = (struct place_walk){ .broken = true };
	return next_in(engine, PEER_BROKEN, walk);
}

static bool any_server_there(const struct engine *engine)
{
	for (uint32_t i = 0; i < engine->config.n_servers; i++) {
		if (peer_state(&engine->peers[i]) != PEER_DOWN)
			return true;
	}
	return false;
}

/* The caller has won slab_begin_alloc: asks the next server, if there is one.
 * -EAGAIN: asked, wait for the slab. */
static int ask_next(struct engine *engine, struct slab *slab,
		    struct place_walk *walk)
{
	struct peer *peer;
	int rc;

	while ((peer = place_next(engine, walk))) {
		if (peer_ask_slab(peer, slab))
			return -EAGAIN;
	}
	rc = any_server_there(engine) ? -ENOSPC : -EIO;
	slab_cancel_alloc(&engine->slabs, slab);
	return rc;
}

int place_slab(struct engine *engine, struct slab *slab, uint64_t deadline_ns)
{
	uint32_t generation = atomic_load(&slab->generation), now;
	struct place_walk walk = { 0 };

	for (;;) {
		int rc;

		if (slab_state(slab) == SLAB_LIVE)
			return 0;
		/* UNMAPPED again although some server took it, as it was freed
		 * or lost before this thread got to run: that was no refusal,
		 * and the walk begins anew. */
		now = atomic_load(&slab->generation);
		if (now != generation)
			walk = (struct place_walk){ 0 };
		generation = now;
		if (slab_begin_alloc(slab)) {
			rc = ask_next(engine, slab, &walk);
			if (rc != -EAGAIN)
				return rc;
		}
		rc = slab_wait(&engine->slabs, slab, deadline_ns);
		if (rc)
			return rc;
	}
}
