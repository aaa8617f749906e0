#include "placement.h"

#include <errno.h>

#include "clock.h"

/* --- choosing --- */

static bool has_room(const struct server *server)
{
	return atomic_load(&server->shared.free_bytes) >=
		       server->engine->slabs.geometry.slab_bytes &&
	       atomic_load(&server->shared.release_slabs) == 0;
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

/* Where the shards of SLAB are that are asked for or at hand.  Returns how many
 * there are. */
static uint32_t shards_of(const struct engine *engine, const struct slab *slab,
			  uint8_t index, struct choose_shard *shards)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		const struct slab_shard *shard = &slab->shards[i];

		if (shard_state(shard) == SHARD_NONE)
			continue;
		shards[n++] = (struct choose_shard){
			.server = shard->server,
			.zone = atomic_load(&server_of_shard(engine, shard)
						     ->shared.zone_id),
			.gives_way = shard->index == index,
		};
	}
	return n;
}

static uint32_t count_slabs(const struct engine *engine, uint64_t bytes)
{
	uint64_t n = bytes / engine->slabs.geometry.slab_bytes;

	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

struct choose_server placement_view(const struct server *server)
{
	const struct engine *engine = server->engine;
	uint64_t free_bytes = atomic_load(&server->shared.free_bytes);
	uint64_t total_bytes = atomic_load(&server->shared.total_bytes);
	uint64_t read_us = atomic_load(&server->shared.usual_ns) / NS_PER_US;

	return (struct choose_server){
		.index = server->index,
		.free_slabs = count_slabs(engine, free_bytes),
		.total_slabs = count_slabs(engine, total_bytes),
		.zone = atomic_load(&server->shared.zone_id),
		.own_slabs = atomic_load(&server->shared.slabs),
		.read_us =
			read_us < UINT32_MAX ? (uint32_t)read_us : UINT32_MAX,
		.load_permille = atomic_load(&server->shared.load_permille),
		.last_resort = server_is_last_resort(server),
	};
}

/* Differs from shard to shard, and, by the time of the start, from client to
 * client. */
static uint64_t seed(const struct engine *engine, const struct slab *slab,
		     uint8_t index)
{
	uint64_t x = choose_mix(engine->start_ns);

	x = choose_mix(x + slab_number(&engine->slabs, slab));
	return choose_mix(
		x + ((uint64_t)atomic_load(&slab->generation) << 8 | index));
}

static struct server *pick(const struct engine *engine, const struct slab *slab,
			   uint8_t index, enum server_state state,
			   const struct rebalance *only)
{
	struct choose_shard shards[REDUNDANCY_MAX_SHARDS + 1];
	struct choose choice;
	uint32_t picked;

	choose_begin(&choice, shards, shards_of(engine, slab, index, shards),
		     seed(engine, slab, index));
	if (only)
		choose_apart(&choice);
	for (uint32_t i = 0; i < engine->n_servers; i++) {
		const struct server *server = &engine->servers[i];
		struct choose_server view;

		if (server_state(server) != state || !has_room(server))
			continue;
		view = placement_view(server);
		if (!only || rebalance_may_take(only, &view))
			choose_offer(&choice, &view);
	}
	picked = choose_end(&choice);
	return picked == CHOOSE_NONE ? NULL : &engine->servers[picked];
}

struct server *placement_pick(const struct engine *engine,
			      const struct slab *slab, uint8_t index,
			      enum server_state state)
{
	return pick(engine, slab, index, state, NULL);
}

/* --- asking --- */

/* Asks SERVER, which may be DOWN by now, for SHARD with INDEX. */
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
					    struct slab *slab, uint8_t index,
					    const struct rebalance *only)
{
	struct slab_shard *shard;
	struct server *server;

	/* The slab is entered, because the shards of a slab that is not LIVE
	 * may belong to an allocation. */
	if (slab_enter(slab) != SLAB_LIVE)
		return NULL;
	shard = slab_unused_shard(&engine->slabs, slab);
	server = pick(engine, slab, index, SERVER_UP, only);
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

/* A server that is RECOVERING is asked only where the pages could not be kept
 * otherwise, because the allocation waits for it. */
static struct server *pick_for_alloc(const struct engine *engine,
				     const struct slab *slab, uint32_t indexes,
				     uint8_t index)
{
	struct server *server = placement_pick(engine, slab, index, SERVER_UP);

	if (!server && !redundancy_is_enough(&engine->redundancy, indexes))
		server = placement_pick(engine, slab, index, SERVER_RECOVERING);
	return server;
}

/* Asks for every shard index that no server has been asked for.  Returns how
 * many. */
static uint32_t ask_missing(struct engine *engine, struct slab *slab)
{
	uint32_t indexes = indexes_under_way(engine, slab), asked = 0;

	for (uint8_t index = 0; index < engine->redundancy.shards; index++) {
		struct slab_shard *shard;
		struct server *server;

		if (indexes & 1u << index)
			continue;
		shard = slab_unused_shard(&engine->slabs, slab);
		server = pick_for_alloc(engine, slab, indexes, index);
		if (!shard || !server)
			break;
		atomic_fetch_add(&slab->asks, 1);
		if (!ask(shard, server, index, false)) {
			atomic_fetch_sub(&slab->asks, 1);
			index--; /* the server just became DOWN */
			continue;
		}
		indexes |= 1u << index;
		asked++;
	}
	return asked;
}

/* No server takes another shard.  The slab becomes LIVE where its shards are
 * enough to keep pages; otherwise the allocation is cancelled. */
static void finish(struct engine *engine, struct slab *slab)
{
	uint32_t indexes = indexes_under_way(engine, slab);
	bool enough = redundancy_is_enough(&engine->redundancy, indexes);

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
	if (indexes != redundancy_all(&engine->redundancy))
		wake_up(&engine->wake);
}

/* Only one thread at a time runs the allocation: first the thread that began
 * it, later the session that gave the last answer. */
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
	struct slab *slab = slab_of_shard(&engine->slabs, shard);
	bool for_repair = atomic_load(&shard->for_repair);

	if (remote) {
		shard->remote = *remote;
		atomic_fetch_add(&server_of_shard(engine, shard)->shared.slabs,
				 1);
	}
	atomic_store(&shard->state, !remote	 ? SHARD_NONE
				    : for_repair ? SHARD_SPARE
						 : SHARD_GIVEN);
	if (for_repair)
		wake_up(&engine->wake);
	else if (atomic_fetch_sub(&slab->asks, 1) == 1)
		go_on(engine, slab);
}

void placement_give_back(struct engine *engine, struct slab_shard *shard,
			 enum shard_state state)
{
	uint8_t expected = (uint8_t)state;

	/* LEAVING protects server and remote while they are read: once the
	 * shard is NONE, the next thread that asks for the shard sets them. */
	if (!atomic_compare_exchange_strong(&shard->state, &expected,
					    SHARD_LEAVING))
		return;
	/* The slab is queued before any thread can ask for the shard again.
	 * Otherwise the server would answer with the slab that will be freed.
	 */
	server_give_back(server_of_shard(engine, shard), shard->remote.slab,
			 slab_number_of_shard(&engine->slabs, shard));
	atomic_store(&shard->state, SHARD_NONE);
}

/* A recovering server reports no free space, so it does not count. */
static bool any_server_there(const struct engine *engine)
{
	for (uint32_t i = 0; i < engine->n_servers; i++) {
		if (server_state(&engine->servers[i]) == SERVER_UP)
			return true;
	}
	return false;
}

/* How long to wait for a server that broke where the other servers are full,
 * and how long at a time. */
#define BACK_NS	 (1 * NS_PER_S)
#define SLICE_NS (20 * NS_PER_MS)

/* The pause where a server has room and still cannot be asked: the repairer has
 * asked it for this very slab, or it came back only just now.  No event wakes
 * the waiting thread then, and a real-time thread must not loop without a
 * pause. */
#define PAUSE_NS NS_PER_MS

/* A server that may have room once it is back, or NULL. */
static struct server *broken_server(const struct engine *engine,
				    bool only_lately)
{
	for (uint32_t i = 0; i < engine->n_servers; i++) {
		struct server *server = &engine->servers[i];
		uint64_t until_ns =
			atomic_load(&server->shared.may_return_ns) + BACK_NS;

		if (server_state(server) == SERVER_RECOVERING &&
		    (!only_lately || clock_left_ns(until_ns) > 0))
			return server;
	}
	return NULL;
}

/* Whether enough servers with room are UP now.  A server may have come back, or
 * reported room, since the slab was asked for. */
static bool enough_room(const struct engine *engine)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < engine->n_servers; i++) {
		const struct server *server = &engine->servers[i];

		n += server_state(server) == SERVER_UP && has_room(server);
	}
	return n >= engine->redundancy.need;
}

/* Every reachable server refused the slab.  -EAGAIN where a server may have
 * room soon; then P says what to wait for.  Else the errno of the request. */
static int after_refusal(const struct engine *engine, struct placement *p,
			 uint64_t deadline_ns)
{
	bool others = any_server_there(engine);
	struct server *server = broken_server(engine, others);
	uint64_t until_ns = clock_now_ns() + SLICE_NS;

	if (enough_room(engine) && clock_left_ns(deadline_ns) > 0) {
		p->pause_ns = PAUSE_NS;
		return -EAGAIN;
	}
	if (!server || clock_left_ns(deadline_ns) == 0)
		return others ? -ENOSPC : -EIO;
	p->server = server;
	p->until_ns = until_ns < deadline_ns ? until_ns : deadline_ns;
	return -EAGAIN;
}

int placement_step(struct engine *engine, struct placement *p,
		   uint64_t deadline_ns)
{
	uint32_t now;

	p->server = NULL;
	p->pause_ns = 0;
	if (slab_state(p->slab) == SLAB_LIVE)
		return 0;
	now = atomic_load(&p->slab->generation);
	/* UNMAPPED again although a server took the slab: it was freed or lost
	 * before this thread got to run.  That was no refusal. */
	if (p->asked && now == p->generation &&
	    slab_state(p->slab) == SLAB_UNMAPPED) {
		p->asked = false;
		return after_refusal(engine, p, deadline_ns);
	}
	p->generation = now;
	if (slab_begin_alloc(p->slab))
		go_on(engine, p->slab);
	p->asked = true;
	return -EAGAIN;
}
