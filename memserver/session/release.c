#include "release.h"

#include "control/control.h"
#include "grants/grant.h"
#include "log.h"

/* The part of what is handed out that one request under pressure is for. */
#define PRESSURE_PART 8

static struct session *session_of(struct list *item)
{
	return container_of(item, struct session, link);
}

struct release_held release_held(const struct server *server)
{
	struct release_held held = { 0 };

	list_for_each(item, &server->sessions)
	{
		const struct session *session = session_of(item);

		if (session->state == SESSION_ENDING ||
		    !(session->slab_count + session->grants))
			continue;
		held.slabs += session->slab_count;
		held.sessions++;
		held.away += session->state == SESSION_DISCONNECTED;
	}
	return held;
}

const char *release_refusal(const struct server *server)
{
	if (server->drain != RELEASE_SERVING)
		return "the server is draining";
	return server->pressed ? "the server's machine is short of memory"
			       : NULL;
}

uint64_t release_free_bytes(struct server *server)
{
	return release_refusal(server)
		       ? 0
		       : slab_pool_figures(&server->pool).free_bytes;
}

const char *release_state_name(const struct server *server)
{
	static const char *const names[] = {
		[RELEASE_DRAINING] = "draining", [RELEASE_LEAVING] = "leaving"
	};

	if (server->stopping)
		return "stopping";
	if (server->drain != RELEASE_SERVING)
		return names[server->drain];
	return server->pressed ? "reclaiming" : "serving";
}

static void send_wish(struct session *session)
{
	struct wire_message m = {
		.type = WIRE_RELEASE,
		.release = { .slabs = session->release_slabs,
			     .error = session->release_reason },
	};

	/* One that is on its way back is told behind RESUMED. */
	if (session->state == SESSION_OPEN)
		control_reply(session->control, &m);
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
	if (session->server->drain != RELEASE_SERVING)
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

static void wish_of_all(struct server *server, uint32_t slabs, uint32_t error)
{
	list_for_each(item, &server->sessions)
	{
		wish(session_of(item), slabs, error);
	}
}

/* What is ready for a session's next wish stands in the way of an end. */
static void put_spares_back(struct server *server)
{
	list_for_each(item, &server->sessions)
	{
		handout_put_spare_back(session_of(item));
	}
}

void release_drain(struct server *server, enum release_drain drain)
{
	bool was = server->drain != RELEASE_SERVING;

	server->drain = drain;
	if (drain == RELEASE_SERVING) {
		wish_of_all(server, 0, WIRE_RELEASE_DRAIN);
	} else if (!was) {
		wish_of_all(server, WIRE_RELEASE_ALL, WIRE_RELEASE_DRAIN);
		put_spares_back(server);
	}
}

/* --- memory pressure --- */

/* TOTAL shared out by what each session holds.  The remainders are carried on,
 * so that the shares add up to TOTAL. */
static void share_out(struct server *server, uint64_t total, uint64_t held)
{
	uint64_t carried = 0;

	list_for_each(item, &server->sessions)
	{
		struct session *session = session_of(item);
		uint64_t part = session->slab_count * total + carried;

		if (session->state == SESSION_ENDING)
			continue;
		carried = part % held;
		wish(session, (uint32_t)(part / held), WIRE_RELEASE_PRESSURE);
	}
}

void release_some(struct server *server)
{
	uint64_t held = release_held(server).slabs;
	uint64_t total = (held + PRESSURE_PART - 1) / PRESSURE_PART;

	server->pressed = true;
	put_spares_back(server);
	if (server->drain != RELEASE_SERVING || !held)
		return;
	log_notice("asking for %lu of %lu slabs", (unsigned long)total,
		   (unsigned long)held);
	share_out(server, total, held);
}

void release_no_more(struct server *server)
{
	server->pressed = false;
	if (server->drain == RELEASE_SERVING)
		wish_of_all(server, 0, WIRE_RELEASE_PRESSURE);
}
