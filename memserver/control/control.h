/* Control connections: the messages of wire.h, on the main loop, never
 * blocking. Every connection starts as a control connection.  A connection that
 * says JOIN becomes a link.
 *
 * With --psk-file a control connection begins with a TLS handshake, and until
 * the client has proved its key it is told nothing.  A link is never TLS: its
 * token, which came over the session's control connection, joins it. */
#ifndef RSWAP_CONTROL_H
#define RSWAP_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "handshakes.h"
#include "identities.h"
#include "session/admission.h"
#include "session/session.h"
#include "wire.h"

struct control;

/* What all control connections share. */
struct controls {
	struct ev_loop *loop;
	struct sessions *sessions;
	TAILQ_HEAD(, control) list;
	struct admission admission; /* of connections without a session */
	struct identities identities;
	struct handshakes handshakes;
	/* The WELCOME of every connection, but for free memory and offer. */
	struct wire_welcome welcome;
	uint64_t refused; /* connections that were turned away */
	uint64_t errors;  /* of clients */
};

/* Fills in CONTROLS; its WELCOME and its identities are the caller's to set. */
void controls_init(struct controls *controls, struct sessions *sessions);

/* Takes over FD, a connection just accepted at an address with that OFFER,
 * which outlives the connection. */
void control_accept(struct controls *controls, const struct link_offer *offer,
		    int fd);

/* Ends the oldest newcomer, soon, so that its descriptor is free for another
 * connection.  False when there is none. */
bool control_turn_one_away(struct controls *controls);

/* Reads the keys of the file at PATH again.  Sessions of an identity that has
 * another key now, or none, end; all others go on.  A handshake under way ends,
 * and its client connects again. */
void controls_read_keys(struct controls *controls, const char *path);

/* Ends every control connection. */
void control_close_all(struct controls *controls, const char *why);

#endif
