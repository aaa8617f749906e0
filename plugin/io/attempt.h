/* The transfers of one attempt (io/transfer.h): adding them, submitting them,
 * waiting for them, and taking their results.  For io/read.c and io/write.c; by
 * the holder of the lane. */
#ifndef RSWAP_ATTEMPT_H
#define RSWAP_ATTEMPT_H

#include "io.h"

/* The time at which an attempt that begins now has to end (CLOCK_MONOTONIC,
 * ns). */
uint64_t attempt_until(const struct io *io);

/* Whether the request has too little time left for an attempt.  A server that
 * does not answer in such a time may be well, and giving up on the server
 * would end the transfers of every other request, too. */
bool attempt_is_too_late(const struct io *io);

/* Makes the lane ready for a new attempt.  Late transfers of an earlier attempt
 * keep their memory as long as the new attempt has room beside them.  Otherwise
 * their servers are broken, so that the transfers end.  False, with the
 * obstacle, where a device may still touch the lane's memory. */
bool attempt_begin(struct io *io);

/* Scratch memory of the lane, valid until the attempt ends.  NULL where the
 * lane has not enough. */
uint8_t *attempt_scratch(struct io *io, uint64_t bytes);

/* Sets run->units, the memory for the stored units of RUN.  False where the
 * lane has no room.
 */
bool attempt_place_units(struct io *io, struct io_run *run);

/* Takes the lane's link to the server of SHARD.  False where the server is not
 * UP or has no link. */
bool attempt_hold(struct io *io, const struct slab_shard *shard);

/* Adds one transfer to those that attempt_submit submits: one run's share, at
 * BUF. The caller holds the link.  False where the lane has no room. */
bool attempt_add(struct io *io, size_t run_number, uint32_t shard_number,
		 enum xfer_op op, uint8_t *buf);

/* Submits the transfers that were added (wait_submit), and notes when. */
void attempt_submit(struct io *io, uint64_t deadline_ns);

/* Counts transfer X, which TAG belongs to, as one that took until NOW_NS. */
void attempt_count(struct io *io, const struct lane_tag *tag,
		   const struct xfer *x, uint64_t now_ns);

/* Takes the results of the transfers that are over, and records them in their
 * runs.  BEGIN_NS is the time at which this attempt's reads began, and measures
 * how fast the servers are (server_took); 0 does not.  Returns 0, or the errno
 * of a transfer that failed: -EREMOTEIO before any other errno. */
int attempt_harvest(struct io *io, uint64_t begin_ns);

#endif
