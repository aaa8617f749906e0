/* Control connections: the messages of wire.h, on the main loop, never
 * blocking.  A connection starts here whatever it becomes; one that says JOIN
 * is handed to a data thread. */
#ifndef RSWAP_CONTROL_H
#define RSWAP_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "server/server.h"
#include "wire.h"

struct control;

/* Takes over FD, a connection just accepted at LISTENER. */
void control_accept(struct listener *listener, int fd);

/* Ends the oldest connection that has not said whose it is, soon, so that its
 * descriptor is there for another one.  False where there is none. */
bool control_turn_one_away(struct server *server);

/* Sends a reply, now or when the peer reads.  A peer that doesn't is cut off:
 * later, never in this call.  Main loop. */
void control_reply(struct control *control, const struct wire_message *reply);
void control_error(struct control *control, uint32_t cookie, uint32_t code,
		   const char *text);

/* Its session goes on without it: sends what is queued, and ends. */
void control_abandon(struct control *control);

/* Ends every control connection. */
void control_close_all(struct server *server, const char *why);

#endif
