/* The keeper: one thread that keeps every slab as it should be, beside the
 * requests.  What it does, in one pass over the slabs after another:
 *
 *   repair     a row that no part has gets a part on another server; units that
 *              a part missed are written to it
 *   move       a part whose server wants its memory back, or has been away for
 *              repair-after, or that lies in the local fallback while a server
 *              has room, gets a second part of the same row beside it, its
 *              twin; once that holds everything, the first goes back
 *   take back  a server that was away is there again before a twin is whole: of
 *              the two the part that misses more pages goes back, and only the
 *              other one is filled
 *   free       a slab that has held no page for some seconds goes back
 *   reap       lanes with late transfers (pages/lane.h)
 *
 * Why no write falls between copy and switch.  A new part is attached with
 * every PRESENT page of the slab marked as stale in it, while the slab is
 * CLOSING and nobody is in.  From then on
 *
 *   (1) a write goes to every part that is LIVE, also to this one, and clears
 *       or sets the bit of its units there, before it lets go of its pages;
 *   (2) the keeper copies a unit only as the owner of its page: it reads the
 *       page from the other parts, writes it, clears the bit, lets go;
 *   (3) a read never uses a part for a unit that is stale there.
 *
 * A page has one owner at a time (pages/pagemap.h), so the copy that the keeper
 * writes is of the last write before it, and a write after it reaches the new
 * part by (1).  There is no moment of a switch: each page switches by itself
 * when its bit is cleared.  The old part is detached in CLOSING when no bit of
 * the new one is set; a bit that a write sets later concerns a page that the
 * old part, now gone, does not matter for, as a write is acknowledged only when
 * enough of the parts that are LIVE then have it.
 *
 * Copying is held to a rate, so that requests hardly notice.
 */
#ifndef RSWAP_KEEPER_H
#define RSWAP_KEEPER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"

struct engine;

struct keeper {
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
	_Atomic uint64_t short_slabs;  /* that lack a part, or units of one */
	_Atomic uint64_t moving_slabs;
	_Atomic uint64_t stuck_slabs; /* that no server has room for */

	/* The thread's own. */
	uint64_t steps; /* ever: parts asked for, attached, detached */
	uint64_t rate_from_ns, rate_pages;
	uint64_t rated_pages; /* of read_pages */
	bool told_short, told_stuck;
	uint64_t told_wrong, told_wrong_ns, told_wrong_lost;
};

/* 0 or a negative errno. */
int keeper_create(struct engine *engine, struct reason *why);
void keeper_destroy(struct engine *engine);
int keeper_start(struct engine *engine, struct reason *why);
/* Ends the thread; within the time that one transfer is given. */
void keeper_stop(struct engine *engine);

/* There may be something to do.  Any thread; cheap. */
void keeper_poke(struct engine *engine);

/* Returns when the keeper has been through all slabs once more, or at
 * DEADLINE_NS. */
void keeper_wait(struct engine *engine, uint64_t deadline_ns);

/* --- between repair.c, fill.c and tell.c; the thread only --- */

/* Pages that are copied in one go.  A request for one of them waits meanwhile.
 */
#define KEEPER_PAGES 16u

struct slab;

bool keeper_stopping(struct keeper *k);
/* Whether what PART misses is to be written to it: its server is there, and it
 * has no twin that is nearer to being whole. */
struct slab_part;
bool keeper_wants_fill(const struct engine *engine,
		       const struct slab_part *part);
/* Writes to part I of SLAB what it misses, until something stands in the way.
 */
void keeper_fill(struct engine *engine, struct slab *slab, uint32_t i);

/* What a pass has seen, for the figures. */
struct keeper_sums {
	uint64_t stale_pages, short_slabs, moving_slabs, stuck_slabs;
};

/* Says once what has changed since the last pass, and leaves the figures. */
void keeper_tell(struct engine *engine, const struct keeper_sums *sums);

#endif
