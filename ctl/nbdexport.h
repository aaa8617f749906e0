/* Connections to a front end for the kernel: libnbd makes the handshake here,
 * and the kernel sends the requests. */
#ifndef RSWAPCTL_NBDEXPORT_H
#define RSWAPCTL_NBDEXPORT_H

#include <stdint.h>

#include "error.h"
#include "nbd_netlink.h"

struct nbdexport {
	uint64_t size_bytes;
	uint64_t flags; /* NBD_FLAG_*, as the server told */
	int sockets[NBD_SOCKETS_MAX];
	int n_sockets;
};

/* Makes N connections to the NBD server on the Unix socket PATH.  Ends early on
 * a signal (run.h).  0; or -1, and then nothing is open. */
int nbdexport_open(const char *path, int n, struct nbdexport *export,
		   uint64_t deadline_ns, struct error *why);

/* Waits for the greeting of an NBD server on the Unix socket PATH, and leaves.
 * 0 or -1, also on a signal. */
int nbdexport_greet(const char *path, uint64_t deadline_ns, struct error *why);

/* Closes this process's descriptors.  Connections that the kernel has taken
 * remain. */
void nbdexport_close(struct nbdexport *export);

#endif
