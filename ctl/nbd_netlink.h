/* What rswapctl asks of the kernel's nbd: connect, disconnect, and an exclusive
 * open.  Everything else about a device is in sysfs (nbddev.h).  Tests link
 * tests/ctl/fake_netlink.c instead, for machines without nbd. */
#ifndef RSWAPCTL_NBD_NETLINK_H
#define RSWAPCTL_NBD_NETLINK_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

#define NBD_SOCKETS_MAX 16

struct nbd_request_connect {
	int number; /* of the device, or -1: the kernel takes one that nobody
		     * has open, or makes a new one */
	uint64_t size_bytes;
	uint64_t block_bytes;
	uint64_t timeout_s;    /* of a request */
	uint64_t server_flags; /* NBD_FLAG_* as the server told */
	/* Connections of one export, past the handshake.  The kernel takes
	 * references of its own; the caller closes its descriptors. */
	const int *sockets;
	int n_sockets;
	/* Shown in sysfs (nbddev_backend), for telling whose a device is. */
	const char *backend;
};

/* The number of the connected device; or -1 with WHY, and *BUSY tells whether
 * that is because somebody else has the device NUMBER. */
int nbd_netlink_connect(const struct nbd_request_connect *request, bool *busy,
			struct error *why);

/* Disconnects whoever uses the device: see teardown.h before calling it.  The
 * kernel gives the device free only when nobody has it open.  0 or -1. */
int nbd_netlink_disconnect(int number, struct error *why);

/* Opens the device exclusively: as long as the descriptor is open, swapon, a
 * mount, device mapper and others that open it so are refused.  The descriptor;
 * -EBUSY where somebody has it exclusively; or another -errno. */
int nbd_netlink_claim(int number);

#endif
