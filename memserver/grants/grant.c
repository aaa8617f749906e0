#include "grant.h"

#include <errno.h>
#include <stdlib.h>

#include "control/control.h"
#include "links/rdma.h"
#include "session/release.h"
#include "server/server.h"

/* Of one session, under way at a time. */
#define GRANTS_MAX 1024

/* One hand-out that the preparing thread has a part in.  Those that a client
 * waits for stand in session->wanted until it is their session's turn. */
struct grant {
	struct work work;
	struct list link; /* in session->wanted */
	struct session *session;
	struct lane_domain *domain; /* what to register with, or NULL */
	bool spare;		    /* nobody waits for it */
	uint32_t connection;	    /* that asked */
	uint32_t cookie;
	uint64_t label;
	struct slab *slab;
	int err;
};

/* No answer outlives the connection that asked: on the next one its cookie
 * would be another question's. */
static bool heard(const struct session *session, uint32_t connection)
{
	return session->control && session->connection == connection;
}

static void refuse(struct session *session, uint32_t connection,
		   uint32_t cookie, uint32_t code, const char *text)
{
	if (heard(session, connection))
		control_error(session->control, cookie, code, text);
}

static void answer(struct session *session, const struct slab *slab,
		   uint32_t cookie)
{
	struct wire_message reply = { .type = WIRE_SLAB, .cookie = cookie };

	reply.slab = (struct wire_slab){
		.label = slab->label,
		.bytes = slab->pool->slab_bytes,
		.free_bytes = release_free_bytes(session->server),
		.slab = slab->number,
	};
	if (slab->region) {
		reply.slab.address = (uintptr_t)slab->memory;
		reply.slab.rkey = lane_region_rkey(slab->region);
	}
	control_reply(session->control, &reply);
}

/* A client that is gone meanwhile asks again, by the label. */
static void deliver(struct session *session, struct slab *slab,
		    uint32_t connection, uint32_t cookie, uint64_t label)
{
	slab_own(slab, session->key, label);
	list_append(&session->slabs, &slab->owned);
	session->slab_count++;
	if (heard(session, connection))
		answer(session, slab, cookie);
}

/* --- the spare --- */

static struct slab *take_spare(struct session *session)
{
	struct slab *spare = session->spare;

	session->spare = NULL;
	ev_timer_stop(session->server->loop, &session->spare_limit);
	return spare;
}

void handout_put_spare_back(struct session *session)
{
	struct slab *spare = take_spare(session);

	if (spare)
		slab_put_back(spare);
}

static void unused_cb(struct ev_loop *loop, ev_timer *watcher, int events)
{
	(void)loop;
	(void)events;
	handout_put_spare_back(
		container_of(watcher, struct session, spare_limit));
}

/* One that nobody is there to use goes back. */
static void keep_spare(struct session *session, struct slab *slab)
{
	if (!session->control) {
		slab_put_back(slab);
		return;
	}
	session->spare = slab;
	ev_now_update(session->server->loop);
	ev_timer_again(session->server->loop, &session->spare_limit);
}

/* A spare of some session goes back, so that the memory is there for one that
 * asks.  Queued before the grant that wants it. */
static bool reclaim_spare(struct server *server)
{
	list_for_each(item, &server->sessions)
	{
		struct session *session =
			container_of(item, struct session, link);

		if (session->spare) {
			handout_put_spare_back(session);
			return true;
		}
	}
	return false;
}

void handout_open(struct session *session)
{
	list_init(&session->wanted);
	list_init(&session->turn);
	ev_timer_init(&session->spare_limit, unused_cb, 0., HANDOUT_SPARE_S);
}

/* --- grants --- */

/* Preparing thread.  A client waits, so it overtook what sessions gave back,
 * which may be thousands of slabs; where it has to wait for one of these it
 * waits for no more than it needs. */
static void grant_run(struct work *work)
{
	struct grant *grant = container_of(work, struct grant, work);
	struct slab_pool *pool = &grant->session->server->pool;

	do {
		grant->err = slab_take(pool, &grant->slab);
	} while (grant->err && !grant->spare && workq_do_next(work->queue));
	if (grant->err || !grant->domain)
		return;
	grant->err = lane_register(grant->domain, grant->slab);
	if (grant->err) {
		slab_put_back(grant->slab);
		grant->slab = NULL;
	}
}

static void grant_failed(struct grant *grant)
{
	const char *text = "a slab cannot be registered; the server's log says "
			   "why";
	uint32_t code = WIRE_E_INTERNAL;

	if (grant->spare)
		return;
	if (grant->err == -ENOSPC || grant->err == -ENOMEM)
		code = WIRE_E_NO_MEMORY;
	if (grant->err == -ENOSPC)
		text = "all memory is handed out";
	else if (grant->err == -ENOMEM)
		text = "its machine is short of memory, or its limit of locked "
		       "memory (LimitMEMLOCK=) is reached; its log says "
		       "which";
	refuse(grant->session, grant->connection, grant->cookie, code, text);
}

/* What was on its way when the server began to drain comes too late. */
static void withhold(struct grant *grant)
{
	if (grant->slab)
		slab_put_back(grant->slab);
	if (!grant->spare)
		refuse(grant->session, grant->connection, grant->cookie,
		       WIRE_E_NO_MEMORY,
		       release_refusal(grant->session->server));
}

/* The same was asked for twice, and has come. */
static bool came_before(struct grant *grant)
{
	struct session *session = grant->session;
	struct slab *held = slab_find_label(&session->server->pool,
					    session->key, grant->label);

	if (grant->spare || !held)
		return false;
	if (grant->slab)
		slab_put_back(grant->slab);
	if (heard(session, grant->connection))
		answer(session, held, grant->cookie);
	return true;
}

static void conclude(struct grant *grant)
{
	struct session *session = grant->session;

	if (came_before(grant))
		return;
	if (session->state == SESSION_ENDING) {
		if (grant->slab)
			slab_put_back(grant->slab);
	} else if (release_refusal(session->server)) {
		withhold(grant);
	} else if (!grant->slab) {
		grant_failed(grant);
	} else if (grant->spare) {
		keep_spare(session, grant->slab);
	} else {
		deliver(session, grant->slab, grant->connection, grant->cookie,
			grant->label);
	}
}

/* GRANT is over, with a slab or without.  Its session may be gone then. */
static void finish(struct grant *grant)
{
	struct session *session = grant->session;

	session->grants--;
	if (grant->spare)
		session->spare_coming = false;
	conclude(grant);
	if (grant->slab && !grant->spare)
		handout_spare(session);
	free(grant);
	session_settle(session);
}

/* --- turns --- */

void handout_init(struct server *server)
{
	list_init(&server->waiting);
	server->granting = false;
}

/* The first wish of the session whose turn it is; the session goes behind all
 * others that wait.  NULL where none waits. */
static struct grant *take_turn(struct server *server)
{
	struct session *session;
	struct grant *grant;

	if (list_empty(&server->waiting))
		return NULL;
	session = container_of(server->waiting.next, struct session, turn);
	grant = container_of(session->wanted.next, struct grant, link);
	list_remove(&session->turn);
	list_remove(&grant->link);
	if (!list_empty(&session->wanted))
		list_append(&server->waiting, &session->turn);
	return grant;
}

/* Whether what GRANT asks for has come meanwhile, or will not be given. */
static bool is_idle(const struct grant *grant)
{
	const struct session *session = grant->session;

	return session->state == SESSION_ENDING ||
	       release_refusal(session->server) ||
	       slab_find_label(&session->server->pool, session->key,
			       grant->label);
}

/* One wish at a time is at the preparing thread, so that a session which asks
 * for a thousand slabs is one slab ahead of the others, and not a thousand. */
static void next_turn(struct server *server)
{
	struct grant *grant;

	while (!server->granting && (grant = take_turn(server))) {
		if (is_idle(grant)) {
			finish(grant);
			continue;
		}
		server->granting = true;
		workq_submit_urgent(&server->preparer, &grant->work);
	}
}

static void grant_done(struct work *work)
{
	struct grant *grant = container_of(work, struct grant, work);
	struct session *session = grant->session;
	struct server *server = session->server;

	if (grant->spare) {
		finish(grant);
		return;
	}
	/* A spare that goes back now is queued before the next try. */
	if (grant->err && session->state != SESSION_ENDING &&
	    reclaim_spare(server)) {
		workq_submit(&server->preparer, work);
		return;
	}
	server->granting = false;
	finish(grant);
	next_turn(server);
}

static struct grant *grant_new(struct session *session)
{
	struct grant *grant = calloc(1, sizeof *grant);

	if (!grant)
		return NULL;
	grant->work.run = grant_run;
	grant->work.done = grant_done;
	grant->session = session;
	grant->domain = session->domain;
	grant->connection = session->connection;
	session->grants++;
	return grant;
}

static void grant_slab(struct session *session, uint32_t cookie, uint64_t label)
{
	struct grant *grant = NULL;

	if (session->grants >= GRANTS_MAX) {
		refuse(session, session->connection, cookie, WIRE_E_LIMIT,
		       "too many slabs asked for at a time");
		return;
	}
	grant = grant_new(session);
	if (!grant) {
		refuse(session, session->connection, cookie, WIRE_E_INTERNAL,
		       "out of memory");
		return;
	}
	grant->cookie = cookie;
	grant->label = label;
	list_append(&session->wanted, &grant->link);
	if (list_empty(&session->turn))
		list_append(&session->server->waiting, &session->turn);
	next_turn(session->server);
}

void handout_slab(struct session *session, uint32_t cookie, uint64_t label)
{
	struct server *server = session->server;
	const char *refusal = release_refusal(server);
	struct slab *slab = slab_find_label(&server->pool, session->key, label);

	if (slab) {
		answer(session, slab, cookie);
		return;
	}
	if (refusal) {
		refuse(session, session->connection, cookie, WIRE_E_NO_MEMORY,
		       refusal);
		return;
	}
	if (session->transport == WIRE_TRANSPORT_TCP) {
		/* what is at hand is for the first who waits */
		if (list_empty(&server->waiting))
			slab = slab_take_ready(&server->pool);
	} else if (!session->domain) {
		refuse(session, session->connection, cookie, WIRE_E_PROTOCOL,
		       "the first lane has to join before a slab is allocated");
		return;
	} else {
		slab = take_spare(session);
	}
	if (!slab) {
		grant_slab(session, cookie, label);
		return;
	}
	deliver(session, slab, session->connection, cookie, label);
	handout_spare(session);
}

/* No more than the device needs: its size, in slabs. */
static bool wants_spare(const struct session *session)
{
	uint64_t slab_bytes = session->server->pool.slab_bytes;
	uint64_t held_bytes =
		(session->slab_count + session->held_count + session->grants) *
		slab_bytes;

	return session->domain && !session->spare && !session->spare_coming &&
	       session->control && !release_refusal(session->server) &&
	       held_bytes < session->size_bytes;
}

void handout_spare(struct session *session)
{
	struct grant *grant;

	if (!session->server->config->stock || !wants_spare(session))
		return;
	grant = grant_new(session);
	if (!grant)
		return;
	grant->spare = true;
	session->spare_coming = true;
	workq_submit(&session->server->preparer, &grant->work);
}
