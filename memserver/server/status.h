/* What the control socket tells and takes ("status", "drain", "undrain";
 * ctlsock.h).  A thread of its own talks to the clients; the main loop does
 * what they ask and fills in the answer. */
#ifndef RSWAP_STATUS_H
#define RSWAP_STATUS_H

#include "error.h"
#include "server.h"

/* Listens at config->control.  Sets server->status.  0 or a negative errno. */
int status_start(struct server *server, struct error *why);

/* Drops the clients that are there.  The main loop need not run.  Nothing to do
 * where it never started. */
void status_stop(struct server *server);

#endif
