/* The repairer: one thread that keeps every slab as it should be, beside the
 * requests.  What it does, in one pass over the slabs after another:
 *
 * repair: a shard index that no shard has gets a shard on another server, and
 * chunks that a shard missed are written to it.
 *
 * move: a shard gets a second shard of the same index beside it, its twin,
 * where its server wants its memory back or has been away for repair-after, or
 * where it lies in the local fallback while a server has room.  Once the twin
 * holds everything, the first shard goes back.
 *
 * take back: a server that was away is there again before a twin is whole.  Of
 * the two, the shard that misses more pages goes back, and only the other one
 * is filled.
 *
 * free: a slab that has held no page for some seconds goes back.
 *
 * reap: lanes with late transfers (pages/lane.h) are looked after.
 *
 * Why no write falls between copy and switch.  A new shard is attached with
 * every PRESENT page of the slab marked as stale in it, while the slab is
 * CLOSING and nobody is in.  From then on
 *
 *   (1) a write goes to every shard that is LIVE, also to this one, and clears
 *       or sets the bit of its chunks there, before it lets go of its pages;
 *   (2) the repairer copies a chunk only as the owner of its page: it reads the
 *       page from the other shards, writes it, clears the bit, lets go;
 *   (3) a read never uses a shard for a chunk that is stale there.
 *
 * A page has one owner at a time (pages/pagemap.h), so the copy that the
 * repairer writes is of the last write before it, and a write after it reaches
 * the new shard by (1).  There is no moment of a switch: each page switches by
 * itself when its bit is cleared.  The old shard is detached in CLOSING when no
 * bit of the new one is set; a bit that a write sets later concerns a page that
 * the old shard, now gone, does not matter for, as a write is acknowledged only
 * when enough of the shards that are LIVE then have it.
 *
 * Copying is held to a rate, so that requests hardly notice.
 */
#ifndef RSWAP_REPAIR_H
#define RSWAP_REPAIR_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"

struct engine;

struct repair {
	pthread_t thread;
	bool running;
	uint8_t *pages; /* what is being copied */

	/* Guards what follows; a leaf. */
	pthread_mutex_t lock;
	pthread_cond_t poked, passed;
	bool poke, stop;
	uint64_t passes;

	/* Figures; written by the thread only. */
	_Atomic uint64_t copied_pages; /* ever */
	_Atomic uint64_t read_pages;   /* ever, also in vain: the rate's */
	_Atomic uint64_t stale_pages;  /* at the last pass */
	_Atomic uint64_t short_slabs;  /* that lack a shard, or chunks of one */
	_Atomic uint64_t moving_slabs;
	_Atomic uint64_t stuck_slabs; /* that no server has room for */

	/* The thread's own. */
	uint64_t steps; /* ever: shards asked for, attached, detached */
	uint64_t rate_from_ns, rate_pages;
	uint64_t rated_pages; /* of read_pages */
	bool told_short, told_stuck;
	uint64_t told_wrong, told_wrong_ns, told_wrong_lost;
};

/* 0 or a negative errno. */
int repair_create(struct engine *engine, struct error *why);
void repair_destroy(struct engine *engine);
int repair_start(struct engine *engine, struct error *why);
/* Ends the thread; within the time that one transfer is given. */
void repair_stop(struct engine *engine);

/* There may be something to do.  Any thread; cheap. */
void repair_wake(struct engine *engine);

/* Returns when the repairer has been through all slabs once more, or at
 * DEADLINE_NS. */
void repair_wait(struct engine *engine, uint64_t deadline_ns);

/* --- between repair.c, fill.c and tell.c; the thread only --- */

/* Pages that are copied in one go.  A request for one of them waits meanwhile.
 */
#define REPAIR_PAGES 16u

struct slab;

bool repair_stopping(struct repair *k);
/* Whether what SHARD misses is to be written to it: its server is there, and it
 * has no twin that is nearer to being whole. */
struct slab_shard;
bool repair_wants_fill(const struct engine *engine,
		       const struct slab_shard *shard);
/* Writes to shard I of SLAB what it misses, until something stands in the way.
 */
void repair_fill(struct engine *engine, struct slab *slab, uint32_t i);

/* What a pass has seen, for the figures. */
struct repair_sums {
	uint64_t stale_pages, short_slabs, moving_slabs, stuck_slabs;
};

/* Says once what has changed since the last pass, and leaves the figures. */
void repair_tell(struct engine *engine, const struct repair_sums *sums);

#endif
