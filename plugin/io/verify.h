/* Verifying: whether what was read is what was written. */
#ifndef RSWAP_VERIFY_H
#define RSWAP_VERIFY_H

#include "transfer.h"

/* Whether the pages of RUN are what they were when it was planned: then what
 * was read is what they held. */
bool verify_unchanged(const struct engine *engine, const struct lane_run *run);

/* After transfer_read: whether the pages of RUN are what they were when it was
 * planned (or are the caller's: its looks are NULL then), and their bytes fit
 * their checksums.
 *
 * The first page that does not fit is read again from everything that has it,
 * and owned meanwhile, so that what is said of it is said of one write: shards
 * without which it is right are marked as stale there, and repaired by the
 * repairer; a page that is right from nowhere becomes LOST.  How often a page
 * was read for that is added to lane->read_again.
 *
 *   0         all of it is right
 *   -ESTALE   shards were marked, a page is LOST, or one changed meanwhile:
 * plan anew -EAGAIN   try again, after waiting for OBSTACLE if there is one:
 * somebody else owns the page, or a server that may have it is RECOVERING; or
 * the page was right when it was read again else      as transfer_read */
int verify_run(struct engine *engine, struct lane *lane, struct lane_run *run,
	       uint64_t deadline_ns, struct obstacle *obstacle);

#endif
