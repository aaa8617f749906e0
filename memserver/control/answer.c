#include "answer.h"

#include <stdlib.h>
#include <unistd.h>

#include "loops/container.h"
#include "output/output.h"
#include "session/lookup.h"

/* --- replies --- */

void control_reply(struct control *c, const struct wire_message *reply)
{
	if (conn_send(&c->conn, reply))
		return;
	c->controls->errors++;
	output_peer(&c->peer,
		    "does not read its replies: the limit of %u bytes that "
		    "wait is reached",
		    CONN_OUT_BYTES);
}

void control_error(struct control *c, uint32_t cookie, uint32_t code,
		   const char *text)
{
	client_error(&c->client, cookie, code, text);
}

/* --- newcomers --- */

/* Whether C can be told why it goes, in one message that is not waited for.  A
 * client in the middle of a handshake could not read it, and where there are
 * keys nobody is told anything before it has proved one. */
static bool can_be_told(const struct control *c)
{
	return conn_is_proved(&c->conn) || !c->controls->identities.tls;
}

void control_turn_away(struct newcomer *v, const char *why)
{
	struct control *c = container_of(v, struct control, newcomer);

	if (!c->conn.leaving) {
		c->complained = true;
		c->controls->refused++;
		output_peer(&c->peer,
			    "neither opened, resumed nor joined a session: "
			    "closed, %s",
			    why);
		if (can_be_told(c))
			control_error(c, 0, WIRE_E_LIMIT, why);
	}
	conn_cut(&c->conn, "it was turned away");
}

void control_count_as_newcomer(struct control *c, const struct net_addr *addr)
{
	struct controls *controls = c->controls;
	struct error why;
	struct newcomer *goes =
		admission_enter(&controls->admission, &c->newcomer, addr,
				session_is_at(controls->sessions, addr), &why);

	if (goes)
		control_turn_away(goes, why.text);
}

void control_has_session(struct control *c, struct session *session)
{
	admission_leave(&c->controls->admission, &c->newcomer);
	session->addr = c->newcomer.addr;
	c->session = session;
	c->state = OPEN;
	conn_limit(&c->conn, -1.);
}

/* --- the end --- */

int control_detach(struct control *c)
{
	int fd = conn_detach(&c->conn);

	TAILQ_REMOVE(&c->controls->list, c, entry);
	admission_leave(&c->controls->admission, &c->newcomer);
	handshakes_leave(&c->controls->handshakes, &c->handshake);
	free(c);
	return fd;
}

/* Only BYE ends a session.  Every other end of the connection, also by wrong
 * bytes, leaves the session to RESUME: one bad packet must not cost a client
 * all of its pages here. */
static void lose_session(struct control *c, const char *why)
{
	struct session *session = c->session;

	c->session = NULL;
	if (session)
		session_lost(session, why);
}

void control_close(struct control *c, const char *why)
{
	lose_session(c, why);
	close(control_detach(c));
}

/* Meanwhile the connection has a newcomer's slot: a client could make many
 * connections leave. */
static void leave_without_session(struct control *c)
{
	struct net_addr addr = c->newcomer.addr;

	admission_leave(&c->controls->admission, &c->newcomer);
	conn_leave(&c->conn);
	control_count_as_newcomer(c, &addr);
}

void control_leave(struct control *c, const char *why)
{
	lose_session(c, why);
	leave_without_session(c);
}

void control_leave_for_good(struct control *c)
{
	struct session *session = c->session;

	c->session = NULL;
	if (session)
		session_end(session, "client said BYE");
	leave_without_session(c);
}

void control_refuse_as(struct control *c, uint32_t cookie, uint32_t code,
		       const char *to_peer, const char *to_log)
{
	c->controls->errors++;
	output_peer(&c->peer, "%s; connection closed", to_log);
	control_error(c, cookie, code, to_peer);
	control_leave(c, to_log);
}

void control_refuse(struct control *c, uint32_t cookie, uint32_t code,
		    const char *text)
{
	control_refuse_as(c, cookie, code, text, text);
}

/* --- what the session sees --- */

static void client_reply_cb(struct client *client,
			    const struct wire_message *reply)
{
	control_reply(container_of(client, struct control, client), reply);
}

static void client_abandon_cb(struct client *client)
{
	struct control *c = container_of(client, struct control, client);

	c->session = NULL;
	leave_without_session(c);
}

void control_init_client(struct client *client)
{
	client->reply = client_reply_cb;
	client->abandon = client_abandon_cb;
	client->identity = "";
}
