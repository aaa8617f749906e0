/* The socket that clients connect to.  The loop's thread. */
#ifndef RSWAP_NBD_LISTENER_H
#define RSWAP_NBD_LISTENER_H

#include "connection.h"

struct listener {
	struct loop_source source; /* the first member */
	const struct connection_host *host;
};

/* Serves the clients of FD (net_listen_unix), which stays the caller's.  HOST
 * and LISTENER outlive the loop's run. */
void listener_start(struct listener *listener,
		    const struct connection_host *host, int fd);

#endif
