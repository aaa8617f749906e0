#include "handout.h"

#include <errno.h>
#include <stdlib.h>

#include "control.h"
#include "lane_rdma.h"
#include "release.h"
#include "server.h"

/* Of one session, under way at a time. */
#define GRANTS_MAX 1024

/* One hand-out that the preparing thread has a part in. */
struct grant {
	struct work work;
	struct session *session;
	struct lane_domain *domain; /* what to register with, or NULL */
	bool spare;		    /* nobody waits for it */
	bool repeated;		    /* after what was being given back */
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

/* A spare of some session goes back, so that the memory is there for one that
 * asks.  Queued before the grant that wants it. */
static bool reclaim_spare(struct server *server)
{
	list_for_each(item, &server->sessions)
	{
		struct session *session =
			container_of(item, struct session, link);

		if (session->spare) {
			slab_put_back(session->spare);
			session->spare = NULL;
			return true;
		}
	}
	return false;
}

static void grant_run(struct work *work)
{
	struct grant *grant = container_of(work, struct grant, work);

	grant->err = slab_take(&grant->session->server->pool, &grant->slab);
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
	if (!grant->slab)
		grant_failed(grant);
	else if (session->state == SESSION_ENDING)
		slab_put_back(grant->slab);
	else if (release_refusal(session->server))
		withhold(grant);
	else if (grant->spare)
		session->spare = grant->slab;
	else
		deliver(session, grant->slab, grant->connection, grant->cookie,
			grant->label);
}

static void grant_done(struct work *work)
{
	struct grant *grant = container_of(work, struct grant, work);
	struct session *session = grant->session;
	struct server *server = session->server;

	/* It overtook what other sessions gave back; now it comes after. */
	if (grant->err && !grant->spare && session->state != SESSION_ENDING &&
	    (reclaim_spare(server) || !grant->repeated)) {
		grant->repeated = true;
		workq_submit(&server->preparer, work);
		return;
	}
	session->grants--;
	if (grant->spare)
		session->spare_coming = false;
	conclude(grant);
	if (!grant->err && !grant->spare)
		handout_spare(session);
	free(grant);
	session_settle(session);
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
	/* A client waits, while a session that ended may be giving back
	 * thousands of slabs. */
	workq_submit_urgent(&session->server->preparer, &grant->work);
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
		slab = slab_take_ready(&server->pool);
	} else if (!session->domain) {
		refuse(session, session->connection, cookie, WIRE_E_PROTOCOL,
		       "the first lane has to join before a slab is allocated");
		return;
	} else {
		slab = session->spare;
		session->spare = NULL;
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
		(session->slab_count + session->grants) * slab_bytes;

	return session->domain && !session->spare && !session->spare_coming &&
	       session->state != SESSION_ENDING &&
	       !release_refusal(session->server) &&
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
