/* Transferring: the transfers between a lane (pages/lane.h) and the shards that
 * hold the runs of a plan (io/io.h).  This part handles copies and shares, and
 * servers that are late or fail.
 *
 * The caller has planned the runs and entered their slabs.  It leaves the slabs
 * after each attempt (io_leave).  By the holder of the lane, on the I/O path:
 * nothing here allocates or logs.  An attempt waits only for its transfers, and
 * at most for attempt_ns. */
#ifndef RSWAP_TRANSFER_H
#define RSWAP_TRANSFER_H

#include "io.h"

/* Reads the stored units of every run of the plan (run->units): from as many
 * shards as it takes, the fastest first, and from another shard when a shard
 * fails or is late.  0, -EAGAIN with the obstacle in IO, or what ends the
 * request: -ETIMEDOUT (at IO's deadline), -EREMOTEIO, -EIO (no shard has these
 * bytes any more). */
int transfer_read(struct io *io);

/* Encodes every run of the plan, and writes it to all shards of its slab whose
 * servers are UP, and marks the runs' chunks as stale in the other shards.  A
 * server that broke only just now first gets a moment to come back, so that a
 * link that flaps costs a delay and not a copy.  The caller has locked the
 * pages of the runs (pagemap_lock).  Returns as transfer_read does.  A run that
 * may have reached a shard although it failed is `unsure`. */
int transfer_write(struct io *io);

/* Writes SHARD's share of the first run's units, which transfer_read has read,
 * to SHARD alone, by IO's deadline.  For the repairer.  0 or a negative errno.
 */
int transfer_fill(struct io *io, uint32_t shard);

/* Ends the late transfers of a lane that no thread reaps any more. */
void attempt_abandon(struct engine *engine, struct lane *lane);

/* How many bytes of scratch memory a lane needs, and how many bytes its
 * channels move at a time. */
uint64_t lane_scratch_bytes(const struct engine *engine);
uint64_t lane_channel_bytes(const struct engine *engine);

/* Why a transfer that ended with STATUS breaks its server, as a text. */
const char *transfer_failure_text(int status);

#endif
