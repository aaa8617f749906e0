/* Draining, and serving again, as somebody asks: over the control socket, or by
 * an order in etcd.  The caller has the registration look at the state
 * (registration_notice).  Main loop only. */
#ifndef RSWAP_DRAIN_H
#define RSWAP_DRAIN_H

#include <stdbool.h>

#include "server.h"

/* Has SERVER grant no slabs any more, and ask its clients for theirs, if it
 * does not do so already.  ASKED is for the log: "over the control socket". */
void drain_begin(struct server *server, const char *asked);

/* Takes that back, if SERVER drains.  False if it was told to end, which cannot
 * be undone. */
bool drain_end(struct server *server, const char *asked);

#endif
