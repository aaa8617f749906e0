/* Carrying: the transfers between a lane and the parts of slabs that its runs
 * (pages/lane.h) are kept in.  This is where copies and shares, late and failed
 * servers are dealt with.
 *
 * The caller has planned the runs and entered their slabs; it leaves them after
 * each try (carry_leave).  By the holder of the lane, on the I/O path: nothing
 * here allocates or logs, and nothing is waited for but the transfers, each try
 * for at most attempt_ns. */
#ifndef RSWAP_CARRY_H
#define RSWAP_CARRY_H

#include "engine.h"

/* What stood in the way of a try: waited for with nothing held. */
struct obstacle {
	struct peer *peer; /* that is BROKEN */
	uint64_t until_ns; /* how long to wait for it; 0: as long as it takes */
	struct slab *slab; /* in change, or short of parts */
	uint64_t page;	   /* that is somebody's, where BUSY */
	struct lane *lane; /* the request's own, that has to come free of late
			    * transfers, or of a link that is to be closed */
	bool busy;
};

/* Waits until the obstacle may be gone, or it is worth another look.  -EAGAIN,
 * or -ETIMEDOUT where DEADLINE_NS has passed. */
int carry_await(struct engine *engine, const struct obstacle *obstacle,
		uint64_t deadline_ns);

/* Reads every run into its buf: from as many parts as it takes, the fastest
 * first; from another one when one fails, or is late.  0, -EAGAIN with
 * OBSTACLE, or what ends the request: -ETIMEDOUT (at DEADLINE_NS), -EREMOTEIO,
 * -EIO (no part has these bytes any more). */
int carry_read(struct engine *engine, struct lane *lane, uint64_t deadline_ns,
	       struct obstacle *obstacle);

/* Writes every run to all parts of its slab whose servers are up.  What they
 * hold is right then, and what the others hold is marked as stale.  A server
 * that broke only just now is given a moment to come back first, so that a link
 * that flaps costs a delay and not a copy.  The pages of the runs are the
 * caller's (pagemap_own).  As carry_read; a run that may
 * have reached a part all the same is `unsure`. */
int carry_write(struct engine *engine, struct lane *lane, uint64_t deadline_ns,
		struct obstacle *obstacle);

/* Writes ROW's share of the pages in the first run's buf to PART alone.  For
 * the keeper.  0 or a negative errno. */
int carry_fill(struct engine *engine, struct lane *lane, uint32_t part,
	       uint64_t deadline_ns);

/* Leaves the slabs and lets go of the links that no late transfer needs. */
void carry_leave(struct engine *engine, struct lane *lane);

/* Ends the late transfers of a lane that nobody will look after any more. */
void carry_end(struct engine *engine, struct lane *lane);

/* How many runs a piece may have. */
uint32_t carry_max_runs(const struct engine *engine);

/* How many bytes a lane needs to work in, and its channels at a time. */
uint64_t carry_scratch_bytes(const struct redundancy *redundancy);
uint64_t carry_channel_bytes(const struct redundancy *redundancy);

/* What breaks a peer, as a text. */
const char *carry_failure_text(int status);

#endif
