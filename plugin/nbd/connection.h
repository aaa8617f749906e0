/* A client's connection: the handshake, its requests, and their replies.
 *
 * One receive takes all requests that are there, up to IN_BYTES.  One send
 * answers all that are done.  Nothing waits: a client that does not read its
 * replies keeps them, and is not read from.
 *
 * After the client's end, or an error, the connection lives until its requests
 * are done.  The loop's thread. */
#ifndef RSWAP_NBD_CONNECTION_H
#define RSWAP_NBD_CONNECTION_H

#include "error.h"
#include "handshake.h"
#include "loop/loop.h"
#include "slots.h"

struct engine;

/* What all connections share. */
struct connection_host {
	struct loop *loop;
	struct engine *engine;
	struct slots *slots;
	uint64_t size; /* of the device */
	/* A client enters transmission: false where it may not. */
	bool (*client_opens)(void);
	/* For each client that was let in, and has gone. */
	void (*client_closed)(void);
	/* Whether a request that has failed gets no answer, because the
	 * process is being ended by force. */
	bool (*is_forced)(void);
};

/* Serves the client at FD from now on, and owns FD.  False where there are too
 * many clients, or no memory: FD is closed. */
bool connection_open(const struct connection_host *host, int fd);

#endif
