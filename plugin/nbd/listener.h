/* The socket that clients connect to.  The loop's thread. */
#ifndef RSWAP_NBD_LISTENER_H
#define RSWAP_NBD_LISTENER_H

#include "connection.h"

struct listener {
	struct loop_source source; /* the first member */
	const struct host *host;
	int fd;
	uint64_t rests_until_ns; /* 0: it accepts */
	bool fails;		 /* the last client could not be accepted */
	/* Of the next client's connection: it is asked for when that client is
	 * there. */
	struct mapping mapping;
	void *memory;
};

/* Serves the clients of FD (net_listen_unix), which stays the caller's.  HOST
 * and LISTENER outlive the loop's run. */
void listener_start(struct listener *listener, const struct host *host, int fd);

#endif
