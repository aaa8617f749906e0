/* Carrying: the transfers between a lane and the shards of slabs that its runs
 * (pages/lane.h) are kept in.  This is where copies and shares, late and failed
 * servers are dealt with.
 *
 * The caller has planned the runs and entered their slabs; it leaves them after
 * each try (io_leave).  By the holder of the lane, on the I/O path: nothing
 * here allocates or logs, and nothing is waited for but the transfers, each try
 * for at most attempt_ns. */
#ifndef RSWAP_TRANSFER_H
#define RSWAP_TRANSFER_H

#include "engine.h"

/* What stood in the way of a try: waited for with nothing held. */
struct obstacle {
	struct server *server; /* that is RECOVERING */
	uint64_t until_ns; /* how long to wait for it; 0: as long as it takes */
	struct slab *slab; /* in change, or short of shards */
	uint64_t page;	   /* that is somebody's, where BUSY */
	struct lane *lane; /* the request's own, that has to come free of late
			    * transfers, or of a link that is to be closed */
	bool busy;
};

/* Waits until the obstacle may be gone, or it is worth another look.  -EAGAIN,
 * or -ETIMEDOUT where DEADLINE_NS has passed. */
int wait_obstacle(struct engine *engine, const struct obstacle *obstacle,
		  uint64_t deadline_ns);

/* Reads every run into its buf: from as many shards as it takes, the fastest
 * first; from another one when one fails, or is late.  0, -EAGAIN with
 * OBSTACLE, or what ends the request: -ETIMEDOUT (at DEADLINE_NS), -EREMOTEIO,
 * -EIO (no shard has these bytes any more). */
int transfer_read(struct engine *engine, struct lane *lane,
		  uint64_t deadline_ns, struct obstacle *obstacle);

/* Writes every run to all shards of its slab whose servers are up.  What they
 * hold is right then, and what the others hold is marked as stale.  A server
 * that broke only just now is given a moment to come back first, so that a link
 * that flaps costs a delay and not a copy.  The pages of the runs are the
 * caller's (pagemap_lock).  As transfer_read; a run that may
 * have reached a shard all the same is `unsure`. */
int transfer_write(struct engine *engine, struct lane *lane,
		   uint64_t deadline_ns, struct obstacle *obstacle);

/* Writes INDEX's share of the pages in the first run's buf to SHARD alone.  For
 * the repairer.  0 or a negative errno. */
int transfer_fill(struct engine *engine, struct lane *lane, uint32_t shard,
		  uint64_t deadline_ns);

/* Leaves the slabs and lets go of the links that no late transfer needs. */
void io_leave(struct engine *engine, struct lane *lane);

/* Ends the late transfers of a lane that nobody will look after any more. */
void attempt_abandon(struct engine *engine, struct lane *lane);

/* How many runs a piece may have. */
uint32_t io_max_runs(const struct engine *engine);

/* How many bytes a lane needs to work in, and its channels at a time. */
uint64_t lane_scratch_bytes(const struct redundancy *redundancy);
uint64_t lane_channel_bytes(const struct redundancy *redundancy);

/* What breaks a server, as a text. */
const char *transfer_failure_text(int status);

#endif
