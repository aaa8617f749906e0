#include "release.h"

#include "clock.h"
#include "log.h"

/* Under pressure the server asks for one part in this many of the granted slabs
 * at a time. */
#define PRESSURE_PART 8

struct release_held release_held(const struct sessions *sessions)
{
	struct release_held held = { 0 };
	const struct session *session;

	TAILQ_FOREACH(session, &sessions->list, entry)
	{
		const struct owner *owner = &session->owner;

		if (session->state == SESSION_ENDING ||
		    !(owner->slab_count + owner->granted))
			continue;
		held.slabs += owner->slab_count;
		held.sessions++;
		held.away += session->state == SESSION_DISCONNECTED;
	}
	return held;
}

/* No slab is granted while clients are asked for slabs. */
static void set_refusal(struct sessions *sessions)
{
	sessions->grants->refusal =
		sessions->drain != RELEASE_SERVING ? "the server is draining"
		: sessions->pressed ? "the server's machine is short of memory"
				    : NULL;
}

enum { SERVING, RECLAIMING, DRAINING, LEAVING, STOPPING };

const char *const release_states[] = {
	[SERVING] = "serving",	 [RECLAIMING] = "reclaiming",
	[DRAINING] = "draining", [LEAVING] = "leaving",
	[STOPPING] = "stopping", NULL
};

const char *release_state_name(const struct sessions *sessions)
{
	if (sessions->stopping)
		return release_states[STOPPING];
	switch (sessions->drain) {
	case RELEASE_DRAINING:
		return release_states[DRAINING];
	case RELEASE_LEAVING:
		return release_states[LEAVING];
	case RELEASE_SERVING:
		break;
	}
	return release_states[sessions->pressed ? RECLAIMING : SERVING];
}

static void send_wish(struct session *session)
{
	struct wire_message m = {
		.type = WIRE_RELEASE,
		.release = { .slabs = session->release_slabs,
			     .error = session->release_reason },
	};

	/* A session that is resuming hears this behind RESUMED. */
	if (session->state == SESSION_OPEN)
		client_reply(session->owner.client, &m);
}

static void wish(struct session *session, uint32_t slabs, uint32_t error)
{
	if (session->state == SESSION_ENDING ||
	    (!slabs && !session->release_slabs))
		return;
	session->release_slabs = slabs;
	session->release_reason = error;
	send_wish(session);
}

void release_tell(struct session *session)
{
	if (session->sessions->drain != RELEASE_SERVING)
		wish(session, WIRE_RELEASE_ALL, WIRE_RELEASE_DRAIN);
	else if (session->release_slabs)
		send_wish(session);
}

void release_given_back(struct session *session)
{
	if (session->release_slabs &&
	    session->release_slabs != WIRE_RELEASE_ALL)
		session->release_slabs--;
}

static void wish_of_all(struct sessions *sessions, uint32_t slabs,
			uint32_t error)
{
	struct session *session;

	TAILQ_FOREACH(session, &sessions->list, entry)
	{
		wish(session, slabs, error);
	}
}

/* No client can use its spare, and the end of the server waits for it. */
static void put_spares_back(struct sessions *sessions)
{
	struct session *session;

	TAILQ_FOREACH(session, &sessions->list, entry)
	{
		grant_put_spare_back(&session->owner);
	}
}

void release_drain(struct sessions *sessions, enum release_drain drain)
{
	bool was = sessions->drain != RELEASE_SERVING;

	sessions->drain = drain;
	set_refusal(sessions);
	if (drain == RELEASE_SERVING) {
		wish_of_all(sessions, 0, WIRE_RELEASE_DRAIN);
	} else if (!was) {
		sessions->drain_since_ns = clock_now_ns();
		sessions->drain_slabs = release_held(sessions).slabs;
		wish_of_all(sessions, WIRE_RELEASE_ALL, WIRE_RELEASE_DRAIN);
		put_spares_back(sessions);
	}
}

/* --- memory pressure --- */

static void count_owned(struct sessions *sessions)
{
	struct tenant *tenant;
	struct session *session;

	TAILQ_FOREACH(tenant, &sessions->grants->tenants->list, entry)
	{
		tenant->owned = 0;
		tenant->quota = 0;
	}
	TAILQ_FOREACH(session, &sessions->list, entry)
	{
		if (session->state != SESSION_ENDING)
			session->owner.tenant->owned +=
				session->owner.slab_count;
	}
}

/* Shares COUNT of WHOLE out, by PART.  *REMAINDER goes from one to the next, so
 * that the shares of all parts add up to COUNT. */
static uint32_t share_of(uint64_t count, uint64_t whole, uint64_t part,
			 uint64_t *remainder)
{
	uint64_t sum = part * count + *remainder;

	*remainder = sum % whole;
	return (uint32_t)(sum / whole);
}

/* What tenants have beyond their guarantee, or what they have within it. */
static uint32_t part_of(const struct tenant *tenant, bool beyond)
{
	uint32_t excess = tenant_beyond(tenant, tenant->owned);

	return beyond ? excess : tenant->owned - excess;
}

/* Adds to the quota of each tenant: TOTAL slabs of those beyond their
 * guarantee, or within, as far as there are such.  Returns the rest of TOTAL.
 */
static uint64_t share_among_tenants(struct tenants *tenants, uint64_t total,
				    bool beyond)
{
	uint64_t whole = 0;
	uint64_t remainder = 0;
	uint64_t count;
	struct tenant *tenant;

	TAILQ_FOREACH(tenant, &tenants->list, entry)
	{
		whole += part_of(tenant, beyond);
	}
	if (!whole)
		return total;
	count = total < whole ? total : whole;
	TAILQ_FOREACH(tenant, &tenants->list, entry)
	{
		tenant->quota += share_of(count, whole, part_of(tenant, beyond),
					  &remainder);
	}
	return total - count;
}

/* The sessions of a tenant share its quota by what each owns. */
static void ask_sessions(struct sessions *sessions, struct tenant *tenant)
{
	uint64_t remainder = 0;
	struct session *session;

	TAILQ_FOREACH(session, &sessions->list, entry)
	{
		if (session->state != SESSION_ENDING &&
		    session->owner.tenant == tenant)
			wish(session,
			     share_of(tenant->quota, tenant->owned,
				      session->owner.slab_count, &remainder),
			     WIRE_RELEASE_PRESSURE);
	}
}

/* First what tenants have beyond their guarantee, and only then the rest; each
 * by how much of it a tenant has. */
static void share_out(struct sessions *sessions, uint64_t total)
{
	struct tenants *tenants = sessions->grants->tenants;
	struct tenant *tenant;

	count_owned(sessions);
	total = share_among_tenants(tenants, total, true);
	share_among_tenants(tenants, total, false);
	TAILQ_FOREACH(tenant, &tenants->list, entry)
	{
		if (tenant->owned)
			ask_sessions(sessions, tenant);
	}
}

void release_some(struct sessions *sessions)
{
	uint64_t held = release_held(sessions).slabs;
	uint64_t total = (held + PRESSURE_PART - 1) / PRESSURE_PART;

	sessions->pressed = true;
	set_refusal(sessions);
	put_spares_back(sessions);
	if (sessions->drain != RELEASE_SERVING || !held)
		return;
	log_notice("asking for %lu of %lu slabs", (unsigned long)total,
		   (unsigned long)held);
	share_out(sessions, total);
}

void release_no_more(struct sessions *sessions)
{
	sessions->pressed = false;
	set_refusal(sessions);
	if (sessions->drain == RELEASE_SERVING)
		wish_of_all(sessions, 0, WIRE_RELEASE_PRESSURE);
}
