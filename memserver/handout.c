#include "handout.h"

#include <errno.h>
#include <stdlib.h>

#include "control.h"
#include "lane_rdma.h"
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
	uint32_t cookie;
	uint64_t label;
	struct slab *slab;
	int err;
};

static void refuse(struct session *session, uint32_t cookie, uint32_t code,
		   const char *text)
{
	if (session->control)
		control_error(session->control, cookie, code, text);
}

static void deliver(struct session *session, struct slab *slab, uint32_t cookie,
		    uint64_t label)
{
	struct wire_message reply = { .type = WIRE_SLAB, .cookie = cookie };

	slab_own(slab, session->key);
	list_append(&session->slabs, &slab->owned);
	session->slab_count++;
	reply.slab = (struct wire_slab){
		.label = label,
		.bytes = slab->pool->slab_bytes,
		.free_bytes = slab_pool_figures(slab->pool).free_bytes,
		.slab = slab->number,
	};
	if (slab->region) {
		reply.slab.address = (uintptr_t)slab->memory;
		reply.slab.rkey = lane_region_rkey(slab->region);
	}
	control_reply(session->control, &reply);
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
	struct session *session = grant->session;

	if (grant->spare)
		return;
	if (grant->err == -ENOSPC)
		refuse(session, grant->cookie, WIRE_E_NO_MEMORY,
		       "all memory is handed out");
	else if (grant->err == -ENOMEM)
		refuse(session, grant->cookie, WIRE_E_NO_MEMORY,
		       "its machine is short of memory, or its limit of locked "
		       "memory (LimitMEMLOCK=) is reached; its log says "
		       "which");
	else
		refuse(session, grant->cookie, WIRE_E_INTERNAL,
		       "a slab cannot be registered; the server's log says "
		       "why");
}

static void grant_done(struct work *work)
{
	struct grant *grant = container_of(work, struct grant, work);
	struct session *session = grant->session;
	struct server *server = session->server;

	/* It overtook what other sessions gave back; now it comes after. */
	if (grant->err && !grant->spare && session->control &&
	    (reclaim_spare(server) || !grant->repeated)) {
		grant->repeated = true;
		workq_submit(&server->preparer, work);
		return;
	}
	session->grants--;
	if (grant->spare)
		session->spare_coming = false;
	if (grant->slab && !session->control)
		slab_put_back(grant->slab);
	else if (grant->slab && grant->spare)
		session->spare = grant->slab;
	else if (grant->slab)
		deliver(session, grant->slab, grant->cookie, grant->label);
	else
		grant_failed(grant);
	if (!grant->err && !grant->spare && session->control)
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
	session->grants++;
	return grant;
}

static void grant_slab(struct session *session, uint32_t cookie, uint64_t label)
{
	struct grant *grant = NULL;

	if (session->grants >= GRANTS_MAX) {
		refuse(session, cookie, WIRE_E_LIMIT,
		       "too many slabs asked for at a time");
		return;
	}
	grant = grant_new(session);
	if (!grant) {
		refuse(session, cookie, WIRE_E_INTERNAL, "out of memory");
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
	struct slab *slab;

	if (session->transport == WIRE_TRANSPORT_TCP) {
		slab = slab_take_ready(&session->server->pool);
	} else if (!session->domain) {
		refuse(session, cookie, WIRE_E_PROTOCOL,
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
	deliver(session, slab, cookie, label);
	handout_spare(session);
}

/* No more than the device needs: its size, in slabs. */
static bool wants_spare(const struct session *session)
{
	uint64_t slab_bytes = session->server->pool.slab_bytes;
	uint64_t held_bytes =
		(session->slab_count + session->grants) * slab_bytes;

	return session->domain && !session->spare && !session->spare_coming &&
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
