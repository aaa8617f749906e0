/* Planning: from a range of pages to the runs of a request (io/io.h).  Only the
 * thread that holds the lane calls these functions, on the I/O path. */
#ifndef RSWAP_PLAN_H
#define RSWAP_PLAN_H

#include "io.h"

/* Whether the page at PAGE is all zeros. */
bool plan_is_zero(const void *page);

/* Plans the PRESENT pages, enters their slabs, and zeroes the buffer of the
 * ABSENT pages.  Reduces *N where the piece would have too many runs.  Returns
 * 0, -EAGAIN with the obstacle in IO, or -EIO for a page that is LOST.  The
 * caller leaves the slabs in any case (io_leave). */
int plan_read(struct io *io, uint8_t *buf, uint64_t page, uint64_t *n);

/* Whether no page of RUN has changed since the run was planned.  Then the bytes
 * that were read are the bytes of the pages.  True where the caller has locked
 * the pages. */
bool plan_is_unchanged(const struct io *io, const struct io_run *run);

/* Whether the plan is still valid: a new plan of the same pages would be equal.
 */
bool plan_holds(const struct io *io);

/* The shards that hold all of N pages from PAGE, which are in SLAB. */
uint32_t plan_holders(const struct engine *engine, const struct slab *slab,
		      uint64_t page, uint32_t n);

/* Plans the pages that are not all zeros.  Reduces *N as plan_read does.
 * Returns how many of the *N pages are all zeros. */
uint64_t plan_write(struct io *io, uint8_t *buf, uint64_t page, uint64_t *n);

/* Locks the planned pages.  The ascending order prevents deadlocks between
 * writes.  0 or -ETIMEDOUT.  In any case the caller calls plan_unlock later. */
int plan_lock(struct io *io);
void plan_unlock(struct io *io);

/* Makes SLAB LIVE: waits for SLAB, or has SLAB allocated, until DEADLINE_NS.
 * The slab may have changed again on return.  The caller has entered no slab.
 * Where not every shard finds a server, the slab becomes LIVE without the
 * missing shards, if the other shards are enough to keep its pages.  The
 * repairer adds the missing shards later.  0, -ETIMEDOUT, -ENOSPC (every
 * reachable server is full) or -EIO (no server is reachable). */
int plan_make_live(struct engine *engine, struct slab *slab,
		   uint64_t deadline_ns);

/* Enters the slabs of all runs.  0, or -EAGAIN with the obstacle in IO.  The
 * caller leaves the slabs in any case (io_leave). */
int plan_enter(struct io *io);

#endif
