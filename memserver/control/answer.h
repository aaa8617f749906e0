/* A control connection: the state of it, its replies, and how it ends.  For the
 * files of this directory; others use control.h.  Main loop only. */
#ifndef RSWAP_MEMSERVER_ANSWER_H
#define RSWAP_MEMSERVER_ANSWER_H

#include "conn.h"
#include "control.h"
#include "output/peername.h"

enum control_state {
	NEW,	 /* no message yet: a control connection, or a link */
	GREETED, /* HELLO, WELCOME */
	OPEN,	 /* OPEN or RESUME: the connection has a session */
};

struct control {
	struct conn conn;
	struct client client; /* what the session sees */
	struct controls *controls;
	const struct link_offer *offer; /* of the address it came in at */
	TAILQ_ENTRY(control) entry;
	struct newcomer newcomer; /* until it has a session or is a link */
	struct handshake handshake;
	enum control_state state;
	struct session *session; /* while OPEN, until either ends */
	bool complained;	 /* the log has the reason of its end */
	struct peer_name peer;
	char name[WIRE_NAME_BYTES];
};

/* Sets the functions that a session calls. */
void control_init_client(struct client *client);

void control_reply(struct control *c, const struct wire_message *reply);
void control_error(struct control *c, uint32_t cookie, uint32_t code,
		   const char *text);

/* C came from ADDR and has no session yet, or no session any more.  Another
 * newcomer may have to go for it. */
void control_count_as_newcomer(struct control *c, const struct net_addr *addr);
/* Tells the client, if it can be told, and the log, and ends the connection of
 * V, later, from its own timer. */
void control_turn_away(struct newcomer *v, const char *why);
/* C opened or resumed SESSION. */
void control_has_session(struct control *c, struct session *session);

/* Sends what is queued, and ends.  The session waits for RESUME. */
void control_leave(struct control *c, const char *why);
/* The same after BYE: the session ends. */
void control_leave_for_good(struct control *c);
/* Tells the client and the log what the client did wrong, and leaves. */
void control_refuse(struct control *c, uint32_t cookie, uint32_t code,
		    const char *text);
void control_refuse_as(struct control *c, uint32_t cookie, uint32_t code,
		       const char *to_peer, const char *to_log);

/* Frees C.  The caller owns its socket, which is returned. */
int control_detach(struct control *c);
/* Ends C at once.  The session waits for RESUME. */
void control_close(struct control *c, const char *why);

#endif
