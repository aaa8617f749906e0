/* Verifying: whether what was read is what was written. */
#ifndef RSWAP_VERIFY_H
#define RSWAP_VERIFY_H

#include "carry.h"

/* Whether the pages of RUN are what they were when it was planned: then what
 * was read is what they held. */
bool verify_unchanged(const struct engine *engine, const struct lane_run *run);

/* After carry_read: whether the pages of RUN are what they were when it was
 * planned (or are the caller's: its looks are NULL then), and their bytes fit
 * their checksums.  The first page that does not is read again without the
 * parts that it came from; those without which it is right are marked as stale
 * there, and repaired by the keeper.  0, -EAGAIN (parts were marked, and the
 * rest is to be read anew; or a page changed meanwhile; or a server that may
 * have it is BROKEN: OBSTACLE), or -EIO. */
int verify_run(struct engine *engine, struct lane *lane, struct lane_run *run,
	       uint64_t deadline_ns, struct obstacle *obstacle);

#endif
