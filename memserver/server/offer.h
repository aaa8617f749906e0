/* What the server says of itself in its pool: the value of its key there
 * (pool/member.h).  Main loop only, or while the main loop waits. */
#ifndef RSWAP_OFFER_H
#define RSWAP_OFFER_H

#include <stdio.h>

#include "net.h"
#include "server.h"

struct offer {
	struct net_name address;    /* which clients connect to */
	uint64_t cpu_ns, cpu_at_ns; /* at the last value */
};

/* The listeners are open.  0, or a negative errno with WHY. */
int offer_open(struct offer *offer, const struct server *server,
	       struct error *why);
void offer_write(struct offer *offer, struct server *server, FILE *out);

#endif
