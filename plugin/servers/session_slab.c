#include "session.h"

#include <errno.h>

#include "clock.h"
#include "placement.h"

/* How long to wait at a time for other threads that change a slab that is lost.
 */
#define CHANGE_NS (10 * NS_PER_MS)

static struct slab *slab_at(const struct server *server, uint64_t i)
{
	return &server->engine->slabs.slabs[i];
}

/* --- freeing --- */

/* Frees SLAB by CALL (session_call or session_call_once).  0, or the
 * connection's errno; then the caller sends the FREE again. */
static int free_slab(struct server *server, uint32_t slab, session_caller *call,
		     struct error *why)
{
	struct wire_message request = { .type = WIRE_FREE };
	struct wire_message reply;
	int rc;

	request.free.slab = slab;
	rc = call(server, &request, WIRE_FREED, &reply, why);
	if (!rc)
		atomic_store(&server->shared.free_bytes,
			     reply.freed.free_bytes);
	/* An error of the server means that the slab was freed before, and that
	 * the answer was lost with a connection. */
	return rc == -EREMOTEIO ? 0 : rc;
}

/* Repeats the FREE whose answer was lost, before any call after which the
 * server may grant a slab of the same number. */
static int free_unsure(struct server *server, session_caller *call,
		       struct error *why)
{
	int rc;

	if (!server->session.has_unsure_free)
		return 0;
	rc = free_slab(server, server->session.unsure_free.slab, call, why);
	if (rc)
		return rc;
	server->session.has_unsure_free = false;
	atomic_fetch_sub(&server->shared.slabs, 1);
	return 0;
}

/* A write that failed may still be on its way to a slab that was given back
 * since then.  If the slab were freed before the fence and granted again, the
 * late write would reach it.  The server breaks before the write's slab can be
 * given back, so this check comes after the slab is taken from the queue. */
static int fence_first(struct server *server, session_caller *call,
		       struct error *why)
{
	if (server_state(server) != SERVER_RECOVERING)
		return 0;
	if (call == session_call)
		return session_heal(server, why);
	error_set(why, "a transfer failed");
	return -ENOTCONN;
}

/* Frees a slab that was given back.  By session_call_once it fails where the
 * server is RECOVERING. */
static int free_one(struct server *server, const struct given_back *given,
		    session_caller *call, struct error *why)
{
	int rc = fence_first(server, call, why);

	if (!rc)
		rc = free_unsure(server, call, why);
	if (rc) {
		server_give_back(server, given->slab, given->label);
		return rc;
	}
	server->session.unsure_free = *given;
	server->session.has_unsure_free = true;
	return free_unsure(server, call, why);
}

static int free_given_back(struct server *server, session_caller *call,
			   struct error *why)
{
	struct given_back given;
	int rc = free_unsure(server, call, why);

	while (!rc && server_next_given_back(server, &given))
		rc = free_one(server, &given, call, why);
	return rc;
}

/* --- allocating --- */

/* Frees the slab of an ALLOC whose answer was lost: the server answers the same
 * label with the same slab.  0, or the errno of the connection. */
static int free_orphan(struct server *server, struct error *why)
{
	struct wire_message request = { .type = WIRE_ALLOC };
	struct wire_message reply;
	struct given_back given;
	int rc = free_unsure(server, session_call, why);

	if (rc || server->session.orphan_label == SERVER_NO_LABEL)
		return rc;
	if (server_given_back_by_label(server, server->session.orphan_label,
				       &given))
		rc = free_one(server, &given, session_call, why);
	if (rc)
		return rc;
	request.alloc.label = server->session.orphan_label;
	rc = session_call(server, &request, WIRE_SLAB, &reply, why);
	if (!rc)
		rc = free_slab(server, reply.slab.slab, session_call, why);
	if (rc && rc != -EREMOTEIO)
		return rc;
	server->session.orphan_label = SERVER_NO_LABEL;
	return 0;
}

/* 0, -EREMOTEIO (the server refused), or the errno of the connection. */
static int alloc_shard(struct server *server, const struct slab_shard *shard,
		       struct remote_slab *remote, struct error *why)
{
	const struct slab_table *table = &server->engine->slabs;
	struct wire_message request = { .type = WIRE_ALLOC };
	struct wire_message reply;
	int rc;

	request.alloc.label = slab_number_of_shard(table, shard);
	rc = session_call_once(server, &request, WIRE_SLAB, &reply, why);
	if (rc)
		return rc;
	if (reply.slab.bytes != table->geometry.slab_bytes) {
		error_set(why,
			  "the server answered ALLOC with a slab of %llu bytes",
			  (unsigned long long)reply.slab.bytes);
		return -EPROTO;
	}
	*remote = (struct remote_slab){ .slab = reply.slab.slab,
					.rkey = reply.slab.rkey };
	atomic_store(&server->shared.free_bytes, reply.slab.free_bytes);
	return 0;
}

/* Heals the session after the connection failed.  The threads that asked for
 * slabs go on without this server.  0, or the errno with which the session is
 * lost. */
static int go_without(struct server *server, struct slab_shard *shard,
		      struct error *why)
{
	int rc;

	server->session.orphan_label =
		slab_number_of_shard(&server->engine->slabs, shard);
	server_break(server, why->text);
	atomic_store(&server->shared.free_bytes, 0);
	placement_answer(server->engine, shard, NULL);
	rc = session_heal(server, why);
	return rc ? rc : free_orphan(server, why);
}

/* The server knows a slab by its label, and would answer an ALLOC for the same
 * label with the slab that will be freed: so this slab is freed first.  The
 * other slabs are freed first only where the server is full without them,
 * because there may be thousands. */
static int free_then_alloc(struct server *server,
			   const struct slab_shard *shard,
			   struct remote_slab *remote, struct error *why)
{
	uint64_t label = slab_number_of_shard(&server->engine->slabs, shard);
	struct given_back given;
	int rc = free_unsure(server, session_call_once, why);

	if (!rc && server_given_back_by_label(server, label, &given))
		rc = free_one(server, &given, session_call_once, why);
	if (!rc)
		rc = alloc_shard(server, shard, remote, why);
	if (rc != -EREMOTEIO || !server_next_given_back(server, &given))
		return rc;
	rc = free_one(server, &given, session_call_once, why);
	if (!rc)
		rc = free_given_back(server, session_call_once, why);
	return rc ? rc : alloc_shard(server, shard, remote, why);
}

/* Allocates all slabs that are asked for now. */
static int alloc_asked(struct server *server, struct error *why)
{
	struct slab_shard *shard;
	int rc = 0;

	while (!rc && (shard = server_next_ask(server))) {
		/* The thread that asked does not wait for a silent server,
		 * because another server may take the slab sooner. */
		struct remote_slab remote;

		rc = free_then_alloc(server, shard, &remote, why);
		if (!rc) {
			placement_answer(server->engine, shard, &remote);
		} else if (rc == -EREMOTEIO) {
			/* The server is full, although it reported room
			 * before.  Other servers come first until it reports
			 * room again. */
			atomic_store(&server->shared.free_bytes, 0);
			placement_answer(server->engine, shard, NULL);
			rc = 0;
		} else if (rc != -EPROTO || server->locked.control.fd < 0) {
			/* The connection failed, or brought what is no
			 * answer. */
			rc = go_without(server, shard, why);
		} else {
			/* The server grants what was not asked for, so the
			 * session is lost: session_lose_slabs refuses this
			 * shard together with all others. */
			server_ask_again(server, shard);
		}
	}
	return rc;
}

/* One slab is freed at a time, so that a write that asks for a slab never waits
 * longer than one FREE takes. */
int session_alloc_slabs(struct server *server, struct error *why)
{
	struct given_back given;
	int rc = free_orphan(server, why);

	if (!rc)
		rc = alloc_asked(server, why);
	while (!rc && server_next_given_back(server, &given)) {
		rc = free_one(server, &given, session_call, why);
		if (!rc)
			rc = alloc_asked(server, why);
	}
	return rc;
}

/* --- losing --- */

static bool holds_shard(const struct server *server, const struct slab *slab)
{
	for (uint32_t i = 0; i < server->engine->slabs.n_shards; i++) {
		const struct slab_shard *shard = &slab->shards[i];

		if (shard->server == server->index &&
		    shard_is_held(shard_state(shard)))
			return true;
	}
	return false;
}

/* Forgets the server's shard of SLAB.  Returns the shard indexes, as bits, of
 * the LIVE shards on other servers. */
static uint32_t drop_shard(const struct server *server, struct slab *slab)
{
	uint32_t others = 0;

	for (uint32_t i = 0; i < server->engine->slabs.n_shards; i++) {
		struct slab_shard *shard = &slab->shards[i];
		enum shard_state state = shard_state(shard);
		uint8_t old = (uint8_t)state;

		if (shard->server == server->index && shard_is_held(state))
			atomic_compare_exchange_strong(&shard->state, &old,
						       SHARD_NONE);
		else if (state == SHARD_LIVE)
			others |= 1u << shard->index;
	}
	return others;
}

/* Too few shards are left for any page.  Without these shards the slab is free
 * for the next write, which would otherwise wait until the repairer has found
 * new shards, one after the other. */
static void drop_the_rest(struct engine *engine, struct slab *slab)
{
	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		if (shard_is_live(&slab->shards[i]))
			placement_give_back(engine, &slab->shards[i],
					    SHARD_LIVE);
	}
}

/* Pages that too few shards hold become LOST.  Returns how many. */
static int64_t lose_pages(struct engine *engine, struct slab *slab)
{
	struct slab_table *table = &engine->slabs;
	uint64_t number = slab_number(table, slab);
	int64_t lost = 0;

	for (uint32_t i = 0; i < table->geometry.slab_pages; i++) {
		uint64_t page = geometry_page(&table->geometry, number, i);

		if (page != GEOMETRY_NO_PAGE &&
		    pagemap_get(&engine->pages, page) == PAGE_PRESENT &&
		    !redundancy_is_enough(
			    &engine->redundancy,
			    slab_indexes_of_chunk(table, slab, i)))
			lost += pagemap_lose(&engine->pages, page, 1);
	}
	/* Subtracted, not set: a trim may have changed the page map and not the
	 * count yet. */
	atomic_fetch_sub(&slab->present_pages, (int32_t)lost);
	return lost;
}

/* Makes SLAB CLOSING; false where SLAB is UNMAPPED.  Refuses slabs while it
 * waits, because the allocation of SLAB may wait for an answer of this very
 * session. */
static bool close_for_loss(struct server *server, struct slab *slab)
{
	struct slab_table *table = &server->engine->slabs;

	while (!slab_close(table, slab)) {
		if (slab_state(slab) == SLAB_UNMAPPED)
			return false;
		session_refuse_slabs(server);
		slab_wait(table, slab, clock_now_ns() + CHANGE_NS);
	}
	return true;
}

static int64_t lose_slab(struct server *server, struct slab *slab)
{
	struct engine *engine = server->engine;
	uint32_t indexes;
	int64_t lost;
	bool enough;

	if (!close_for_loss(server, slab)) {
		drop_shard(server, slab);
		return 0;
	}
	indexes = drop_shard(server, slab);
	enough = redundancy_is_enough(&engine->redundancy, indexes);
	lost = lose_pages(engine, slab);
	if (!enough)
		drop_the_rest(engine, slab);
	slab_finish_close(&engine->slabs, slab,
			  enough ? SLAB_LIVE : SLAB_UNMAPPED);
	return lost;
}

/* A thread that gives a shard back (LEAVING) is about to queue its slab for
 * FREE.  Waits for that thread, so that the queue is dropped with this session
 * and not sent in the next session. */
static void wait_for_leaving(const struct server *server,
			     const struct slab *slab)
{
	for (uint32_t i = 0; i < server->engine->slabs.n_shards; i++) {
		const struct slab_shard *shard = &slab->shards[i];

		while (shard->server == server->index &&
		       shard_state(shard) == SHARD_LEAVING)
			clock_sleep_ns(NS_PER_MS / 4);
	}
}

int64_t session_lose_slabs(struct server *server)
{
	struct slab_table *table = &server->engine->slabs;
	int64_t lost = 0;

	session_refuse_slabs(server);
	for (uint64_t i = 0; i < table->n; i++) {
		struct slab *slab = slab_at(server, i);

		/* Only this thread takes new shards from this server.  The loop
		 * runs again where the repairer attached a shard to a slab that
		 * had just become UNMAPPED. */
		while (holds_shard(server, slab))
			lost += lose_slab(server, slab);
		wait_for_leaving(server, slab);
	}
	atomic_store(&server->shared.slabs, 0);
	server_forget_given_back(server);
	wake_up(&server->engine->wake);
	return lost;
}
