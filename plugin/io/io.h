/* The state of one request: its plan (the runs, and the versions of their
 * pages), the pages that the request has locked, and the results of its
 * attempts.  Every function in this directory takes the state as an argument.
 *
 * The state has less than 4 KiB.  It is on the stack of the thread that runs
 * the request (service/safety.c gives each thread a locked stack of 128 KiB),
 * or in memory that the caller allocated before.  The repairer and the search
 * for wrong shards each have their own state.  Late transfers outlive the
 * request. So the transfers and the scratch memory that they use are in the
 * lane (pages/lane.h).
 *
 * Only the thread that holds the lane uses the state.
 */
#ifndef RSWAP_IO_H
#define RSWAP_IO_H

#include "servers/core.h"

/* Why an attempt could not go on.  The request leaves its slabs and links, and
 * waits until the obstacle is gone (wait_obstacle). */
struct obstacle {
	struct server *server; /* RECOVERING */
	uint64_t until_ns;     /* wait for SERVER until then; 0: no limit */
	struct slab *slab;     /* it is changing, or lacks shards */
	bool page_locked;      /* another thread has locked PAGE */
	uint64_t page;
	/* The lane's late transfers have to end, or a link of the lane has to
	 * be closed, before more can be sent. */
	bool transfers;
	/* A device may still touch the lane's memory. */
	bool lane;
};

/* A run: adjacent pages of one slab that the same shards hold. */
struct io_run {
	struct slab *slab;
	uint64_t page;
	uint32_t pages;
	bool entered; /* this request is in the slab */
	bool unsure;  /* a WRITE that was sent, and not seen to succeed */
	uint8_t *buf; /* the caller's pages */
	/* READ: the pages' versions when the run was planned.  NULL: the caller
	 * has locked the pages. */
	struct page_version *versions;
	uint32_t holders; /* READ: the shards that held all pages when the run
			   * was planned */
	uint32_t sent;	  /* shards that this attempt sent to */
	uint32_t have;	  /* of these, the shards that succeeded */
	uint32_t failed;  /* of these, the shards that failed */
	uint32_t unsent;  /* of the failed shards, never sent */
	/* The pages as stored units (pages/codec.h): where the codec is direct,
	 * buf itself.  Set by each attempt. */
	uint8_t *units;
	uint64_t generation; /* of the first unit; WRITE, set by each attempt */
	uint8_t *shares[LANE_SHARDS_MAX]; /* by shard; point into scratch or
					     units */
};

struct io {
	struct engine *engine;
	struct lane *lane; /* the request holds it */
	uint64_t deadline_ns;
	struct obstacle obstacle; /* set by an attempt that ends with -EAGAIN */
	uint32_t attempts;   /* how many attempts of this write have ended */
	bool unsent;	     /* a transfer of this attempt was XFER_UNSENT */
	uint64_t read_again; /* how often pages were read again, to find which
			      * shards are wrong */
	/* Memory of the caller for the stored units of a plan of one run.  The
	 * units stay there from one attempt to the next.  NULL: where the codec
	 * is not direct, the units are in scratch. */
	uint8_t *units;

	size_t n_runs, n_locked;
	struct io_run runs[LANE_PAGES];
	struct page_version versions[LANE_PAGES]; /* READ */
	uint64_t locked[LANE_PAGES]; /* WRITE: pages, in ascending order */
};

/* Prepares IO for a request that holds LANE and has to end by DEADLINE_NS.  IO
 * may be uninitialized memory.  Nothing is planned or locked afterwards. */
void io_begin(struct io *io, struct engine *engine, struct lane *lane,
	      uint64_t deadline_ns);

/* Makes a plan of one run.  The caller sets the other members. */
static inline struct io_run *io_one_run(struct io *io, struct slab *slab,
					uint64_t page, uint32_t pages,
					uint8_t *buf)
{
	io->n_runs = 1;
	io->runs[0] = (struct io_run){
		.slab = slab, .page = page, .pages = pages, .buf = buf
	};
	return &io->runs[0];
}

/* Leaves the slabs of all runs, and releases the links that no late transfer
 * needs. */
void io_leave(struct io *io);

/* How many runs a plan may have. */
uint32_t io_max_runs(const struct engine *engine);

#endif
