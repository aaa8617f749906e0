/* A client's connection: the handshake, its requests, and their replies.
 *
 * One receive takes all requests that are there (requests.h).  One send
 * answers all that are done (replies.h).  Nothing waits: a client that does not
 * read its replies keeps them, and is not read from.  A client keeps no more
 * slots than slots.h allows, and is closed if it keeps them and does not go on
 * while others wait for slots.
 *
 * After the client's end, or an error, the connection lives until its requests
 * are done.  The loop's thread. */
#ifndef RSWAP_NBD_CONNECTION_H
#define RSWAP_NBD_CONNECTION_H

#include "host.h"

/* Serves the client at FD from now on, and owns FD and MEMORY, which is zeros
 * of connection_bytes from host->mapper.  False where there are too many
 * clients: FD is closed, and MEMORY is good for the next one. */
bool connection_open(const struct host *host, int fd, void *memory);
uint64_t connection_bytes(void);

#endif
