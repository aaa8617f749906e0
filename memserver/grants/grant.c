#include "grant.h"

#include <errno.h>
#include <stdlib.h>

#include "loops/container.h"
#include "output/output.h"
#include "turns.h"

/* A slab that the preparing thread gets ready.  A grant that a client waits for
 * stands in owner->wanted until its owner has its turn. */
struct grant {
	struct work work;
	TAILQ_ENTRY(grant) entry; /* in owner->wanted */
	struct owner *owner;
	struct link_domain *domain; /* what to register with, or NULL */
	bool spare;		    /* no client waits for the slab */
	bool counted;		    /* among the slabs of the tenant */
	uint32_t connection;	    /* of the client, when it asked */
	uint32_t cookie;
	uint64_t label;
	struct slab *slab;
	int err;
};

/* A reply goes only to the connection that asked: on the next connection its
 * cookie may belong to another request. */
static bool is_heard(const struct owner *owner, uint32_t connection)
{
	return owner->client && owner->connection == connection;
}

static void refuse(struct owner *owner, uint32_t connection, uint32_t cookie,
		   uint32_t code, const char *text)
{
	if (is_heard(owner, connection))
		client_error(owner->client, cookie, code, text);
}

static void refuse_limit(struct owner *owner, uint32_t cookie,
			 const struct error *why)
{
	output_peer(owner->peer, "session %u: no slab: %s", owner->key,
		    why->text);
	refuse(owner, owner->connection, cookie, WIRE_E_LIMIT, why->text);
}

static void answer(struct owner *owner, const struct slab *slab,
		   uint32_t cookie)
{
	struct wire_message reply = { .type = WIRE_SLAB, .cookie = cookie };

	reply.slab = (struct wire_slab){
		.label = slab->label,
		.bytes = slab->pool->slab_bytes,
		.free_bytes = grant_free_bytes(owner),
		.slab = slab->number,
	};
	if (slab->region)
		owner->links->ops->slab_locate(slab, &reply.slab);
	client_reply(owner->client, &reply);
}

/* A client that is gone by now asks again, by the label. */
static void deliver(struct owner *owner, struct slab *slab, uint32_t connection,
		    uint32_t cookie, uint64_t label)
{
	slab_own(slab, owner->key, label);
	TAILQ_INSERT_TAIL(&owner->slabs, slab, owned);
	owner->slab_count++;
	if (is_heard(owner, connection))
		answer(owner, slab, cookie);
}

/* --- the spare --- */

static struct slab *take_spare(struct owner *owner)
{
	struct slab *spare = owner->spare;

	if (!spare)
		return NULL;
	owner->spare = NULL;
	account_give(&owner->account, LIMITED_SPARE, 1);
	TAILQ_REMOVE(&owner->grants->spares, owner, spare_entry);
	ev_timer_stop(owner->grants->loop, &owner->spare_limit);
	return spare;
}

void grant_put_spare_back(struct owner *owner)
{
	struct slab *spare = take_spare(owner);

	if (spare)
		slab_put_back(spare);
}

static void unused_cb(struct ev_loop *loop, ev_timer *watcher, int events)
{
	(void)loop;
	(void)events;
	grant_put_spare_back(container_of(watcher, struct owner, spare_limit));
}

/* A disconnected client has no use for a spare. */
static void keep_spare(struct owner *owner, struct slab *slab)
{
	if (!owner->client) {
		slab_put_back(slab);
		return;
	}
	owner->spare = slab;
	TAILQ_INSERT_TAIL(&owner->grants->spares, owner, spare_entry);
	ev_now_update(owner->grants->loop);
	ev_timer_again(owner->grants->loop, &owner->spare_limit);
}

/* Puts the spare of some owner back, so that an owner that asks can have the
 * memory: one of its own tenant, or else the oldest.  The release is queued
 * before the grant that needs it. */
static bool reclaim_spare(struct grants *grants, const struct tenant *tenant)
{
	struct owner *owner, *found = TAILQ_FIRST(&grants->spares);

	TAILQ_FOREACH(owner, &grants->spares, spare_entry)
	{
		if (owner->tenant == tenant) {
			found = owner;
			break;
		}
	}
	if (found)
		grant_put_spare_back(found);
	return found;
}

void grant_open(struct owner *owner)
{
	TAILQ_INIT(&owner->wanted);
	ev_timer_init(&owner->spare_limit, unused_cb, 0., GRANT_SPARE_S);
}

/* --- grants --- */

/* Preparing thread.  A client waits, so the grant overtook the slabs that came
 * back, which may be thousands.  When the grant needs one of these slabs, the
 * thread releases them one by one, and stops when it has a slab. */
static void grant_run(struct work *work)
{
	struct grant *grant = container_of(work, struct grant, work);
	struct slab_pool *pool = grant->owner->grants->pool;

	if (grant->err)
		return; /* refused */
	do {
		grant->err = slab_take(pool, &grant->slab);
	} while (grant->err && !grant->spare && workq_do_next(work->queue));
	if (grant->err || !grant->domain)
		return;
	grant->err = grant->owner->links->ops->slab_register(grant->domain,
							     grant->slab);
	if (grant->err) {
		slab_put_back(grant->slab);
		grant->slab = NULL;
	}
}

/* A client that frees and asks in turn causes many such lines, and only its own
 * limit is used up. */
static void refused_by_tenant(struct owner *owner, struct error *why)
{
	if (tenant_refused(owner->tenant, why))
		output_news(owner->peer, "tenant %s: gets no slab: %s",
			    owner->tenant->name, why->text);
}

static void grant_failed(struct grant *grant)
{
	const char *text = "a slab cannot be registered; the server's log says "
			   "why";
	uint32_t code = WIRE_E_INTERNAL;
	struct error why;

	if (grant->spare)
		return;
	if (grant->err == -EDQUOT || grant->err == -ENOSPC ||
	    grant->err == -ENOMEM)
		code = WIRE_E_NO_MEMORY;
	if (grant->err == -EDQUOT) {
		refused_by_tenant(grant->owner, &why);
		text = why.text;
	} else if (grant->err == -ENOSPC)
		text = "all memory is in use";
	else if (grant->err == -ENOMEM)
		text = "its machine is short of memory, or its limit of locked "
		       "memory (LimitMEMLOCK=) is reached; its log says "
		       "which";
	refuse(grant->owner, grant->connection, grant->cookie, code, text);
}

/* The server began to drain, or to reclaim, while the grant was under way. */
static void withhold(struct grant *grant)
{
	if (grant->slab)
		slab_put_back(grant->slab);
	if (!grant->spare)
		refuse(grant->owner, grant->connection, grant->cookie,
		       WIRE_E_NO_MEMORY, grant->owner->grants->refusal);
}

/* The client asked twice for the label, and has the slab by now. */
static bool came_before(struct grant *grant)
{
	struct owner *owner = grant->owner;
	struct slab *held =
		slab_find_label(owner->grants->pool, owner->key, grant->label);

	if (grant->spare || !held)
		return false;
	if (grant->slab)
		slab_put_back(grant->slab);
	if (is_heard(owner, grant->connection))
		answer(owner, held, grant->cookie);
	return true;
}

static void conclude(struct grant *grant)
{
	struct owner *owner = grant->owner;

	if (came_before(grant))
		return;
	if (owner->ending) {
		if (grant->slab)
			slab_put_back(grant->slab);
	} else if (owner->grants->refusal) {
		withhold(grant);
	} else if (!grant->slab) {
		grant_failed(grant);
	} else if (grant->spare) {
		keep_spare(owner, grant->slab);
	} else {
		deliver(owner, grant->slab, grant->connection, grant->cookie,
			grant->label);
		grant->counted = false; /* the slab is */
	}
}

/* GRANT is over, with a slab or without.  Its owner may be gone afterwards. */
static void finish(struct grant *grant)
{
	struct owner *owner = grant->owner;

	owner->granted--;
	if (grant->spare)
		owner->spare_coming = false;
	else
		account_give(&owner->account, LIMITED_ASKED, 1);
	conclude(grant);
	if (grant->counted)
		tenant_put_slab(owner->tenant);
	if (grant->spare && !owner->spare)
		account_give(&owner->account, LIMITED_SPARE, 1);
	if (grant->slab && !grant->spare)
		grant_spare(owner);
	free(grant);
	owner->settled(owner);
}

/* --- turns --- */

void grants_init(struct grants *grants, struct slab_pool *pool,
		 struct tenants *tenants, struct workq *preparer,
		 struct ev_loop *loop)
{
	*grants = (struct grants){ .pool = pool,
				   .tenants = tenants,
				   .preparer = preparer,
				   .loop = loop };
	turns_init(&grants->turns);
	TAILQ_INIT(&grants->spares);
}

uint64_t grants_free_bytes(struct grants *grants, const char *identity)
{
	return grants->refusal ? 0
			       : tenants_free_bytes(grants->tenants, identity);
}

uint64_t grant_free_bytes(const struct owner *owner)
{
	return owner->grants->refusal ? 0 : tenant_free_bytes(owner->tenant);
}

/* The first wish of the owner whose turn it is.  NULL when none waits. */
static struct grant *take_turn(struct grants *grants)
{
	struct owner *owner = turns_take(&grants->turns);
	struct grant *grant;

	if (!owner)
		return NULL;
	grant = TAILQ_FIRST(&owner->wanted);
	TAILQ_REMOVE(&owner->wanted, grant, entry);
	if (!TAILQ_EMPTY(&owner->wanted))
		turns_wait(&grants->turns, owner);
	return grant;
}

static void wait_for_turn(struct grant *grant)
{
	struct owner *owner = grant->owner;

	TAILQ_INSERT_TAIL(&owner->wanted, grant, entry);
	turns_wait(&owner->grants->turns, owner);
}

/* Whether GRANT needs no slab: its owner has one of that label by now, or will
 * get none. */
static bool is_idle(const struct grant *grant)
{
	const struct owner *owner = grant->owner;

	return owner->ending || owner->grants->refusal ||
	       slab_find_label(owner->grants->pool, owner->key, grant->label);
}

/* The preparing thread has one wish at a time, so that an owner that asks for a
 * thousand slabs is one slab ahead of the others, and not a thousand.  A wish
 * that is refused passes through the thread too, so that a client with a
 * thousand such wishes can read a reply before the next. */
static void next_turn(struct grants *grants)
{
	struct grant *grant;

	while (!grants->granting && (grant = take_turn(grants))) {
		if (is_idle(grant)) {
			finish(grant);
			continue;
		}
		grants->granting = true;
		grant->counted = tenant_take_slab(grant->owner->tenant);
		grant->err = grant->counted ? 0 : -EDQUOT;
		workq_submit_urgent(grants->preparer, &grant->work);
	}
}

static void grant_done(struct work *work)
{
	struct grant *grant = container_of(work, struct grant, work);
	struct owner *owner = grant->owner;
	struct grants *grants = owner->grants;

	if (grant->spare) {
		finish(grant);
		return;
	}
	/* A spare that goes back now is queued before the next attempt. */
	if (grant->err && grant->counted && !owner->ending &&
	    reclaim_spare(grants, owner->tenant)) {
		grant->err = 0;
		workq_submit(grants->preparer, work);
		return;
	}
	grants->granting = false;
	finish(grant);
	next_turn(grants);
}

static struct grant *grant_new(struct owner *owner)
{
	struct grant *grant = calloc(1, sizeof *grant);

	if (!grant)
		return NULL;
	grant->work.run = grant_run;
	grant->work.done = grant_done;
	grant->owner = owner;
	grant->domain = owner->links->domain;
	grant->connection = owner->connection;
	owner->granted++;
	return grant;
}

static void prepare_slab(struct owner *owner, uint32_t cookie, uint64_t label)
{
	struct grant *grant;
	struct error why;

	if (!account_take(&owner->account, LIMITED_ASKED, 1, &why)) {
		refuse_limit(owner, cookie, &why);
		return;
	}
	grant = grant_new(owner);
	if (!grant) {
		account_give(&owner->account, LIMITED_ASKED, 1);
		refuse(owner, owner->connection, cookie, WIRE_E_INTERNAL,
		       "out of memory");
		return;
	}
	grant->cookie = cookie;
	grant->label = label;
	wait_for_turn(grant);
	next_turn(owner->grants);
}

/* A slab that needs no preparing, or NULL. */
static struct slab *take_prepared(struct owner *owner)
{
	if (!tenant_room(owner->tenant))
		return NULL;
	if (owner->links->ops->slab_register)
		return take_spare(owner);
	/* The stock is for the owner that has waited longest. */
	if (!TAILQ_EMPTY(&owner->grants->turns.waiting))
		return NULL;
	return slab_take_ready(owner->grants->pool);
}

/* An owner without held slabs goes on, however many the others have. */
static bool holds_too_many(const struct owner *owner, struct error *why)
{
	return owner->held_count &&
	       account_is_full(&owner->account, LIMITED_HELD, why);
}

void grant_slab(struct owner *owner, uint32_t cookie, uint64_t label)
{
	const struct link_set *links = owner->links;
	const char *refusal = owner->grants->refusal;
	struct error why;
	struct slab *slab =
		slab_find_label(owner->grants->pool, owner->key, label);

	if (slab) {
		answer(owner, slab, cookie);
		return;
	}
	if (refusal) {
		refuse(owner, owner->connection, cookie, WIRE_E_NO_MEMORY,
		       refusal);
		return;
	}
	if (links->ops->slab_register && !links->domain) {
		refuse(owner, owner->connection, cookie, WIRE_E_PROTOCOL,
		       "the first lane has to join before a slab is allocated");
		return;
	}
	if (holds_too_many(owner, &why)) {
		refuse_limit(owner, cookie, &why);
		return;
	}
	slab = take_prepared(owner);
	if (!slab) {
		prepare_slab(owner, cookie, label);
		return;
	}
	tenant_take_slab(owner->tenant);
	deliver(owner, slab, owner->connection, cookie, label);
	grant_spare(owner);
}

/* An owner gets a spare only while its slabs are fewer than its size needs, and
 * while its tenant may have one more. */
static bool wants_spare(const struct owner *owner)
{
	const struct grants *grants = owner->grants;
	uint64_t used_bytes =
		(owner->slab_count + owner->held_count + owner->granted) *
		grants->pool->slab_bytes;

	return grants->keep_spares && owner->links->domain && !owner->spare &&
	       !owner->spare_coming && owner->client && !grants->refusal &&
	       used_bytes < owner->size_bytes && tenant_room(owner->tenant);
}

void grant_spare(struct owner *owner)
{
	struct grant *grant;
	struct error why;

	if (!wants_spare(owner) ||
	    !account_take(&owner->account, LIMITED_SPARE, 1, &why))
		return;
	grant = grant_new(owner);
	if (!grant) {
		account_give(&owner->account, LIMITED_SPARE, 1);
		return;
	}
	grant->spare = true;
	owner->spare_coming = true;
	workq_submit(owner->grants->preparer, &grant->work);
}
