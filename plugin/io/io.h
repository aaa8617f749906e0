/* A request's own state: its plan (the runs, and what was known of their pages
 * when they were planned), the pages that it has locked, and what became of its
 * attempts.  Every function of this room takes the state as an argument.
 *
 * The state stands on the stack of the thread that runs the request, or in
 * memory of the caller that was allocated before; some 12 KiB (the stacks that
 * service/safety.c gives are 128 KiB, locked).  The repairer and the search for
 * wrong shards have a state of their own.  What outlives a request is in its
 * lane (pages/lane.h): the transfers, and the scratch memory that late
 * transfers still use.
 *
 * By the holder of the lane.
 */
#ifndef RSWAP_IO_H
#define RSWAP_IO_H

#include "servers/core.h"

/* What stood in the way of an attempt.  The request waits for it with nothing
 * held but the lane (wait_obstacle). */
struct obstacle {
	struct server *server; /* that is RECOVERING */
	uint64_t until_ns; /* how long to wait for it; 0: until it is back */
	struct slab *slab; /* that is changing, or lacks shards */
	bool page_locked;  /* another thread has locked PAGE */
	uint64_t page;
	/* The lane's late transfers have to end, or a link of the lane has to
	 * be closed, before more can be sent. */
	bool transfers;
};

/* A run: pages that lie next to each other in one slab, and that the same
 * shards hold. */
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
	uint32_t holders; /* READ: the shards that may be asked, which held all
			   * of the pages when the run was planned */
	uint32_t sent;	  /* shards that this attempt asked */
	uint32_t have;	  /* of these, the shards that succeeded */
	uint32_t failed;  /* and the shards that will not */
	uint32_t unsent;  /* of these, not even sent */
	/* The pages as stored units (pages/codec.h): where the codec is direct,
	 * buf itself.  Set by each attempt. */
	uint8_t *units;
	uint8_t *shares[LANE_SHARDS_MAX]; /* by shard, in scratch or units */
};

struct io {
	struct engine *engine;
	struct lane *lane; /* that the request holds */
	uint64_t deadline_ns;
	struct obstacle obstacle; /* where an attempt ended with -EAGAIN */
	uint32_t attempts;	  /* of this write, that have ended */
	bool unsent;	     /* a transfer of this attempt was XFER_UNSENT */
	uint64_t read_again; /* pages, to find which shards are wrong */
	/* The caller's memory for the stored units of a plan of one run, which
	 * stay there from one attempt to the next; NULL: none, so that they are
	 * in scratch where the codec is not direct. */
	uint8_t *units;

	size_t n_runs, n_locked;
	struct io_run runs[LANE_PAGES];
	struct page_version versions[LANE_PAGES]; /* READ */
	uint64_t locked[LANE_PAGES]; /* WRITE: pages, in ascending order */
};

/* Prepares IO, whose memory may hold anything, for a request that holds LANE
 * and has to end by DEADLINE_NS.  Nothing is planned or locked. */
void io_begin(struct io *io, struct engine *engine, struct lane *lane,
	      uint64_t deadline_ns);

/* A plan of one run.  The caller fills in the rest. */
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

/* Leaves the slabs, and lets go of the links that no late transfer needs. */
void io_leave(struct io *io);

/* How many runs a plan may have. */
uint32_t io_max_runs(const struct engine *engine);

#endif
