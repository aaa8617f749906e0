/* Opens the addresses of --listen, all of each name. */
#ifndef RSWAP_MEMSERVER_LISTEN_H
#define RSWAP_MEMSERVER_LISTEN_H

#include "error.h"

struct server;

/* Fills server->listeners with addresses that are listened at, in the order of
 * the options, RDMA where it is asked for and possible; their watchers are the
 * caller's.  The addresses of one name have one port.  0 or a negative errno
 * with WHY; what is open by then is in server->listeners.  Main thread. */
int listen_everywhere(struct server *server, struct error *why);

#endif
