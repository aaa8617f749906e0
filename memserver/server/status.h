/* The commands of the control socket: "status", "drain", "undrain" (ctlsock.h).
 * A thread of its own talks to the clients.  The main loop does what a command
 * asks for, and fills in the answer. */
#ifndef RSWAP_STATUS_H
#define RSWAP_STATUS_H

#include "error.h"
#include "server.h"

/* Listens at config->control.  Sets server->status.  0 or a negative errno. */
int status_start(struct server *server, struct error *why);

/* Drops the clients.  The main loop need not run.  Does nothing when
 * status_start was not called. */
void status_stop(struct server *server);

#endif
