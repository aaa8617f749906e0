#include "session.h"

#include <errno.h>
#include <time.h>

#include "clock.h"

/* How often to look whether the last request has left a slab. Requests whose
 * links were aborted leave at once. */
#define LEAVE_POLL_NS (NS_PER_MS / 2)

/* At how many looks in a row a slab has to be empty before one frees it. */
#define EMPTY_TICKS 2

static struct slab *slab_at(const struct peer *peer, uint64_t i)
{
	return &peer->engine->slabs.slabs[i];
}

static uint64_t number_of(const struct peer *peer, const struct slab *slab)
{
	return (uint64_t)(slab - peer->engine->slabs.slabs);
}

/* 0, -EREMOTEIO (the server refused), or what failed on the connection. */
static int alloc_slab(struct peer *peer, struct slab *slab, struct reason *why)
{
	struct slab_table *table = &peer->engine->slabs;
	struct wire_message request = { .type = WIRE_ALLOC };
	struct wire_message reply;
	struct remote_slab remote;
	int rc;

	request.alloc.label = number_of(peer, slab);
	rc = session_call(peer, &request, WIRE_SLAB, &reply, why);
	if (rc)
		return rc;
	if (reply.slab.bytes != table->geometry.slab_bytes) {
		reason_set(why, "it answered ALLOC with a slab of %llu bytes",
			   (unsigned long long)reply.slab.bytes);
		return -EPROTO;
	}
	remote = (struct remote_slab){ .address = reply.slab.address,
				       .slab = reply.slab.slab,
				       .rkey = reply.slab.rkey };
	atomic_store(&peer->free_bytes, reply.slab.free_bytes);
	atomic_fetch_add(&peer->slabs, 1);
	slab_finish_alloc(table, slab, peer->index, &remote);
	return 0;
}

int session_alloc_slabs(struct peer *peer, struct reason *why)
{
	struct slab *slab;

	while ((slab = peer_next_ask(peer))) {
		int rc = alloc_slab(peer, slab, why);

		/* Full, whatever it said before: others come first now, until
		 * it tells of room again. */
		if (rc == -EREMOTEIO)
			atomic_store(&peer->free_bytes, 0);
		if (rc)
			slab_cancel_alloc(&peer->engine->slabs, slab);
		if (rc && rc != -EREMOTEIO) {
			session_refuse_slabs(peer);
			return rc;
		}
	}
	return 0;
}

void session_refuse_slabs(struct peer *peer)
{
	struct slab *slab;

	while ((slab = peer_next_ask(peer)))
		slab_cancel_alloc(&peer->engine->slabs, slab);
}

static int free_slab(struct peer *peer, struct slab *slab, struct reason *why)
{
	struct wire_message request = { .type = WIRE_FREE };
	struct wire_message reply;
	int rc;

	request.free.slab = slab->remote.slab;
	rc = session_call(peer, &request, WIRE_FREED, &reply, why);
	if (!rc)
		atomic_store(&peer->free_bytes, reply.freed.free_bytes);
	return rc;
}

/* Whether the slab is LIVE on this peer.  Stays true until this thread changes
 * it: nobody else closes a slab of this peer. */
static bool live_here(const struct peer *peer, struct slab *slab)
{
	bool here;

	if (slab_enter(slab) != SLAB_LIVE)
		return false;
	here = slab->peer == peer->index;
	slab_leave(slab);
	return here;
}

/* Whether the slab was empty at the last look as well.  One that was only just
 * allocated is empty until the write that it is for gets to it, and one that is
 * emptied and filled by turns is better kept. */
static bool stays_empty(struct slab *slab)
{
	return slab->empty_ticks++ >= EMPTY_TICKS;
}

int session_free_slabs(struct peer *peer, struct reason *why)
{
	struct slab_table *table = &peer->engine->slabs;

	for (uint64_t i = 0; i < table->n; i++) {
		struct slab *slab = slab_at(peer, i);
		int rc;

		if (!live_here(peer, slab))
			continue;
		if (atomic_load(&slab->present_pages) != 0) {
			slab->empty_ticks = 0;
			continue;
		}
		if (!stays_empty(slab) || !slab_begin_free(slab))
			continue;
		/* Only now is the count final. */
		if (atomic_load(&slab->present_pages) != 0) {
			slab_finish_close(table, slab, SLAB_LIVE);
			continue;
		}
		rc = free_slab(peer, slab, why);
		atomic_fetch_sub(&peer->slabs, 1);
		slab_finish_close(table, slab, SLAB_UNMAPPED);
		if (rc)
			return rc;
	}
	return 0;
}

/* The shut slabs are those that are CLOSING on this peer, which stays as it is
 * while they are. */
static bool shut_here(const struct peer *peer, const struct slab *slab)
{
	return slab_state(slab) == SLAB_CLOSING && slab->peer == peer->index;
}

void session_shut_slabs(struct peer *peer)
{
	struct slab_table *table = &peer->engine->slabs;

	for (uint64_t i = 0; i < table->n; i++) {
		struct slab *slab = slab_at(peer, i);

		if (live_here(peer, slab))
			slab_begin_lose(slab);
	}
}

static int64_t lose_slab(struct peer *peer, struct slab *slab)
{
	struct engine *engine = peer->engine;
	struct slab_table *table = &engine->slabs;
	uint64_t page = number_of(peer, slab) * table->geometry.slab_pages;
	uint64_t n = engine->pages.pages - page;
	int64_t lost;

	if (n > table->geometry.slab_pages)
		n = table->geometry.slab_pages;
	while (slab_entered(slab)) {
		struct timespec pause = clock_timespec(LEAVE_POLL_NS);

		nanosleep(&pause, NULL);
	}
	lost = pagemap_lose(&engine->pages, page, n);
	/* Subtracted, not set: a trim may be between page map and count. */
	atomic_fetch_sub(&slab->present_pages, (int32_t)lost);
	slab_finish_close(table, slab, SLAB_UNMAPPED);
	return lost;
}

int64_t session_lose_slabs(struct peer *peer)
{
	struct slab_table *table = &peer->engine->slabs;
	int64_t lost = 0;

	for (uint64_t i = 0; i < table->n; i++) {
		if (shut_here(peer, slab_at(peer, i)))
			lost += lose_slab(peer, slab_at(peer, i));
	}
	atomic_store(&peer->slabs, 0);
	return lost;
}
