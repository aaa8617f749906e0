/* Transferring: the transfers between a lane and the shards that hold the
 * lane's runs (pages/lane.h).  This part handles copies and shares, and servers
 * that are late or fail.
 *
 * The caller has planned the runs and entered their slabs.  It leaves the slabs
 * after each attempt (io_leave).  By the holder of the lane, on the I/O path:
 * nothing here allocates or logs.  An attempt waits only for its transfers, and
 * at most for attempt_ns. */
#ifndef RSWAP_TRANSFER_H
#define RSWAP_TRANSFER_H

#include "servers/core.h"

/* What stood in the way of an attempt.  The request waits for it with nothing
 * held but the lane. */
struct obstacle {
	struct server *server; /* that is RECOVERING */
	uint64_t until_ns; /* how long to wait for it; 0: until it is back */
	struct slab *slab; /* that is changing, or lacks shards */
	uint64_t page;	   /* that another thread has locked, where busy */
	struct lane *lane; /* the request's own, which waits for late transfers
			    * to end, or for a link to be closed */
	bool busy;
};

/* Waits until the obstacle may be gone, or until it should be checked again.
 * -EAGAIN, or -ETIMEDOUT where DEADLINE_NS has passed. */
int wait_obstacle(struct engine *engine, const struct obstacle *obstacle,
		  uint64_t deadline_ns);

/* Reads every run into its buf: from as many shards as it takes, the fastest
 * first, and from another shard when a shard fails or is late.  0, -EAGAIN with
 * OBSTACLE, or what ends the request: -ETIMEDOUT (at DEADLINE_NS), -EREMOTEIO,
 * -EIO (no shard has these bytes any more). */
int transfer_read(struct engine *engine, struct lane *lane,
		  uint64_t deadline_ns, struct obstacle *obstacle);

/* Writes every run to all shards of its slab whose servers are UP, and marks
 * the runs' chunks as stale in the other shards.  A server that broke only just
 * now first gets a moment to come back, so that a link that flaps costs a delay
 * and not a copy.  The caller has locked the pages of the runs (pagemap_lock).
 * Returns as transfer_read does.  A run that may have reached a shard although
 * it failed is `unsure`. */
int transfer_write(struct engine *engine, struct lane *lane,
		   uint64_t deadline_ns, struct obstacle *obstacle);

/* Writes INDEX's share of the pages in the first run's buf to SHARD alone.  For
 * the repairer.  0 or a negative errno. */
int transfer_fill(struct engine *engine, struct lane *lane, uint32_t shard,
		  uint64_t deadline_ns);

/* Leaves the slabs, and lets go of the links that no late transfer needs. */
void io_leave(struct engine *engine, struct lane *lane);

/* Ends the late transfers of a lane that no thread reaps any more. */
void attempt_abandon(struct engine *engine, struct lane *lane);

/* How many runs a piece may have. */
uint32_t io_max_runs(const struct engine *engine);

/* How many bytes of scratch memory a lane needs, and how many bytes its
 * channels move at a time. */
uint64_t lane_scratch_bytes(const struct redundancy *redundancy);
uint64_t lane_channel_bytes(const struct redundancy *redundancy);

/* Why a transfer that ended with STATUS breaks its server, as a text. */
const char *transfer_failure_text(int status);

#endif
