#include "placement.h"

#include <errno.h>

#include "clock.h"
#include "repair/repair.h"

/* --- choosing --- */

static bool same_zone(const struct server *a, const struct server *b)
{
	uint32_t id = atomic_load(&a->zone_id);

	return id && id == atomic_load(&b->zone_id);
}

static bool has_room(const struct server *server)
{
	return atomic_load(&server->free_bytes) >=
		       server->engine->slabs.geometry.slab_bytes &&
	       atomic_load(&server->release_slabs) == 0;
}

bool placement_elsewhere(const struct server *server)
{
	for (uint32_t i = 0; i < server->engine->n_servers; i++) {
		const struct server *other = &server->engine->servers[i];

		if (other != server && server_state(other) == SERVER_UP &&
		    has_room(other))
			return true;
	}
	return false;
}

/* Whether SERVER may take one more shard of SLAB. */
static bool suits(const struct engine *engine, const struct slab *slab,
		  const struct server *server, bool new_zone)
{
	if (!has_room(server))
		return false;
	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		const struct slab_shard *shard = &slab->shards[i];

		if (shard_state(shard) == SHARD_NONE)
			continue;
		if (shard->server == server->index ||
		    (new_zone &&
		     same_zone(server, server_of_shard(engine, shard))))
			return false;
	}
	return true;
}

static bool better(const struct server *a, const struct server *b)
{
	if (a->local != b->local)
		return b->local;
	return atomic_load(&a->free_bytes) > atomic_load(&b->free_bytes);
}

struct server *placement_pick(const struct engine *engine,
			      const struct slab *slab, enum server_state state,
			      bool new_zone)
{
	struct server *best = NULL;

	for (uint32_t i = 0; i < engine->n_servers; i++) {
		struct server *server = &engine->servers[i];

		if (server_state(server) == state &&
		    suits(engine, slab, server, new_zone) &&
		    (!best || better(server, best)))
			best = server;
	}
	return best;
}

/* A remote server before the local fallback, and rather that than a zone to
 * itself. */
static struct server *pick(const struct engine *engine, const struct slab *slab,
			   enum server_state state)
{
	struct server *server = placement_pick(engine, slab, state, true);

	if (!server || server->local)
		server = placement_pick(engine, slab, state, false);
	return server;
}

/* --- asking --- */

/* Asks SERVER, which may be gone by then, for SHARD as INDEX. */
static bool ask(struct slab_shard *shard, struct server *server, uint8_t index,
		bool for_repair)
{
	shard->index = index;
	shard->server = server->index;
	atomic_store(&shard->for_repair, for_repair);
	atomic_store(&shard->state, SHARD_ASKED);
	if (server_ask_shard(server, shard))
		return true;
	atomic_store(&shard->state, SHARD_NONE);
	return false;
}

struct slab_shard *placement_ask_for_repair(struct engine *engine,
					    struct slab *slab, uint8_t index)
{
	struct slab_shard *shard;
	struct server *server;

	/* Inside, as one that is UNMAPPED may be being allocated. */
	if (slab_enter(slab) != SLAB_LIVE)
		return NULL;
	shard = slab_unused_shard(&engine->slabs, slab);
	server = pick(engine, slab, SERVER_UP);
	if (shard && (!server || !ask(shard, server, index, true)))
		shard = NULL;
	slab_leave(slab);
	return shard;
}

/* --- allocating --- */

/* The shards of the allocation under way, as bits of their shard indexes. */
static uint32_t indexes_under_way(const struct engine *engine,
				  const struct slab *slab)
{
	uint32_t indexes = 0;

	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		const struct slab_shard *shard = &slab->shards[i];

		if (shard_state(shard) != SHARD_NONE &&
		    !atomic_load(&shard->for_repair))
			indexes |= 1u << shard->index;
	}
	return indexes;
}

/* One that is RECOVERING is waited for only where the pages could not be kept
 * otherwise. */
static struct server *pick_for_alloc(const struct engine *engine,
				     const struct slab *slab, uint32_t indexes)
{
	struct server *server = pick(engine, slab, SERVER_UP);

	if (!server &&
	    (uint32_t)__builtin_popcount(indexes) < engine->redundancy.need)
		server = pick(engine, slab, SERVER_RECOVERING);
	return server;
}

/* Asks for every shard index that nobody has been asked for.  How many. */
static uint32_t ask_missing(struct engine *engine, struct slab *slab)
{
	uint32_t indexes = indexes_under_way(engine, slab), asked = 0;

	for (uint8_t index = 0; index < engine->redundancy.shards; index++) {
		struct slab_shard *shard;
		struct server *server;

		if (indexes & 1u << index)
			continue;
		shard = slab_unused_shard(&engine->slabs, slab);
		server = pick_for_alloc(engine, slab, indexes);
		if (!shard || !server)
			break;
		atomic_fetch_add(&slab->asks, 1);
		if (!ask(shard, server, index, false)) {
			atomic_fetch_sub(&slab->asks, 1);
			index--; /* it went just now */
			continue;
		}
		indexes |= 1u << index;
		asked++;
	}
	return asked;
}

/* No more can be had: LIVE with what there is, where that is enough. */
static void finish(struct engine *engine, struct slab *slab)
{
	uint32_t indexes = indexes_under_way(engine, slab);
	bool enough = (uint32_t)__builtin_popcount(indexes) >=
		      engine->redundancy.need;

	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		struct slab_shard *shard = &slab->shards[i];

		if (shard_state(shard) != SHARD_GIVEN)
			continue;
		if (enough) {
			shard_mark_all_current(&engine->slabs, shard);
			atomic_store(&shard->state, SHARD_LIVE);
		} else {
			placement_give_back(engine, shard, SHARD_GIVEN);
		}
	}
	if (!enough) {
		slab_cancel_alloc(&engine->slabs, slab);
		return;
	}
	slab_finish_alloc(&engine->slabs, slab);
	if (indexes != (1u << engine->redundancy.shards) - 1)
		repair_wake(engine);
}

/* By the one thread that has the allocation in hand: who began it, and later
 * the session that gave the last answer. */
static void go_on(struct engine *engine, struct slab *slab)
{
	do {
		atomic_store(&slab->asks, 1);
		if (ask_missing(engine, slab) == 0) {
			finish(engine, slab);
			return;
		}
	} while (atomic_fetch_sub(&slab->asks, 1) == 1);
}

void placement_answer(struct engine *engine, struct slab_shard *shard,
		      const struct remote_slab *remote)
{
	struct slab *slab = shard->slab;
	bool for_repair = atomic_load(&shard->for_repair);

	if (remote) {
		shard->remote = *remote;
		atomic_fetch_add(&server_of_shard(engine, shard)->slabs, 1);
	}
	atomic_store(&shard->state, !remote	 ? SHARD_NONE
				    : for_repair ? SHARD_SPARE
						 : SHARD_GIVEN);
	if (for_repair)
		repair_wake(engine);
	else if (atomic_fetch_sub(&slab->asks, 1) == 1)
		go_on(engine, slab);
}

void placement_give_back(struct engine *engine, struct slab_shard *shard,
			 enum shard_state state)
{
	uint8_t expected = (uint8_t)state;

	/* Before server and remote are read: of a shard that is NONE they are
	 * those of whoever asks for it next. */
	if (!atomic_compare_exchange_strong(&shard->state, &expected,
					    SHARD_LEAVING))
		return;
	/* Queued before anybody can ask for the shard again: the server would
	 * answer with the slab that is to be freed. */
	server_give_back(server_of_shard(engine, shard), shard->remote.slab,
			 slab_number(&engine->slabs, shard->slab));
	atomic_store(&shard->state, SHARD_NONE);
}

/* One that is RECOVERING and was not worth waiting for says nothing of its
 * room. */
static bool any_server_there(const struct engine *engine)
{
	for (uint32_t i = 0; i < engine->n_servers; i++) {
		if (server_state(&engine->servers[i]) == SERVER_UP)
			return true;
	}
	return false;
}

/* How long a server that broke is waited for where others are there, and full;
 * and how long at a time. */
#define BACK_NS	 (1 * NS_PER_S)
#define SLICE_NS (20 * NS_PER_MS)

/* The pause where a server has room and still is not to be asked: the repairer
 * asked it for this very slab, or it came back only just now.  Nothing wakes
 * who waits for that, and a real-time thread must not go round without a pause.
 */
#define PAUSE_NS NS_PER_MS

/* A server that may have room once it is back, or NULL. */
static struct server *broken_server(const struct engine *engine,
				    bool only_lately)
{
	for (uint32_t i = 0; i < engine->n_servers; i++) {
		struct server *server = &engine->servers[i];
		uint64_t until_ns = atomic_load(&server->broken_ns) + BACK_NS;

		if (server_state(server) == SERVER_RECOVERING &&
		    (!only_lately || clock_left_ns(until_ns) > 0))
			return server;
	}
	return NULL;
}

/* Whether enough servers are there now that have room: one may be back, or have
 * told of room, since it was asked. */
static bool enough_room(const struct engine *engine)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < engine->n_servers; i++) {
		const struct server *server = &engine->servers[i];

		n += server_state(server) == SERVER_UP && has_room(server);
	}
	return n >= engine->redundancy.need;
}

/* Nobody took it who is there.  -EAGAIN where a server may come back, after
 * waiting for it for a while; else what to tell. */
static int after_refusal(const struct engine *engine, uint64_t deadline_ns)
{
	bool others = any_server_there(engine);
	struct server *server = broken_server(engine, others);
	uint64_t until_ns = clock_now_ns() + SLICE_NS;

	if (enough_room(engine) && clock_left_ns(deadline_ns) > 0) {
		clock_sleep_ns(PAUSE_NS);
		return -EAGAIN;
	}
	if (!server || clock_left_ns(deadline_ns) == 0)
		return others ? -ENOSPC : -EIO;
	server_wait(server, until_ns < deadline_ns ? until_ns : deadline_ns);
	return -EAGAIN;
}

int placement_slab(struct engine *engine, struct slab *slab,
		   uint64_t deadline_ns)
{
	uint32_t generation = atomic_load(&slab->generation), now;
	bool asked = false;

	for (;;) {
		int rc;

		if (slab_state(slab) == SLAB_LIVE)
			return 0;
		/* UNMAPPED again although some server took it, as it was freed
		 * or lost before this thread got to run: that was no refusal.
		 */
		now = atomic_load(&slab->generation);
		if (asked && now == generation &&
		    slab_state(slab) == SLAB_UNMAPPED) {
			rc = after_refusal(engine, deadline_ns);
			if (rc != -EAGAIN)
				return rc;
		}
		generation = now;
		if (slab_begin_alloc(slab))
			go_on(engine, slab);
		asked = true;
		rc = slab_wait(&engine->slabs, slab, deadline_ns);
		if (rc)
			return rc;
	}
}
