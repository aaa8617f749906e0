/* The end of the connection manager's ids, on a thread of its own.
 *
 * rdma_destroy_id waits in the kernel, without a limit, until the manager's
 * messages about the id are done with (cm_destroy_id in
 * drivers/infiniband/core/cm.c).  The worker that handles messages allocates
 * memory as an ordinary thread does (cm_recv_handler, GFP_KERNEL).  On a
 * machine that is out of memory it then writes pages to swap, and waits for
 * this process. So no thread that requests wait for may call rdma_destroy_id.
 *
 * Only the id waits here: its queue pair is destroyed before, so the device
 * touches no memory for it any more. */
#ifndef RSWAP_RDMA_REAPER_H
#define RSWAP_RDMA_REAPER_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

struct rdma_link;

/* The first caller starts the thread.  0 or a negative errno. */
int rdma_reaper_get(struct error *why);
/* The last caller ends the thread, once all links that it took are freed.  A
 * thread that still waits after two seconds ends with the process. */
void rdma_reaper_put(void);

/* Destroys the id of LINK, whose queue pair is gone, and frees LINK, soon.  Any
 * thread, between get and put. */
void rdma_reaper_take(struct rdma_link *link);

/* Waits until all links that were taken are freed.  False: not until
 * DEADLINE_NS. */
bool rdma_reaper_wait(uint64_t deadline_ns);

#endif
