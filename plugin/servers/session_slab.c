#include "session.h"

#include <errno.h>

#include "clock.h"
#include "repair/repair.h"
#include "placement.h"

/* How long to wait at a time for others who change a slab that is lost. */
#define CHANGE_NS (10 * NS_PER_MS)

static struct slab *slab_at(const struct peer *peer, uint64_t i)
{
	return &peer->engine->slabs.slabs[i];
}

/* --- freeing --- */

/* By session_call or session_try_call.  0, or what failed on the connection:
 * then it is tried again. */
static int free_slab(struct peer *peer, uint32_t slab, session_caller *call,
		     struct reason *why)
{
	struct wire_message request = { .type = WIRE_FREE };
	struct wire_message reply;
	int rc;

	request.free.slab = slab;
	rc = call(peer, &request, WIRE_FREED, &reply, why);
	if (!rc)
		atomic_store(&peer->free_bytes, reply.freed.free_bytes);
	/* It was freed already, and the answer lost with a connection. */
	return rc == -EREMOTEIO ? 0 : rc;
}

/* The FREE whose answer was lost, once more.  It goes before everything that
 * may have the server hand out a slab of the same number. */
static int free_unsure(struct peer *peer, session_caller *call,
		       struct reason *why)
{
	int rc;

	if (!peer->has_unsure_free)
		return 0;
	rc = free_slab(peer, peer->unsure_free.slab, call, why);
	if (rc)
		return rc;
	peer->has_unsure_free = false;
	atomic_fetch_sub(&peer->slabs, 1);
	return 0;
}

/* A write that failed at this server may still be under way to a slab that was
 * given back since then; freed before the fence, and handed out again, the slab
 * would get that write.  The server broke before the write's slab could be
 * given back, so this is called with what was taken from the queue. */
static int fence_first(struct peer *peer, session_caller *call,
		       struct reason *why)
{
	if (peer_state(peer) != PEER_BROKEN)
		return 0;
	if (call == session_call)
		return session_heal(peer, why);
	reason_set(why, "a transfer failed");
	return -ENOTCONN;
}

/* Frees one that was given back.  By session_try_call it fails where the server
 * is BROKEN. */
static int free_one(struct peer *peer, const struct given_back *given,
		    session_caller *call, struct reason *why)
{
	int rc = fence_first(peer, call, why);

	if (!rc)
		rc = free_unsure(peer, call, why);
	if (rc) {
		peer_give_back(peer, given->slab, given->label);
		return rc;
	}
	peer->unsure_free = *given;
	peer->has_unsure_free = true;
	return free_unsure(peer, call, why);
}

static int free_given_back(struct peer *peer, session_caller *call,
			   struct reason *why)
{
	struct given_back given;
	int rc = free_unsure(peer, call, why);

	while (!rc && peer_next_given_back(peer, &given))
		rc = free_one(peer, &given, call, why);
	return rc;
}

/* --- allocating --- */

/* Frees the slab of an ALLOC whose answer was lost: the server answers the same
 * label with the same slab.  0, or what failed on the connection. */
static int free_orphan(struct peer *peer, struct reason *why)
{
	struct wire_message request = { .type = WIRE_ALLOC };
	struct wire_message reply;
	struct given_back given;
	int rc = free_unsure(peer, session_call, why);

	if (rc || peer->orphan_label == PEER_NO_LABEL)
		return rc;
	if (peer_given_back_by_label(peer, peer->orphan_label, &given))
		rc = free_one(peer, &given, session_call, why);
	if (rc)
		return rc;
	request.alloc.label = peer->orphan_label;
	rc = session_call(peer, &request, WIRE_SLAB, &reply, why);
	if (!rc)
		rc = free_slab(peer, reply.slab.slab, session_call, why);
	if (rc && rc != -EREMOTEIO)
		return rc;
	peer->orphan_label = PEER_NO_LABEL;
	return 0;
}

bool session_may_refuse(const struct peer *peer)
{
	const struct engine *engine = peer->engine;

	if (engine->redundancy.parts > 1)
		return true;
	for (uint32_t i = 0; i < engine->n_peers; i++) {
		if (i != peer->index &&
		    peer_state(&engine->peers[i]) == PEER_UP)
			return true;
	}
	return false;
}

/* 0, -EREMOTEIO (the server refused), or what failed on the connection. */
static int alloc_part(struct peer *peer, const struct slab_part *part,
		      struct remote_slab *remote, struct reason *why)
{
	const struct slab_table *table = &peer->engine->slabs;
	struct wire_message request = { .type = WIRE_ALLOC };
	struct wire_message reply;
	int rc;

	request.alloc.label = slab_number(table, part->slab);
	rc = session_try_call(peer, &request, WIRE_SLAB, &reply, why);
	if (rc)
		return rc;
	if (reply.slab.bytes != table->geometry.slab_bytes) {
		reason_set(why, "it answered ALLOC with a slab of %llu bytes",
			   (unsigned long long)reply.slab.bytes);
		return -EPROTO;
	}
	*remote = (struct remote_slab){ .address = reply.slab.address,
					.slab = reply.slab.slab,
					.rkey = reply.slab.rkey };
	atomic_store(&peer->free_bytes, reply.slab.free_bytes);
	return 0;
}

/* The connection failed, and is healed; who asked goes on without this server.
 * 0, or why the session is lost. */
static int go_without(struct peer *peer, struct slab_part *part,
		      struct reason *why)
{
	int rc;

	peer->orphan_label = slab_number(&peer->engine->slabs, part->slab);
	peer_break(peer, why->text);
	atomic_store(&peer->free_bytes, 0);
	place_answer(peer->engine, part, NULL);
	rc = session_heal(peer, why);
	return rc ? rc : free_orphan(peer, why);
}

/* The server knows a slab by its label, and would answer an ALLOC for the same
 * label with the one that is to be freed: that one goes first.  The others only
 * where the server is full without them, as there may be thousands. */
static int free_then_alloc(struct peer *peer, const struct slab_part *part,
			   struct remote_slab *remote, struct reason *why)
{
	uint64_t label = slab_number(&peer->engine->slabs, part->slab);
	struct given_back given;
	int rc = free_unsure(peer, session_try_call, why);

	if (!rc && peer_given_back_by_label(peer, label, &given))
		rc = free_one(peer, &given, session_try_call, why);
	if (!rc)
		rc = alloc_part(peer, part, remote, why);
	if (rc != -EREMOTEIO || !peer_next_given_back(peer, &given))
		return rc;
	rc = free_one(peer, &given, session_try_call, why);
	if (!rc)
		rc = free_given_back(peer, session_try_call, why);
	return rc ? rc : alloc_part(peer, part, remote, why);
}

/* All that is asked for now. */
static int alloc_asked(struct peer *peer, struct reason *why)
{
	struct slab_part *part;
	int rc = 0;

	while (!rc && (part = peer_next_ask(peer))) {
		/* Who asks does not wait for a server that does not answer: the
		 * slab can go elsewhere, or others may be back sooner. */
		struct remote_slab remote;

		rc = free_then_alloc(peer, part, &remote, why);
		if (!rc) {
			place_answer(peer->engine, part, &remote);
		} else if (rc == -EREMOTEIO) {
			/* Full, whatever it said before: others come first now,
			 * until it tells of room again. */
			atomic_store(&peer->free_bytes, 0);
			place_answer(peer->engine, part, NULL);
			rc = 0;
		} else if (rc != -EPROTO) {
			rc = go_without(peer, part, why);
		} else {
			/* Refused with all others, as the session is lost. */
			peer_ask_again(peer, part);
		}
	}
	return rc;
}

/* One slab is freed at a time, so that a write that asks for another one never
 * waits for more than that. */
int session_alloc_slabs(struct peer *peer, struct reason *why)
{
	struct given_back given;
	int rc = free_orphan(peer, why);

	if (!rc)
		rc = alloc_asked(peer, why);
	while (!rc && peer_next_given_back(peer, &given)) {
		rc = free_one(peer, &given, session_call, why);
		if (!rc)
			rc = alloc_asked(peer, why);
	}
	return rc;
}

void session_refuse_slabs(struct peer *peer)
{
	struct slab_part *part;

	/* So that it is not asked again at once. */
	atomic_store(&peer->free_bytes, 0);
	while ((part = peer_next_ask(peer)))
		place_answer(peer->engine, part, NULL);
}

/* --- losing --- */

static bool holds_part(const struct peer *peer, const struct slab *slab)
{
	for (uint32_t i = 0; i < peer->engine->slabs.n_parts; i++) {
		const struct slab_part *part = &slab->parts[i];

		if (part->peer == peer->index && part_is_held(part_state(part)))
			return true;
	}
	return false;
}

/* Forgets the peer's part of SLAB; the rows, as bits, of those that are LIVE
 * and others'. */
static uint32_t drop_part(const struct peer *peer, struct slab *slab)
{
	uint32_t others = 0;

	for (uint32_t i = 0; i < peer->engine->slabs.n_parts; i++) {
		struct slab_part *part = &slab->parts[i];
		enum part_state state = part_state(part);
		uint8_t old = (uint8_t)state;

		if (part->peer == peer->index && part_is_held(state))
			atomic_compare_exchange_strong(&part->state, &old,
						       PART_NONE);
		else if (state == PART_LIVE)
			others |= 1u << part->row;
	}
	return others;
}

/* Too few parts are left for any page: without these the slab is free for what
 * is written next, which else would wait for the keeper to find new parts, one
 * after the other. */
static void drop_the_rest(struct engine *engine, struct slab *slab)
{
	for (uint32_t i = 0; i < engine->slabs.n_parts; i++) {
		if (part_is_live(&slab->parts[i]))
			place_give_back(engine, &slab->parts[i], PART_LIVE);
	}
}

/* Pages that too few parts are left of become LOST; how many. */
static int64_t lose_pages(struct engine *engine, struct slab *slab)
{
	struct slab_table *table = &engine->slabs;
	uint64_t first = slab_number(table, slab) * table->geometry.slab_pages;
	int64_t lost = 0;

	for (uint32_t i = 0;
	     i < table->geometry.slab_pages && first + i < engine->pages.pages;
	     i++) {
		if (pagemap_get(&engine->pages, first + i) == PAGE_PRESENT &&
		    slab_rows_of_unit(table, slab, i) < engine->redundancy.need)
			lost += pagemap_lose(&engine->pages, first + i, 1);
	}
	/* Subtracted, not set: a trim may be between page map and count. */
	atomic_fetch_sub(&slab->present_pages, (int32_t)lost);
	return lost;
}

/* CLOSING with nobody in; false where the slab is UNMAPPED.  Others that change
 * it may wait for an answer of this very session. */
static bool close_slab(struct peer *peer, struct slab *slab)
{
	struct slab_table *table = &peer->engine->slabs;

	while (!slab_begin_close(slab)) {
		if (slab_state(slab) == SLAB_UNMAPPED)
			return false;
		session_refuse_slabs(peer);
		slab_wait(table, slab, clock_now_ns() + CHANGE_NS);
	}
	while (slab_entered(slab))
		clock_sleep_ns(NS_PER_MS / 4);
	return true;
}

static int64_t lose_slab(struct peer *peer, struct slab *slab)
{
	struct engine *engine = peer->engine;
	uint32_t rows;
	int64_t lost;
	bool enough;

	if (!close_slab(peer, slab)) {
		drop_part(peer, slab);
		return 0;
	}
	rows = drop_part(peer, slab);
	enough = (uint32_t)__builtin_popcount(rows) >= engine->redundancy.need;
	lost = lose_pages(engine, slab);
	if (!enough)
		drop_the_rest(engine, slab);
	slab_finish_close(&engine->slabs, slab,
			  enough ? SLAB_LIVE : SLAB_UNMAPPED);
	return lost;
}

/* Who was first with a part is about to queue it: it is to be forgotten here,
 * not freed in the next session. */
static void await_going(const struct peer *peer, const struct slab *slab)
{
	for (uint32_t i = 0; i < peer->engine->slabs.n_parts; i++) {
		const struct slab_part *part = &slab->parts[i];

		while (part->peer == peer->index &&
		       part_state(part) == PART_GOING)
			clock_sleep_ns(NS_PER_MS / 4);
	}
}

int64_t session_lose_slabs(struct peer *peer)
{
	struct slab_table *table = &peer->engine->slabs;
	int64_t lost = 0;

	session_refuse_slabs(peer);
	for (uint64_t i = 0; i < table->n; i++) {
		struct slab *slab = slab_at(peer, i);

		/* Only this thread has this peer give any.  Again where the
		 * keeper attached one to a slab that had just been UNMAPPED. */
		while (holds_part(peer, slab))
			lost += lose_slab(peer, slab);
		await_going(peer, slab);
	}
	atomic_store(&peer->slabs, 0);
	peer_forget_given_back(peer);
	keeper_poke(peer->engine);
	return lost;
}
