#include "session.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "control.h"
#include "handout.h"
#include "lane_rdma.h"
#include "log.h"
#include "output.h"
#include "server.h"
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

struct session *session_open(struct server *server, struct control *control,
			     const char *name, const struct net_text *peer,
			     const struct wire_open *open, uint32_t *code)
{
	struct session *session;

	if (server->session_count >= server->config->max_sessions) {
		*code = WIRE_E_LIMIT;
		return NULL;
	}
	session = calloc(1, sizeof *session);
	if (!session) {
		*code = WIRE_E_INTERNAL;
		return NULL;
	}
	session->server = server;
	session->control = control;
	session->key = new_key(server);
	session_clean_name(name, session->name);
	session->peer = *peer;
	session->transport = open->transport;
	session->size_bytes = open->size_bytes;
	list_init(&session->slabs);
	list_append(&server->sessions, &session->link);
	server->session_count++;
	output_news("session %u: opened by %s at %s, %s over %s", session->key,
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
		slab_disown(container_of(item, struct slab, owned));
	}
	session->slab_count = 0;
	if (session->spare)
		slab_put_back(session->spare);
	session->spare = NULL;
}

void session_settle(struct session *session)
{
	struct server *server = session->server;

	if (session->control || session->lane_count)
		return;
	give_slabs_back(session);
	if (session->grants)
		return;
	if (session->domain)
		lane_domain_put(session->domain);
	list_remove(&session->link);
	server->session_count--;
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

void session_end(struct session *session, const char *why)
{
	output_news("session %u: ended (%s), gives %u slab%s back",
		    session->key, why, session->slab_count,
		    session->slab_count == 1 ? "" : "s");
	session->control = NULL;
	session->fencing = false;
	revoke_tokens(session);
	close_lanes(session);
	session_settle(session);
}

/* --- lanes --- */

static bool draw(uint8_t token[WIRE_TOKEN_BYTES])
{
	return getrandom(token, WIRE_TOKEN_BYTES, 0) == WIRE_TOKEN_BYTES;
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

uint32_t session_token(struct session *session, struct wire_token *token)
{
	uint32_t number = 0;
	struct lane_slot *slot;

	while (number < SESSION_MAX_LANES &&
	       session->slots[number].state != SLOT_FREE)
		number++;
	if (number == SESSION_MAX_LANES)
		return WIRE_E_LIMIT;
	slot = &session->slots[number];
	if (!draw(slot->token)) {
		log_error("cannot draw random numbers for a token");
		return WIRE_E_INTERNAL;
	}
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

static void fence_done(struct session *session)
{
	struct wire_message reply = {
		.type = WIRE_FENCED,
		.cookie = session->fence_cookie,
		.fenced.lanes_closed = session->fence_lanes,
	};

	session->fencing = false;
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

uint32_t session_fence(struct session *session, uint32_t cookie)
{
	if (session->fencing)
		return WIRE_E_LIMIT;
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
	slab_disown(slab);
	return 0;
}
