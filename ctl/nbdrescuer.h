/* The kernel's workers that receive replies of an nbd device, and its rescuer.
 *
 * For each connection of a device a worker of the kernel receives replies, as
 * long as the connection lasts (recv_work in drivers/block/nbd.c).  Where the
 * kernel has no worker within 10 ms, because the machine is slow or short of
 * memory, it has the rescuer of the device's workqueue do all work that is
 * queued, one after the other (rescuer_thread in kernel/workqueue.c).  The
 * rescuer begins with one connection, and never comes to the others: requests
 * on these wait until the kernel's timeout ends the connections. */
#ifndef RSWAPCTL_NBDRESCUER_H
#define RSWAPCTL_NBDRESCUER_H

enum nbdrescuer {
	NBDRESCUER_NONE, /* this kernel shows none */
	NBDRESCUER_IDLE,
	NBDRESCUER_BUSY,
};

struct nbdreceivers {
	enum nbdrescuer rescuer;
	unsigned workers; /* that receive, besides the rescuer */
};

/* Who receives replies of device NUMBER now.  PROC is "/proc". */
struct nbdreceivers nbdrescuer_look(const char *proc, int number);

#endif
