#include "messages.h"

#include <stdio.h>
#include <string.h>

#include "output/output.h"
#include "session/release.h"

static void out_of_place(struct control *c, const struct wire_message *m)
{
	char text[WIRE_ERROR_TEXT_BYTES];

	snprintf(text, sizeof text, "%s is out of place here",
		 wire_type_name(m->type));
	control_refuse(c, m->cookie, WIRE_E_PROTOCOL, text);
}

static void on_hello(struct control *c, const struct wire_message *m)
{
	struct wire_message reply = {
		.type = WIRE_WELCOME,
		.cookie = m->cookie,
		.welcome = c->controls->welcome,
	};
	struct error why;

	c->client.identity = conn_identity(&c->conn);
	c->peer = peer_name(c->client.identity, peer_name_address(&c->peer));
	if (!tenants_know(c->controls->sessions->grants->tenants,
			  c->client.identity, &why)) {
		c->controls->refused++;
		control_refuse(c, m->cookie, WIRE_E_IDENTITY, why.text);
		return;
	}
	reply.welcome.free_bytes = grants_free_bytes(
		c->controls->sessions->grants, c->client.identity);
	reply.welcome.transports = c->offer->transports;
	reply.welcome.rdma_port = c->offer->rdma_port;
	memcpy(c->name, m->hello.name, sizeof c->name);
	c->name[sizeof c->name - 1] = '\0';
	c->state = GREETED;
	c->conn.whole_messages = false;
	control_reply(c, &reply);
}

static void on_open(struct control *c, const struct wire_message *m)
{
	struct wire_message reply = { .type = WIRE_OPENED,
				      .cookie = m->cookie };
	struct session *session;
	struct error why;
	uint32_t code = 0;

	if (!(m->open.transport & c->offer->transports)) {
		control_refuse(c, m->cookie, WIRE_E_TRANSPORT,
			       "that transport is not served here");
		return;
	}
	if (m->open.lanes < 1 || m->open.lanes > LINK_SET_MAX) {
		error_set(&why,
			  "OPEN asks for %u lanes, and the limit of one "
			  "session is %u",
			  m->open.lanes, LINK_SET_MAX);
		control_refuse(c, m->cookie, WIRE_E_LIMIT, why.text);
		return;
	}
	session = session_open(c->controls->sessions, &c->client, c->name,
			       &c->peer, &m->open, &code, &why);
	if (!session) {
		c->controls->refused++;
		control_refuse(c, m->cookie, code, why.text);
		return;
	}
	control_has_session(c, session);
	reply.opened.session = session->owner.key;
	reply.opened.free_bytes = grant_free_bytes(&session->owner);
	reply.opened.grace_ms = c->controls->sessions->grace_s * 1000;
	memcpy(reply.opened.token, session->resumption.token,
	       sizeof reply.opened.token);
	control_reply(c, &reply);
	release_tell(session);
}

static const char no_session[] = "there is no such session to resume";

/* RESUMED follows when the links are gone. */
static void on_resume(struct control *c, const struct wire_message *m)
{
	struct session *session;
	struct error detail, why;

	/* The connection that is replaced becomes a newcomer, which must not
	 * turn this one away. */
	admission_leave(&c->controls->admission, &c->newcomer);
	session = session_resume(c->controls->sessions, &c->client, &c->peer,
				 &m->resume, m->cookie, &detail);
	if (!session) {
		c->controls->refused++;
		error_set(&why, "%s (%s)", no_session, detail.text);
		control_refuse_as(c, m->cookie, WIRE_E_NO_SESSION, no_session,
				  why.text);
		return;
	}
	control_has_session(c, session);
}

static void lanes_used_up(struct control *c, uint32_t cookie)
{
	struct error why;

	error_set(&why, "the limit of %u lanes, as OPEN asked for, is reached",
		  c->session->links.most);
	output_peer(&c->peer, "session %u: no lane: %s", c->session->owner.key,
		    why.text);
	control_error(c, cookie, WIRE_E_LIMIT, why.text);
}

static void on_lane(struct control *c, const struct wire_message *m)
{
	struct wire_message reply = { .type = WIRE_TOKEN, .cookie = m->cookie };
	uint32_t code = link_set_token(&c->session->links, &reply.token);

	if (!code)
		control_reply(c, &reply);
	else if (code == WIRE_E_LIMIT)
		lanes_used_up(c, m->cookie);
	else
		control_error(c, m->cookie, code, "no token can be drawn");
}

static void on_free(struct control *c, const struct wire_message *m)
{
	struct wire_message reply = { .type = WIRE_FREED, .cookie = m->cookie };
	uint32_t code = session_free_slab(c->session, m->free.slab);

	if (code) {
		control_error(c, m->cookie, code,
			      "that slab is not this session's");
		return;
	}
	reply.freed.free_bytes = grant_free_bytes(&c->session->owner);
	control_reply(c, &reply);
}

static void on_fence(struct control *c, const struct wire_message *m)
{
	uint32_t code = session_fence(c->session, m->cookie);

	if (code)
		control_error(c, m->cookie, code,
			      "the limit of 1 FENCE at a time is reached");
}

static void on_ping(struct control *c, const struct wire_message *m)
{
	struct wire_message reply = {
		.type = WIRE_PONG,
		.cookie = m->cookie,
		.pong = {
			.total_bytes = c->controls->welcome.total_bytes,
			.free_bytes = grant_free_bytes(&c->session->owner),
			.session_slabs = c->session->owner.slab_count,
			.session_lanes = c->session->links.count,
			.release_slabs = c->session->release_slabs,
		},
	};

	control_reply(c, &reply);
}

static void on_session_message(struct control *c, const struct wire_message *m)
{
	session_heard(c->session);
	switch (m->type) {
	case WIRE_LANE:
		on_lane(c, m);
		break;
	case WIRE_ALLOC:
		grant_slab(&c->session->owner, m->cookie, m->alloc.label);
		break;
	case WIRE_FREE:
		on_free(c, m);
		break;
	case WIRE_FENCE:
		on_fence(c, m);
		break;
	case WIRE_PING:
		on_ping(c, m);
		break;
	default:
		out_of_place(c, m);
	}
}

void messages_handle(struct control *c, const struct wire_message *m)
{
	if (m->type == WIRE_BYE && c->state != NEW)
		control_leave_for_good(c);
	else if (c->state == NEW && m->type == WIRE_HELLO)
		on_hello(c, m);
	else if (c->state == GREETED && m->type == WIRE_OPEN)
		on_open(c, m);
	else if (c->state == GREETED && m->type == WIRE_RESUME)
		on_resume(c, m);
	else if (c->state == OPEN)
		on_session_message(c, m);
	else
		out_of_place(c, m);
}
