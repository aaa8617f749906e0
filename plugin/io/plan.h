/* Planning: from a range of pages to the runs of a lane (pages/lane.h).  By the
 * holder of the lane, on the I/O path. */
#ifndef RSWAP_PLAN_H
#define RSWAP_PLAN_H

#include "transfer.h"
#include "servers/core.h"

/* Whether the page at PAGE is all zeros. */
bool plan_is_zero(const void *page);

/* Whether the pages of RUN, which were held by the same shards when it was
 * planned, still are. */
bool plan_is_uniform(const struct engine *engine, const struct lane_run *run);

/* Plans the PRESENT pages and enters their slabs, and zeroes the buffer of the
 * ABSENT pages.  *N becomes less where the piece would have too many runs.  0,
 * -EAGAIN with OBSTACLE, or -EIO for a page that is LOST.  The caller leaves
 * the slabs in any case (io_leave). */
int plan_read(struct engine *engine, struct lane *lane, uint8_t *buf,
	      uint64_t page, uint64_t *n, struct obstacle *obstacle);

/* Plans the pages that are not all zeros.  Returns how many of the *N pages are
 * all zeros.  *N as above. */
uint64_t plan_write(struct engine *engine, struct lane *lane, uint8_t *buf,
		    uint64_t page, uint64_t *n);

/* Locks the planned pages, in ascending order.  0 or -ETIMEDOUT.  In any case
 * the caller calls plan_unlock later. */
int plan_lock(struct engine *engine, struct lane *lane, uint64_t deadline_ns);
void plan_unlock(struct engine *engine, struct lane *lane);

/* Enters the slabs of all runs.  0, or -EAGAIN with OBSTACLE; the caller leaves
 * them in any case (io_leave). */
int plan_enter(struct lane *lane, struct obstacle *obstacle);

#endif
