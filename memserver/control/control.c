#include "control.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "session/admission.h"
#include "clock.h"
#include "conn.h"
#include "grants/grant.h"
#include "links/tcp.h"
#include "log.h"
#include "output/output.h"
#include "session/release.h"
#include "session/session.h"

/* A connection has this long to say what it is: to join a lane, or to open or
 * resume a session. */
#define PROVE_S 5.0
/* A host that is silent for this long is dead. */
#define SILENT_NS (60 * NS_PER_S)

enum control_state {
	NEW,	 /* nothing said yet: control connection or lane */
	GREETED, /* HELLO WELCOME */
	OPEN,	 /* OPEN or RESUME: it has a session */
};

struct control {
	struct conn conn;
	struct server *server;
	struct listener *listener;
	struct list link;	  /* in server->controls */
	struct newcomer newcomer; /* until it has a session or is a lane */
	enum control_state state;
	struct session *session; /* while OPEN, until either ends */
	bool complained;	 /* the log has said why it ends */
	struct net_text peer;
	char name[WIRE_NAME_BYTES];
};

/* Frees C but for its socket, which is the caller's. */
static int control_detach(struct control *c)
{
	int fd = conn_detach(&c->conn);

	list_remove(&c->link);
	admission_leave(&c->server->admission, &c->newcomer);
	free(c);
	return fd;
}

/* Makes room for a newcomer: V goes, later, from its own timer. */
static void turn_away(struct newcomer *v, const char *why)
{
	struct control *c = container_of(v, struct control, newcomer);

	if (!c->conn.leaving) {
		c->complained = true;
		c->server->refused++;
		output_peer(&c->peer, "did not say whose it is: closed, %s",
			    why);
	}
	conn_cut(&c->conn, "it was turned away");
}

/* C has proved nothing yet, or is of no use any more. */
static void count_as_newcomer(struct control *c, const struct net_addr *addr)
{
	struct server *server = c->server;
	struct newcomer *goes =
		admission_enter(&server->admission, &c->newcomer, addr,
				session_is_at(server, addr));

	if (goes)
		turn_away(goes, "to make room for another connection");
}

static void has_session(struct control *c, struct session *session)
{
	admission_leave(&c->server->admission, &c->newcomer);
	session->addr = c->newcomer.addr;
	c->session = session;
	c->state = OPEN;
	conn_limit(&c->conn, -1.);
}

/* Only BYE ends a session.  Whatever else ends the connection, wrong bytes
 * too, leaves the session to RESUME: one bad packet must not be the loss of
 * all that a client has here. */
static void lose_session(struct control *c, const char *why)
{
	struct session *session = c->session;

	c->session = NULL;
	if (session)
		session_lost(session, why);
}

static void control_close(struct control *c, const char *why)
{
	lose_session(c, why);
	close(control_detach(c));
}

/* --- sending --- */

void control_reply(struct control *c, const struct wire_message *reply)
{
	if (conn_send(&c->conn, reply))
		return;
	c->server->errors++;
	output_peer(&c->peer, "does not read its replies");
}

void control_error(struct control *c, uint32_t cookie, uint32_t code,
		   const char *text)
{
	struct wire_message reply = { .type = WIRE_ERROR,
				      .cookie = cookie,
				      .error.code = code };

	snprintf(reply.error.text, sizeof reply.error.text, "%s", text);
	control_reply(c, &reply);
}

/* What is queued still goes out.  Until then it has a newcomer's slot: a client
 * may make many connections leave. */
static void leave_without_session(struct control *c)
{
	struct net_addr addr = c->newcomer.addr;

	admission_leave(&c->server->admission, &c->newcomer);
	conn_leave(&c->conn);
	count_as_newcomer(c, &addr);
}

static void leave(struct control *c, const char *why)
{
	lose_session(c, why);
	leave_without_session(c);
}

static void on_bye(struct control *c)
{
	struct session *session = c->session;

	c->session = NULL;
	if (session)
		session_end(session, "client said BYE");
	leave_without_session(c);
}

void control_abandon(struct control *c)
{
	c->session = NULL;
	leave_without_session(c);
}

/* Says once, to the peer and in the log, what it did wrong. */
static void show_out_as(struct control *c, uint32_t cookie, uint32_t code,
			const char *to_peer, const char *to_log)
{
	c->server->errors++;
	output_peer(&c->peer, "%s; connection closed", to_log);
	control_error(c, cookie, code, to_peer);
	leave(c, to_log);
}

static void show_out(struct control *c, uint32_t cookie, uint32_t code,
		     const char *text)
{
	show_out_as(c, cookie, code, text, text);
}

static void out_of_place(struct control *c, const struct wire_message *m)
{
	char text[WIRE_ERROR_TEXT_BYTES];

	snprintf(text, sizeof text, "%s is out of place here",
		 wire_type_name(m->type));
	show_out(c, m->cookie, WIRE_E_PROTOCOL, text);
}

/* --- the messages of a control connection --- */

static void on_hello(struct control *c, const struct wire_message *m)
{
	struct server *server = c->server;
	struct wire_message reply = {
		.type = WIRE_WELCOME,
		.cookie = m->cookie,
		.welcome = {
			.slab_bytes = server->pool.slab_bytes,
			.total_bytes = server->config->memory_bytes,
			.free_bytes = release_free_bytes(server),
			.transports = c->listener->transports,
			.max_lanes = SESSION_MAX_LANES,
			.rdma_port = c->listener->rdma_port,
		},
	};

	memcpy(reply.welcome.incarnation, server->incarnation,
	       sizeof reply.welcome.incarnation);
	memcpy(reply.welcome.zone, server->config->zone,
	       sizeof reply.welcome.zone);
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
	uint32_t code = 0;

	if (!(m->open.transport & c->listener->transports)) {
		show_out(c, m->cookie, WIRE_E_TRANSPORT,
			 "that transport is not served here");
		return;
	}
	if (m->open.lanes < 1 || m->open.lanes > SESSION_MAX_LANES) {
		show_out(c, m->cookie, WIRE_E_LIMIT,
			 "that number of lanes is not served here");
		return;
	}
	session =
		session_open(c->server, c, c->name, &c->peer, &m->open, &code);
	if (!session) {
		c->server->refused++;
		show_out(c, m->cookie, code,
			 code == WIRE_E_LIMIT
				 ? "there are too many sessions here, or lanes"
				 : "the server is out of memory");
		return;
	}
	has_session(c, session);
	reply.opened.session = session->key;
	reply.opened.free_bytes = release_free_bytes(c->server);
	reply.opened.grace_ms = c->server->config->grace_s * 1000;
	memcpy(reply.opened.token, session->token, sizeof reply.opened.token);
	control_reply(c, &reply);
	release_tell(session);
}

/* RESUMED comes when the lanes are gone. */
static void on_resume(struct control *c, const struct wire_message *m)
{
	struct session *session =
		session_resume(c->server, c, &c->peer, &m->resume, m->cookie);

	if (!session) {
		c->server->refused++;
		show_out(c, m->cookie, WIRE_E_NO_SESSION,
			 "there is no such session to resume");
		return;
	}
	has_session(c, session);
}

static void on_lane(struct control *c, const struct wire_message *m)
{
	struct wire_message reply = { .type = WIRE_TOKEN, .cookie = m->cookie };
	uint32_t code = session_token(c->session, &reply.token);

	if (!code)
		control_reply(c, &reply);
	else if (code == WIRE_E_LIMIT)
		control_error(c, m->cookie, code,
			      "the session has all the lanes that OPEN asked "
			      "for");
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
	reply.freed.free_bytes = release_free_bytes(c->server);
	control_reply(c, &reply);
}

static void on_fence(struct control *c, const struct wire_message *m)
{
	uint32_t code = session_fence(c->session, m->cookie);

	if (code)
		control_error(c, m->cookie, code,
			      "the FENCE before is still under way");
}

static void on_ping(struct control *c, const struct wire_message *m)
{
	struct wire_message reply = {
		.type = WIRE_PONG,
		.cookie = m->cookie,
		.pong = {
			.total_bytes = c->server->config->memory_bytes,
			.free_bytes = release_free_bytes(c->server),
			.session_slabs = c->session->slab_count,
			.session_lanes = c->session->lane_count,
			.release_slabs = c->session->release_slabs,
		},
	};

	control_reply(c, &reply);
}

static void on_session_message(struct control *c, const struct wire_message *m)
{
	switch (m->type) {
	case WIRE_LANE:
		on_lane(c, m);
		break;
	case WIRE_ALLOC:
		handout_slab(c->session, m->cookie, m->alloc.label);
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

/* C is still there afterwards. */
static void on_message(struct control *c, const struct wire_message *m)
{
	if (m->type == WIRE_BYE && c->state != NEW)
		on_bye(c);
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

/* --- what becomes a lane --- */

static bool send_joined(struct control *c, const struct wire_message *join)
{
	struct wire_message reply = { .type = WIRE_JOINED,
				      .cookie = join->cookie,
				      .joined.lane = join->join.lane };
	uint8_t bytes[WIRE_MESSAGE_MAX];
	size_t length = wire_encode(&reply, bytes);

	return send(c->conn.fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL) ==
	       (ssize_t)length;
}

/* False when C is gone. */
static bool on_join(struct control *c, const struct wire_message *m)
{
	struct session *session =
		session_admit(c->server, &m->join, WIRE_TRANSPORT_TCP);

	if (!session) {
		c->server->refused++;
		show_out(c, m->cookie, WIRE_E_TOKEN,
			 "a lane's token joins nothing");
		return true;
	}
	if (!send_joined(c, m)) {
		session_slot_free(session, m->join.lane);
		control_close(c, "the connection is lost");
		return false;
	}
	if (tcp_lane_start(session, m->join.lane, c->conn.fd, &c->peer)) {
		control_detach(c);
		return false;
	}
	session_slot_free(session, m->join.lane);
	show_out(c, m->cookie, WIRE_E_INTERNAL, "out of memory");
	return true;
}

/* --- what the connection tells --- */

static struct control *control_of(struct conn *conn)
{
	return container_of(conn, struct control, conn);
}

static bool message_cb(struct conn *conn, const struct wire_message *m)
{
	struct control *c = control_of(conn);

	if (c->state == NEW && m->type == WIRE_JOIN)
		return on_join(c, m);
	on_message(c, m);
	return true;
}

static void garbage_cb(struct conn *conn, enum wire_verdict verdict,
		       uint32_t cookie)
{
	struct control *c = control_of(conn);
	const char *text = wire_verdict_text(verdict);

	if (verdict == WIRE_BAD_MAGIC) {
		/* nobody there who would understand an answer */
		c->server->errors++;
		output_peer(&c->peer, "%s; connection closed", text);
		leave(c, text);
	} else if (verdict == WIRE_BAD_VERSION) {
		char speaks[64];

		snprintf(speaks, sizeof speaks, "this server speaks version %d",
			 WIRE_VERSION);
		show_out_as(c, cookie, WIRE_E_VERSION, speaks, text);
	} else {
		show_out(c, cookie, WIRE_E_PROTOCOL, text);
	}
}

static const char *timeout_cb(struct conn *conn)
{
	struct control *c = control_of(conn);

	if (c->state == NEW) {
		c->complained = true;
		c->server->errors++;
		output_peer(&c->peer,
			    "said nothing that makes sense for %.0f "
			    "seconds; connection closed",
			    PROVE_S);
	}
	return "it was silent";
}

static void ended_cb(struct conn *conn, const char *why)
{
	struct control *c = control_of(conn);

	if (c->state == NEW && !conn->leaving && !c->complained &&
	    conn->in_bytes) {
		c->server->errors++;
		output_peer(&c->peer,
			    "ended in the middle of its first message");
	}
	control_close(c, why);
}

static const struct conn_ops control_ops = {
	.message = message_cb,
	.garbage = garbage_cb,
	.timeout = timeout_cb,
	.ended = ended_cb,
};

void control_accept(struct listener *listener, int fd)
{
	struct server *server = listener->server;
	struct net_addr peer = { .length = 0 };
	struct control *c = calloc(1, sizeof *c);

	if (!c) {
		server->refused++;
		log_error("a connection was turned away: out of memory");
		close(fd);
		return;
	}
	c->server = server;
	c->listener = listener;
	if (net_peer_addr(fd, &peer))
		c->peer = net_addr_format(&peer);
	net_tune(fd, SILENT_NS);
	list_append(&server->controls, &c->link);
	conn_open(&c->conn, server->loop, fd, &control_ops);
	conn_limit(&c->conn, PROVE_S);
	count_as_newcomer(c, &peer);
}

bool control_turn_one_away(struct server *server)
{
	struct newcomer *oldest = admission_oldest(&server->admission);

	if (oldest)
		turn_away(oldest, "for want of file descriptors");
	return oldest;
}

void control_close_all(struct server *server, const char *why)
{
	list_for_each(item, &server->controls)
	{
		control_close(container_of(item, struct control, link), why);
	}
}
