/* Transfers between a lane (pages/lane.h) and the shards that hold the runs of
 * a plan (io/io.h).  These functions handle copies and shares, and servers that
 * are late or fail.
 *
 * The caller holds the lane, has planned the runs and entered their slabs.  The
 * caller leaves the slabs after each attempt (io_leave).  This is the I/O path:
 * nothing here allocates or logs.  An attempt waits only for its transfers, and
 * at most for attempt_ns. */
#ifndef RSWAP_TRANSFER_H
#define RSWAP_TRANSFER_H

#include "io.h"

/* Reads the stored units of every run of the plan into run->units.  Asks the
 * fastest shards first, and only as many shards as needed.  Asks another shard
 * when a shard fails or is late.  Returns 0, -EAGAIN with the obstacle in IO,
 * or an errno that ends the request: -ETIMEDOUT (at IO's deadline), -EREMOTEIO,
 * or -EIO (no shard has these bytes any more). */
int transfer_read(struct io *io);

/* Encodes every run of the plan, writes the run to all shards of its slab whose
 * servers are UP, and marks the run's chunks as stale in the other shards.
 * Waits a moment for a server that broke only just now, so that a link that
 * flaps costs a delay and not a copy.  The caller has locked the pages of the
 * runs (pagemap_lock).  Returns as transfer_read does.  Sets `unsure` for a run
 * that failed but may have reached a shard. */
int transfer_write(struct io *io);

/* For the repairer: writes SHARD's share of the first run's units to SHARD
 * alone, by IO's deadline. transfer_read has read the units before.  0 or a
 * negative errno.
 */
int transfer_fill(struct io *io, uint32_t shard);

/* Ends the late transfers of a lane that no thread will reap any more. */
void attempt_abandon(struct engine *engine, struct lane *lane);

/* How many bytes of scratch memory a lane needs, how many bytes its channels
 * transfer at a time, and how many of these from and to the caller's pages. */
uint64_t lane_scratch_bytes(const struct engine *engine);
uint64_t lane_channel_bytes(const struct engine *engine);
uint64_t lane_outside_bytes(const struct engine *engine);

/* A text for the log: why a transfer that ended with STATUS breaks its server.
 */
const char *transfer_failure_text(int status);

#endif
