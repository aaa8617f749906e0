#include "placement.h"

#include <errno.h>

#include "clock.h"
#include "repair/repair.h"

/* --- choosing --- */

static bool same_zone(const struct peer *a, const struct peer *b)
{
	uint32_t id = atomic_load(&a->zone_id);

	return id && id == atomic_load(&b->zone_id);
}

static bool has_room(const struct peer *peer)
{
	return atomic_load(&peer->free_bytes) >=
		       peer->engine->slabs.geometry.slab_bytes &&
	       atomic_load(&peer->release_slabs) == 0;
}

bool place_elsewhere(const struct peer *peer)
{
	for (uint32_t i = 0; i < peer->engine->n_peers; i++) {
		const struct peer *other = &peer->engine->peers[i];

		if (other != peer && peer_state(other) == PEER_UP &&
		    has_room(other))
			return true;
	}
	return false;
}

/* Whether PEER may take one more part of SLAB. */
static bool suits(const struct engine *engine, const struct slab *slab,
		  const struct peer *peer, bool new_zone)
{
	if (!has_room(peer))
		return false;
	for (uint32_t i = 0; i < engine->slabs.n_parts; i++) {
		const struct slab_part *part = &slab->parts[i];

		if (part_state(part) == PART_NONE)
			continue;
		if (part->peer == peer->index ||
		    (new_zone && same_zone(peer, peer_of_part(engine, part))))
			return false;
	}
	return true;
}

static bool better(const struct peer *a, const struct peer *b)
{
	if (a->local != b->local)
		return b->local;
	return atomic_load(&a->free_bytes) > atomic_load(&b->free_bytes);
}

struct peer *place_pick(const struct engine *engine, const struct slab *slab,
			enum peer_state state, bool new_zone)
{
	struct peer *best = NULL;

	for (uint32_t i = 0; i < engine->n_peers; i++) {
		struct peer *peer = &engine->peers[i];

		if (peer_state(peer) == state &&
		    suits(engine, slab, peer, new_zone) &&
		    (!best || better(peer, best)))
			best = peer;
	}
	return best;
}

/* A remote server before the local fallback, and rather that than a zone to
 * itself. */
static struct peer *pick(const struct engine *engine, const struct slab *slab,
			 enum peer_state state)
{
	struct peer *peer = place_pick(engine, slab, state, true);

	if (!peer || peer->local)
		peer = place_pick(engine, slab, state, false);
	return peer;
}

/* --- asking --- */

/* Asks PEER, which may be gone by then, for PART as ROW. */
static bool ask(struct slab_part *part, struct peer *peer, uint8_t row,
		bool keepers)
{
	part->row = row;
	part->peer = peer->index;
	atomic_store(&part->keepers, keepers);
	atomic_store(&part->state, PART_ASKED);
	if (peer_ask_part(peer, part))
		return true;
	atomic_store(&part->state, PART_NONE);
	return false;
}

struct slab_part *place_ask_keepers(struct engine *engine, struct slab *slab,
				    uint8_t row)
{
	struct slab_part *part;
	struct peer *peer;

	/* Inside, as one that is UNMAPPED may be being allocated. */
	if (slab_enter(slab) != SLAB_LIVE)
		return NULL;
	part = slab_unused_part(&engine->slabs, slab);
	peer = pick(engine, slab, PEER_UP);
	if (part && (!peer || !ask(part, peer, row, true)))
		part = NULL;
	slab_leave(slab);
	return part;
}

/* --- allocating --- */

/* The parts of the allocation under way, as bits of their rows. */
static uint32_t rows_under_way(const struct engine *engine,
			       const struct slab *slab)
{
	uint32_t rows = 0;

	for (uint32_t i = 0; i < engine->slabs.n_parts; i++) {
		const struct slab_part *part = &slab->parts[i];

		if (part_state(part) != PART_NONE &&
		    !atomic_load(&part->keepers))
			rows |= 1u << part->row;
	}
	return rows;
}

/* One that is BROKEN is waited for only where the pages could not be kept
 * otherwise. */
static struct peer *pick_for_alloc(const struct engine *engine,
				   const struct slab *slab, uint32_t rows)
{
	struct peer *peer = pick(engine, slab, PEER_UP);

	if (!peer &&
	    (uint32_t)__builtin_popcount(rows) < engine->redundancy.need)
		peer = pick(engine, slab, PEER_BROKEN);
	return peer;
}

/* Asks for every row that nobody has been asked for.  How many. */
static uint32_t ask_missing(struct engine *engine, struct slab *slab)
{
	uint32_t rows = rows_under_way(engine, slab), asked = 0;

	for (uint8_t row = 0; row < engine->redundancy.parts; row++) {
		struct slab_part *part;
		struct peer *peer;

		if (rows & 1u << row)
			continue;
		part = slab_unused_part(&engine->slabs, slab);
		peer = pick_for_alloc(engine, slab, rows);
		if (!part || !peer)
			break;
		atomic_fetch_add(&slab->asks, 1);
		if (!ask(part, peer, row, false)) {
			atomic_fetch_sub(&slab->asks, 1);
			row--; /* it went just now */
			continue;
		}
		rows |= 1u << row;
		asked++;
	}
	return asked;
}

/* No more can be had: LIVE with what there is, where that is enough. */
static void finish(struct engine *engine, struct slab *slab)
{
	uint32_t rows = rows_under_way(engine, slab);
	bool enough =
		(uint32_t)__builtin_popcount(rows) >= engine->redundancy.need;

	for (uint32_t i = 0; i < engine->slabs.n_parts; i++) {
		struct slab_part *part = &slab->parts[i];

		if (part_state(part) != PART_GIVEN)
			continue;
		if (enough) {
			part_mark_all_current(&engine->slabs, part);
			atomic_store(&part->state, PART_LIVE);
		} else {
			place_give_back(engine, part, PART_GIVEN);
		}
	}
	if (!enough) {
		slab_cancel_alloc(&engine->slabs, slab);
		return;
	}
	slab_finish_alloc(&engine->slabs, slab);
	if (rows != (1u << engine->redundancy.parts) - 1)
		keeper_poke(engine);
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

void place_answer(struct engine *engine, struct slab_part *part,
		  const struct remote_slab *remote)
{
	struct slab *slab = part->slab;
	bool keepers = atomic_load(&part->keepers);

	if (remote) {
		part->remote = *remote;
		atomic_fetch_add(&peer_of_part(engine, part)->slabs, 1);
	}
	atomic_store(&part->state, !remote   ? PART_NONE
				   : keepers ? PART_SPARE
					     : PART_GIVEN);
	if (keepers)
		keeper_poke(engine);
	else if (atomic_fetch_sub(&slab->asks, 1) == 1)
		go_on(engine, slab);
}

void place_give_back(struct engine *engine, struct slab_part *part,
		     enum part_state state)
{
	uint8_t expected = (uint8_t)state;

	/* Before peer and remote are read: of a part that is NONE they are
	 * those of whoever asks for it next. */
	if (!atomic_compare_exchange_strong(&part->state, &expected,
					    PART_GOING))
		return;
	/* Queued before anybody can ask for the part again: the server would
	 * answer with the slab that is to be freed. */
	peer_give_back(peer_of_part(engine, part), part->remote.slab,
		       slab_number(&engine->slabs, part->slab));
	atomic_store(&part->state, PART_NONE);
}

/* One that is BROKEN and was not worth waiting for says nothing of its room. */
static bool any_server_there(const struct engine *engine)
{
	for (uint32_t i = 0; i < engine->n_peers; i++) {
		if (peer_state(&engine->peers[i]) == PEER_UP)
			return true;
	}
	return false;
}

/* How long a server that broke is waited for where others are there, and full;
 * and how long at a time. */
#define BACK_NS	 (1 * NS_PER_S)
#define SLICE_NS (20 * NS_PER_MS)

/* The pause where a server has room and still is not to be asked: the keeper
 * asked it for this very slab, or it came back only just now.  Nothing wakes
 * who waits for that, and a real-time thread must not go round without a pause.
 */
#define PAUSE_NS NS_PER_MS

/* A server that may have room once it is back, or NULL. */
static struct peer *broken_peer(const struct engine *engine, bool only_lately)
{
	for (uint32_t i = 0; i < engine->n_peers; i++) {
		struct peer *peer = &engine->peers[i];
		uint64_t until_ns = atomic_load(&peer->broken_ns) + BACK_NS;

		if (peer_state(peer) == PEER_BROKEN &&
		    (!only_lately || clock_left_ns(until_ns) > 0))
			return peer;
	}
	return NULL;
}

/* Whether enough servers are there now that have room: one may be back, or have
 * told of room, since it was asked. */
static bool enough_room(const struct engine *engine)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < engine->n_peers; i++) {
		const struct peer *peer = &engine->peers[i];

		n += peer_state(peer) == PEER_UP && has_room(peer);
	}
	return n >= engine->redundancy.need;
}

/* Nobody took it who is there.  -EAGAIN where a server may come back, after
 * waiting for it for a while; else what to tell. */
static int after_refusal(const struct engine *engine, uint64_t deadline_ns)
{
	bool others = any_server_there(engine);
	struct peer *peer = broken_peer(engine, others);
	uint64_t until_ns = clock_now_ns() + SLICE_NS;

	if (enough_room(engine) && clock_left_ns(deadline_ns) > 0) {
		clock_sleep_ns(PAUSE_NS);
		return -EAGAIN;
	}
	if (!peer || clock_left_ns(deadline_ns) == 0)
		return others ? -ENOSPC : -EIO;
	peer_wait(peer, until_ns < deadline_ns ? until_ns : deadline_ns);
	return -EAGAIN;
}

int place_slab(struct engine *engine, struct slab *slab, uint64_t deadline_ns)
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
