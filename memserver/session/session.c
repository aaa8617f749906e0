#include "session.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "clock.h"
#include "control/control.h"
#include "grants/grant.h"
#include "grants/held.h"
#include "links/rdma.h"
#include "log.h"
#include "output/output.h"
#include "release.h"
#include "server/server.h"
#include "size.h"

static const char *transport_name(uint32_t transport)
{
	return transport == WIRE_TRANSPORT_RDMA ? "rdma" : "tcp";
}

void session_clean_name(const char *name, char clean[WIRE_NAME_BYTES])
{
	size_t i;

	for (i = 0; i < WIRE_NAME_BYTES - 1 && name[i]; i++)
		clean[i] = isprint((unsigned char)name[i]) ? name[i] : '_';
	clean[i] = '\0';
	if (!i)
		strcpy(clean, "-");
}

static bool key_in_use(const struct server *server, uint32_t key)
{
	list_for_each(item, &server->sessions)
	{
		if (container_of(item, struct session, link)->key == key)
			return true;
	}
	return false;
}

/* Keys count up, so that one is long gone when it comes again. */
static uint32_t new_key(struct server *server)
{
	do {
		server->last_key++;
	} while (!server->last_key || key_in_use(server, server->last_key));
	return server->last_key;
}

static void set_state(struct session *session, enum session_state state)
{
	session->state = state;
	session->since_ns = clock_now_ns();
}

const char *session_state_name(enum session_state state)
{
	static const char *const names[] = {
		[SESSION_OPEN] = "connected",
		[SESSION_RESUMING] = "resuming",
		[SESSION_DISCONNECTED] = "disconnected",
		[SESSION_ENDING] = "ending",
	};

	return names[state];
}

bool session_is_at(const struct server *server, const struct net_addr *addr)
{
	list_for_each(item, &server->sessions)
	{
		const struct session *session =
			container_of(item, struct session, link);

		if (session->state != SESSION_ENDING &&
		    admission_same_address(&session->addr, addr))
			return true;
	}
	return false;
}

static bool draw(uint8_t token[WIRE_TOKEN_BYTES])
{
	if (getrandom(token, WIRE_TOKEN_BYTES, 0) == WIRE_TOKEN_BYTES)
		return true;
	log_error("cannot draw random numbers for a token");
	return false;
}

/* Takes as long for a token that differs early as for one that differs late.
 */
static bool same_token(const uint8_t *a, const uint8_t *b)
{
	volatile uint8_t differ = 0;

	for (unsigned i = 0; i < WIRE_TOKEN_BYTES; i++)
		differ |= a[i] ^ b[i];
	return differ == 0;
}

static void grace_cb(struct ev_loop *loop, ev_timer *watcher, int events);

/* A disconnected session that holds nothing gives way to one that comes. */
static bool make_room(struct server *server)
{
	unsigned most = server->config->max_sessions;

	list_for_each(item, &server->sessions)
	{
		struct session *session =
			container_of(item, struct session, link);

		if (server->session_count < most)
			break;
		if (session->state == SESSION_DISCONNECTED &&
		    !session->slab_count && !session->grants)
			session_end(session, "to make room for another");
	}
	return server->session_count < most;
}

/* Those that have a file descriptor. */
static uint32_t tcp_lanes_of(uint32_t transport, uint32_t lanes)
{
	return transport == WIRE_TRANSPORT_TCP ? lanes : 0;
}

struct session *session_open(struct server *server, struct control *control,
			     const char *name, const struct net_text *peer,
			     const struct wire_open *open, uint32_t *code)
{
	uint32_t tcp_lanes = tcp_lanes_of(open->transport, open->lanes);
	struct session *session;

	if (!make_room(server) || tcp_lanes > server->lanes_left) {
		*code = WIRE_E_LIMIT;
		return NULL;
	}
	session = calloc(1, sizeof *session);
	if (!session || !draw(session->token)) {
		*code = WIRE_E_INTERNAL;
		free(session);
		return NULL;
	}
	session->server = server;
	session->control = control;
	set_state(session, SESSION_OPEN);
	ev_init(&session->grace, grace_cb);
	session->key = new_key(server);
	session_clean_name(name, session->name);
	session->peer = *peer;
	session->transport = open->transport;
	session->size_bytes = open->size_bytes;
	session->lanes_max = open->lanes;
	server->lanes_left -= tcp_lanes;
	list_init(&session->slabs);
	held_init(session);
	handout_open(session);
	list_append(&server->sessions, &session->link);
	server->session_count++;
	output_news(&session->peer,
		    "session %u: opened by %s at %s, %s over %s", session->key,
		    session->name, session->peer.text,
		    size_format(session->size_bytes).text,
		    transport_name(session->transport));
	return session;
}

/* --- the end --- */

static void give_slabs_back(struct session *session)
{
	list_for_each(item, &session->slabs)
	{
		list_remove(item);
		held_disown(session, container_of(item, struct slab, owned));
	}
	session->slab_count = 0;
	handout_put_spare_back(session);
}

void session_settle(struct session *session)
{
	struct server *server = session->server;

	if (session->state != SESSION_ENDING || session->lane_count)
		return;
	give_slabs_back(session);
	if (session->grants || session->held_count)
		return;
	held_stop(session);
	if (session->domain)
		lane_domain_put(session->domain);
	list_remove(&session->link);
	server->session_count--;
	server->lanes_left +=
		tcp_lanes_of(session->transport, session->lanes_max);
	free(session);
	server_session_gone(server);
}

/* Every token that was issued, and not used, joins nothing any more. */
static void revoke_tokens(struct session *session)
{
	for (uint32_t i = 0; i < SESSION_MAX_LANES; i++) {
		if (session->slots[i].state == SLOT_ISSUED)
			session_slot_free(session, i);
	}
}

static void close_lanes(struct session *session)
{
	for (uint32_t i = 0; i < SESSION_MAX_LANES; i++) {
		if (session->slots[i].state == SLOT_JOINED)
			session_lane_close(session->slots[i].lane);
	}
}

static void end(struct session *session, const char *how, const char *why)
{
	output_news(&session->peer, "session %u: %s (%s), gives %u slab%s back",
		    session->key, how, why, session->slab_count,
		    session->slab_count == 1 ? "" : "s");
	ev_timer_stop(session->server->loop, &session->grace);
	set_state(session, SESSION_ENDING);
	session->control = NULL;
	session->fencing = false;
	revoke_tokens(session);
	close_lanes(session);
	session_settle(session);
}

void session_end(struct session *session, const char *why)
{
	end(session, "ended", why);
}

void session_end_disconnected(struct server *server, const char *why)
{
	list_for_each(item, &server->sessions)
	{
		struct session *session =
			container_of(item, struct session, link);

		if (session->state == SESSION_DISCONNECTED)
			session_end(session, why);
	}
}

/* --- disconnected, and resumed --- */

static void grace_cb(struct ev_loop *loop, ev_timer *watcher, int events)
{
	(void)loop;
	(void)events;
	end(container_of(watcher, struct session, grace), "given up",
	    "not resumed in time");
}

void session_lost(struct session *session, const char *why)
{
	struct server *server = session->server;
	unsigned grace_s = server->config->grace_s;

	if (!grace_s || server->stopping) {
		session_end(session, why);
		return;
	}
	output_news(&session->peer,
		    "session %u: disconnected (%s), keeps %u slab%s for %u s",
		    session->key, why, session->slab_count,
		    session->slab_count == 1 ? "" : "s", grace_s);
	set_state(session, SESSION_DISCONNECTED);
	session->control = NULL;
	session->fencing = false;
	revoke_tokens(session);
	close_lanes(session);
	handout_put_spare_back(session);
	ev_timer_set(&session->grace, grace_s, 0.);
	ev_now_update(server->loop);
	ev_timer_start(server->loop, &session->grace);
}

static struct session *find_resumable(struct server *server,
				      const struct wire_resume *resume)
{
	list_for_each(item, &server->sessions)
	{
		struct session *session =
			container_of(item, struct session, link);

		if (session->key == resume->session &&
		    session->state != SESSION_ENDING)
			return same_token(session->token, resume->token)
				       ? session
				       : NULL;
	}
	return NULL;
}

static void begin_fence(struct session *session, uint32_t cookie);

struct session *session_resume(struct server *server, struct control *control,
			       const struct net_text *peer,
			       const struct wire_resume *resume,
			       uint32_t cookie)
{
	struct session *session = find_resumable(server, resume);

	if (!session)
		return NULL;
	output_news(peer, "session %u: resumed by %s at %s%s, with %u slab%s",
		    session->key, session->name, peer->text,
		    session->control ? ", in place of a connection" : "",
		    session->slab_count, session->slab_count == 1 ? "" : "s");
	ev_timer_stop(server->loop, &session->grace);
	if (session->control)
		control_abandon(session->control);
	session->control = control;
	session->connection++;
	session->peer = *peer;
	set_state(session, SESSION_RESUMING);
	begin_fence(session, cookie);
	return session;
}

/* --- lanes --- */

uint32_t session_token(struct session *session, struct wire_token *token)
{
	uint32_t number = 0;
	struct lane_slot *slot;

	while (number < session->lanes_max &&
	       session->slots[number].state != SLOT_FREE)
		number++;
	if (number == session->lanes_max)
		return WIRE_E_LIMIT;
	slot = &session->slots[number];
	if (!draw(slot->token))
		return WIRE_E_INTERNAL;
	slot->state = SLOT_ISSUED;
	*token = (struct wire_token){ .session = session->key, .lane = number };
	memcpy(token->token, slot->token, sizeof token->token);
	return 0;
}

static struct session *find_open(struct server *server, uint64_t key)
{
	list_for_each(item, &server->sessions)
	{
		struct session *session =
			container_of(item, struct session, link);

		if (session->key == key && session->control)
			return session;
	}
	return NULL;
}

struct session *session_admit(struct server *server,
			      const struct wire_join *join, uint32_t transport)
{
	struct session *session = find_open(server, join->session);
	struct lane_slot *slot;

	if (!session || session->transport != transport ||
	    join->lane >= SESSION_MAX_LANES)
		return NULL;
	slot = &session->slots[join->lane];
	if (slot->state != SLOT_ISSUED || !same_token(slot->token, join->token))
		return NULL;
	slot->state = SLOT_JOINED;
	memset(slot->token, 0, sizeof slot->token);
	return session;
}

void session_lane_joined(struct session *session, uint32_t number,
			 struct lane *lane)
{
	lane->session = session;
	lane->number = number;
	session->slots[number].lane = lane;
	session->lane_count++;
}

void session_slot_free(struct session *session, uint32_t number)
{
	session->slots[number] = (struct lane_slot){ .state = SLOT_FREE };
}

void session_lane_close(struct lane *lane)
{
	if (lane->closing)
		return;
	lane->closing = true;
	lane->close(lane);
}

static void resume_done(struct session *session)
{
	struct wire_message reply = {
		.type = WIRE_RESUMED,
		.cookie = session->fence_cookie,
		.resumed = { .session = session->key,
			     .free_bytes = release_free_bytes(session->server),
			     .slabs = session->slab_count },
	};

	set_state(session, SESSION_OPEN);
	control_reply(session->control, &reply);
	release_tell(session);
}

static void fence_done(struct session *session)
{
	struct wire_message reply = {
		.type = WIRE_FENCED,
		.cookie = session->fence_cookie,
		.fenced.lanes_closed = session->fence_lanes,
	};

	session->fencing = false;
	if (session->state == SESSION_RESUMING)
		resume_done(session);
	else
		control_reply(session->control, &reply);
}

void session_lane_gone(struct lane *lane)
{
	struct session *session = lane->session;

	session_slot_free(session, lane->number);
	session->lane_count--;
	if (lane->fenced && session->fencing && --session->fence_left == 0)
		fence_done(session);
	session_settle(session);
}

/* Those that are closing already are waited for too. */
static void begin_fence(struct session *session, uint32_t cookie)
{
	revoke_tokens(session);
	session->fencing = true;
	session->fence_cookie = cookie;
	session->fence_lanes = session->fence_left = session->lane_count;
	for (uint32_t i = 0; i < SESSION_MAX_LANES; i++) {
		if (session->slots[i].state == SLOT_JOINED)
			session->slots[i].lane->fenced = true;
	}
	close_lanes(session);
	if (!session->fence_left)
		fence_done(session);
}

uint32_t session_fence(struct session *session, uint32_t cookie)
{
	if (session->fencing)
		return WIRE_E_LIMIT;
	begin_fence(session, cookie);
	return 0;
}

/* --- slabs --- */

uint32_t session_free_slab(struct session *session, uint32_t number)
{
	struct slab *slab =
		slab_find(&session->server->pool, number, session->key);

	if (!slab)
		return WIRE_E_NO_SLAB;
	list_remove(&slab->owned);
	session->slab_count--;
	held_disown(session, slab);
	release_given_back(session);
	return 0;
}
