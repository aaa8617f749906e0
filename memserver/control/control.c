#include "control.h"

#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "links/transports.h"
#include "loops/container.h"
#include "messages.h"
#include "output/output.h"
#include "secretfile.h"
#include "session/lookup.h"

/* A connection has this long to open, resume or join a session. */
#define PROVE_S 5.0
/* A host that is silent for this long is dead. */
#define SILENT_NS (60 * NS_PER_S)

/* --- connections that become links --- */

static bool send_joined(struct control *c, const struct wire_message *join)
{
	struct wire_message reply = { .type = WIRE_JOINED,
				      .cookie = join->cookie,
				      .joined.lane = join->join.lane };
	uint8_t bytes[WIRE_MESSAGE_MAX];
	size_t length = wire_encode(&reply, bytes);

	return send(c->conn.stream.fd, bytes, length,
		    MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length;
}

/* False when C is gone. */
static bool on_join(struct control *c, const struct wire_message *m)
{
	uint32_t slot = m->join.lane;
	struct peer_name peer;
	struct error why;
	struct links *links = c->controls->sessions->links;
	const struct link_ops *ops = transports_adopter(links);
	struct link_set *set = link_admit(links, &m->join, ops, &why);

	if (!set) {
		c->controls->refused++;
		control_refuse(c, m->cookie, WIRE_E_TOKEN, why.text);
		return true;
	}
	if (!send_joined(c, m)) {
		link_slot_free(set, slot);
		control_close(c, "the connection is lost");
		return false;
	}
	peer = peer_name(set->identity, c->peer.text);
	if (ops->adopt(set, slot, c->conn.stream.fd, &peer)) {
		control_detach(c);
		return false;
	}
	link_slot_free(set, slot);
	control_refuse(c, m->cookie, WIRE_E_INTERNAL, "out of memory");
	return true;
}

/* --- events of the connection --- */

static struct control *control_of(struct conn *conn)
{
	return container_of(conn, struct control, conn);
}

/* A client without a key learns that it needs one, and nothing else. */
static void refuse_plain(struct control *c, const struct wire_message *m)
{
	c->controls->refused++;
	control_refuse_as(
		c, m->cookie, WIRE_E_IDENTITY,
		"this server wants TLS with a key: give psk-file=FILE",
		"speaks no TLS, and this server wants a key "
		"(--psk-file)");
}

static bool message_cb(struct conn *conn, const struct wire_message *m)
{
	struct control *c = control_of(conn);
	bool secure = conn->stream.tls;

	if (c->state == NEW && m->type == WIRE_JOIN && !secure)
		return on_join(c, m);
	if (c->controls->identities.tls && !secure)
		refuse_plain(c, m);
	else
		messages_handle(c, m);
	return true;
}

/* --- TLS --- */

static void tls_cb(struct conn *conn)
{
	struct control *c = control_of(conn);
	const struct tls_context *tls = c->controls->identities.tls;

	if (!tls)
		control_refuse_as(c, 0, WIRE_E_IDENTITY,
				  "this server has no keys, and speaks no TLS",
				  "begins with TLS, and this server has no "
				  "keys (--psk-file)");
	else if (!conn_start_tls(conn, tls))
		control_leave(c, "out of memory");
}

static void shake_cb(struct conn *conn)
{
	struct control *c = control_of(conn);

	handshakes_queue(&c->controls->handshakes, &c->handshake,
			 c->newcomer.known);
}

static void step_handshake(struct handshake *h)
{
	struct control *c = container_of(h, struct control, handshake);

	if (!conn_shake(&c->conn))
		return;
	if (conn_is_proved(&c->conn))
		admission_prove(&c->newcomer, PROOF_KEY);
	else if (conn_is_answered(&c->conn))
		admission_prove(&c->newcomer, PROOF_HEARD);
}

static void unproved_cb(struct conn *conn, const char *why)
{
	struct control *c = control_of(conn);

	c->controls->refused++;
	output_peer(&c->peer, "%s; connection closed", why);
	control_leave(c, why);
}

static void garbage_cb(struct conn *conn, enum wire_verdict verdict,
		       uint32_t cookie)
{
	struct control *c = control_of(conn);
	const char *text = wire_verdict_text(verdict);

	if (verdict == WIRE_BAD_MAGIC) {
		/* The peer does not speak this protocol: no reply. */
		c->controls->errors++;
		output_peer(&c->peer, "%s; connection closed", text);
		control_leave(c, text);
	} else if (verdict == WIRE_BAD_VERSION) {
		char speaks[64];

		snprintf(speaks, sizeof speaks, "this server speaks version %d",
			 WIRE_VERSION);
		control_refuse_as(c, cookie, WIRE_E_VERSION, speaks, text);
	} else {
		control_refuse(c, cookie, WIRE_E_PROTOCOL, text);
	}
}

static const char *timeout_cb(struct conn *conn)
{
	struct control *c = control_of(conn);

	if (c->state == NEW || c->state == GREETED) {
		c->complained = true;
		c->controls->errors++;
		output_peer(&c->peer, "%s for %.0f seconds; connection closed",
			    c->state == NEW ? "sent no valid message"
					    : "opened no session",
			    PROVE_S);
	}
	return "it was silent";
}

static void ended_cb(struct conn *conn, const char *why)
{
	struct control *c = control_of(conn);

	if (c->state == NEW && !conn->leaving && !c->complained &&
	    conn->in_bytes) {
		c->controls->errors++;
		output_peer(&c->peer,
			    "ended in the middle of its first message");
	}
	control_close(c, why);
}

static const struct conn_ops control_ops = {
	.message = message_cb,
	.garbage = garbage_cb,
	.tls = tls_cb,
	.shake = shake_cb,
	.unproved = unproved_cb,
	.timeout = timeout_cb,
	.ended = ended_cb,
};

void controls_init(struct controls *controls, struct sessions *sessions)
{
	*controls = (struct controls){ .loop = sessions->loop,
				       .sessions = sessions };
	TAILQ_INIT(&controls->list);
	admission_init(&controls->admission);
	handshakes_init(&controls->handshakes, sessions->loop, step_handshake);
}

void control_accept(struct controls *controls, const struct link_offer *offer,
		    int fd)
{
	struct net_addr peer = { .length = 0 };
	struct control *c = calloc(1, sizeof *c);

	if (!c) {
		controls->refused++;
		log_error("a connection was turned away: out of memory");
		close(fd);
		return;
	}
	c->controls = controls;
	c->offer = offer;
	control_init_client(&c->client);
	c->client.addr = &c->newcomer.addr;
	if (net_peer_addr(fd, &peer))
		c->peer = peer_name("", net_addr_format(&peer).text);
	net_tune(fd, SILENT_NS);
	TAILQ_INSERT_TAIL(&controls->list, c, entry);
	conn_open(&c->conn, controls->loop, fd, &control_ops);
	conn_limit(&c->conn, PROVE_S);
	control_count_as_newcomer(c, &peer);
}

bool control_turn_one_away(struct controls *controls)
{
	struct newcomer *oldest = admission_oldest(&controls->admission);

	if (oldest)
		control_turn_away(oldest, "for lack of file descriptors");
	return oldest;
}

/* --- keys that are read again --- */

static const char key_gone[] = "its key was removed or changed";

/* Ends C if it may have been proved by a key that is not there any more. */
static void review(struct control *c, const struct pskfile *before)
{
	const char *name = conn_identity(&c->conn);
	struct session *session = c->session;

	if (c->conn.phase == CONN_HANDSHAKE) {
		conn_cut(&c->conn, "the keys were read again");
	} else if (*name &&
		   !identities_keep(&c->controls->identities, before, name)) {
		output_peer(&c->peer, "identity %s: %s; connection closed",
			    name, key_gone);
		c->session = NULL;
		conn_cut(&c->conn, key_gone);
		if (session)
			session_end(session, key_gone);
	}
}

/* SESSION has no connection, or is ending. */
static bool must_end(const struct controls *controls,
		     const struct session *session,
		     const struct pskfile *before)
{
	return session->state == SESSION_DISCONNECTED &&
	       !identities_keep(&controls->identities, before,
				session_identity(session));
}

void controls_read_keys(struct controls *controls, const char *path)
{
	struct pskfile before;
	struct error why;
	struct control *c;
	struct session *session, *next;
	unsigned n;

	if (identities_read_again(&controls->identities, path, &before, &why)) {
		log_error("SIGHUP: %s; the keys stay as they were", why.text);
		return;
	}
	n = controls->identities.file.n;
	log_notice("SIGHUP: %s has %u key%s", path, n, n == 1 ? "" : "s");
	if (secretfile_is_credential(path))
		log_error("SIGHUP: systemd copied these keys when it started "
			  "the unit: a key that was added or removed since "
			  "then is not seen");
	TAILQ_FOREACH(c, &controls->list, entry)
	{
		review(c, &before);
	}
	for (session = TAILQ_FIRST(&controls->sessions->list); session;
	     session = next) {
		next = TAILQ_NEXT(session, entry);
		if (must_end(controls, session, &before))
			session_end(session, key_gone);
	}
	pskfile_free(&before);
}

void control_close_all(struct controls *controls, const char *why)
{
	struct control *c;

	while ((c = TAILQ_FIRST(&controls->list)))
		control_close(c, why);
	handshakes_stop(&controls->handshakes);
}
