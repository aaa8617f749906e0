/* The transfers of one try (transfer.h): adding, submitting, waiting, looking
 * at what became of them.  For read.c and write.c; by the holder of the lane.
 */
#ifndef RSWAP_TRANSFER_TRY_H
#define RSWAP_TRANSFER_TRY_H

#include "transfer.h"

static inline uint32_t count_bits(uint32_t bits)
{
	return (uint32_t)__builtin_popcount(bits);
}

/* Until when a try that begins now may take. */
uint64_t attempt_until(const struct engine *engine, uint64_t deadline_ns);

/* Makes the lane ready for a new try.  Late transfers of an earlier one keep
 * what they use, as long as there is room beside it; else they are given up. */
void attempt_begin(struct engine *engine, struct lane *lane);

/* Memory of the lane for the rest of the try, or NULL. */
uint8_t *attempt_scratch(const struct engine *engine, struct lane *lane,
			 uint64_t bytes);

/* Takes the link to the server of SHARD; false where it is not up. */
bool attempt_hold(const struct engine *engine, struct lane *lane,
		  const struct slab_shard *shard);

/* Adds the transfer of one run's share, at BUF, to what is to be submitted; the
 * link is held.  False where there is no room. */
bool attempt_add(struct engine *engine, struct lane *lane, size_t run_number,
		 uint32_t shard_number, enum xfer_op op, uint8_t *buf);

/* Submits what was added. */
void attempt_submit(struct lane *lane, uint64_t deadline_ns);

/* Waits until all of this try's transfers are over, and aborts what is not at
 * DEADLINE_NS. */
void attempt_wait_all(struct lane *lane, uint64_t deadline_ns);

/* Looks at those that are over now, and tells their runs.  BEGIN_NS: when this
 * try's reads began, for the servers' usual times, or 0.  0, or why one failed:
 * -EREMOTEIO before anything else. */
int attempt_harvest(struct engine *engine, struct lane *lane,
		    uint64_t begin_ns);

#endif
