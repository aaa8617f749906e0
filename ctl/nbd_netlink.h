/* Requests to the kernel's nbd: connect, disconnect, and an exclusive open.
 * All else about a device is in sysfs (nbddev.h).  Tests link
 * tests/ctl/fake_netlink.c instead, for machines without nbd. */
#ifndef RSWAPCTL_NBD_NETLINK_H
#define RSWAPCTL_NBD_NETLINK_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

#define NBD_SOCKETS_MAX 16

struct nbd_request_connect {
	int number; /* of the device, or -1: the kernel takes one that no
		     * program has open, or makes a new one */
	uint64_t size_bytes;
	uint64_t block_bytes;
	uint64_t timeout_s;    /* of a request */
	uint64_t server_flags; /* NBD_FLAG_* as the server told */
	/* Connections of one export, past the handshake.  The kernel takes
	 * references of its own; the caller closes its descriptors. */
	const int *sockets;
	int n_sockets;
	/* sysfs shows this name (nbddev_backend), so rswapctl recognizes its
	 * own device. */
	const char *backend;
};

/* The number of the connected device; or -1 with WHY. *BUSY: another program
 * has the device NUMBER. */
int nbd_netlink_connect(const struct nbd_request_connect *request, bool *busy,
			struct error *why);

/* Disconnects the device, also under a user: see teardown.h before calling
 * this.  The kernel frees the device when no program has it open.  0 or -1. */
int nbd_netlink_disconnect(int number, struct error *why);

#endif
