/* The transfers of one attempt (io/transfer.h): adding them, submitting them,
 * waiting for them, and taking their results.  For io/read.c and io/write.c; by
 * the holder of the lane. */
#ifndef RSWAP_ATTEMPT_H
#define RSWAP_ATTEMPT_H

#include "io.h"

/* When an attempt that begins now has to end. */
uint64_t attempt_until(const struct io *io);

/* Makes the lane ready for a new attempt.  Late transfers of an earlier attempt
 * keep what they use, as long as there is room beside them; else they are given
 * up. */
void attempt_begin(struct io *io);

/* Memory of the lane for the rest of the attempt, or NULL. */
uint8_t *attempt_scratch(struct io *io, uint64_t bytes);

/* Sets the memory for the stored units of RUN.  False where there is no room.
 */
bool attempt_place_units(struct io *io, struct io_run *run);

/* Takes the link to the server of SHARD; false where the link is not up. */
bool attempt_hold(struct io *io, const struct slab_shard *shard);

/* Adds the transfer of one run's share, at BUF, to the transfers that
 * wait_submit submits.  The link is held.  False where there is no room. */
bool attempt_add(struct io *io, size_t run_number, uint32_t shard_number,
		 enum xfer_op op, uint8_t *buf);

/* Takes the results of the transfers that are over, and notes them in their
 * runs.  BEGIN_NS: when this attempt's reads began, for the servers' usual
 * times, or 0.  0, or the errno of a transfer that failed: -EREMOTEIO before
 * any other. */
int attempt_harvest(struct io *io, uint64_t begin_ns);

#endif
