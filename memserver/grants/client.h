/* The client of a session, as seen from below its control connection: a place
 * to send replies to.  Main loop only. */
#ifndef RSWAP_MEMSERVER_CLIENT_H
#define RSWAP_MEMSERVER_CLIENT_H

#include <stdint.h>

#include "net.h"
#include "wire.h"

/* Embedded in the control connection. */
struct client {
	/* Sends REPLY, now or when the client reads.  A client that does not
	 * read loses its connection later, never in this call. */
	void (*reply)(struct client *client, const struct wire_message *reply);
	/* The session goes on without this connection: it sends what is queued,
	 * and ends.  It does not touch the session any more. */
	void (*abandon)(struct client *client);
	/* What the client proved to be, or "" where clients have no keys. */
	const char *identity;
	const struct net_addr *addr; /* of the connection */
};

void client_reply(struct client *client, const struct wire_message *reply);
void client_error(struct client *client, uint32_t cookie, uint32_t code,
		  const char *text);

#endif
