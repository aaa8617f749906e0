/* The repairer: one thread that keeps every slab as it should be, beside the
 * requests.  It passes over all slabs again and again.  In each pass:
 *
 * repair: where no shard has a shard index, the repairer adds a shard on
 * another server.  It writes to a shard the chunks that the shard missed.
 *
 * move: the repairer adds a second shard of the same index, the shard's twin,
 * where the shard's server wants its memory back or has been away for
 * repair-after, or where the shard lies in the local fallback while a server
 * has room, or, with a pool, where the server is much fuller than others
 * (balance.h).  Once the twin holds everything, the first shard is given back.
 *
 * take back: a server that was away comes back before the twin is whole.  Of
 * the two shards, the shard that misses more pages is given back, and only the
 * other shard is filled.
 *
 * free: a slab that has held no page for some seconds is freed.
 *
 * scrub: where it was asked for, the repairer reads all shards of all pages
 * (scrub.h).
 *
 * reap: lanes whose late transfers are over (pages/lane.h) become free again.
 *
 * Why no write falls between copy and switch.  A new shard is attached with
 * every PRESENT page of the slab marked as stale in it, while the slab is
 * CLOSING and no request is in it.  From then on
 *
 *   (1) a write goes to every shard that is LIVE, also to the new shard, and
 *       clears or sets the bits of its chunks there, before it unlocks its
 *       pages;
 *   (2) the repairer copies a chunk only while it has locked the chunk's page:
 *       it reads the page from the other shards, writes the chunk, clears the
 *       bit, and unlocks the page;
 *   (3) a read never uses a shard for a chunk that is stale there.
 *
 * One thread at a time has a page locked (pages/pagemap.h).  So the repairer
 * copies the last write before its lock, and a write after its lock reaches the
 * new shard by (1).  The slab never switches as a whole: each page switches
 * when its bit is cleared.  The old shard is detached in CLOSING, when no bit
 * of the new shard is set.  A later write may set a bit again.  The old shard
 * does not matter for that page: a write is acknowledged only when enough of
 * the shards that are LIVE at that time have the page.
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
#include "io/io.h"
#include "scrub.h"
#include "servers/rebalance.h"

struct engine;

struct repair {
	pthread_t thread;
	bool running;
	uint8_t *pages; /* that are being copied */
	uint8_t *units; /* the same, stored; PAGES where the codec is direct */
	struct io io;	/* of the copy under way, or of the scrub */
	struct scrub scrub;

	/* Figures; written by the thread only. */
	_Atomic uint64_t copied_pages; /* ever */
	_Atomic uint64_t read_pages;   /* ever, also in vain: for the rate */
	_Atomic uint64_t stale_pages;  /* at the last pass */
	_Atomic uint64_t short_slabs;  /* that lack a shard, or chunks of one */
	_Atomic uint64_t moving_slabs;
	_Atomic uint64_t stuck_slabs; /* that no server has room for */
	/* Since when pages are missing somewhere, or are to be moved; 0: none
	 * are.  copied_pages at that time. */
	_Atomic uint64_t since_ns, since_copied;
	/* How many pages were left at the last pass, and copied_pages then. */
	_Atomic uint64_t left_pages, left_copied;
	_Atomic uint64_t pages_per_s; /* copied, lately */

	/* For the thread only. */
	uint64_t steps; /* ever: shards asked for, attached, detached */
	struct rebalance balance; /* the last decision (balance.h) */
	uint64_t balance_ns;	  /* when the next one is due */
	uint64_t rate_from_ns, rate_pages;
	uint64_t rated_pages; /* of read_pages */
	bool told_short, told_stuck;
	uint64_t told_wrong, told_wrong_ns, told_wrong_lost;
	uint64_t noted_lost;		       /* pages, as an event */
	uint64_t measured_ns, measured_copied; /* of pages_per_s */
};

/* 0 or a negative errno. */
int repair_create(struct engine *engine, struct error *why);
void repair_destroy(struct engine *engine);
int repair_start(struct engine *engine, struct error *why);
/* Ends the thread, after the copy under way. */
void repair_stop(struct engine *engine);

/* How many pages are left to be copied, about: as the last pass found, less
 * what was copied since.  A pass lasts as long as its copying.  Any thread. */
uint64_t repair_left_pages(const struct repair *repair);

/* --- between repair.c, fill.c and tell.c; the thread only --- */

struct slab;

/* Copies to shard I of SLAB the chunks that it misses, as far as possible now.
 */
void repair_fill(struct engine *engine, struct slab *slab, uint32_t i);

/* What a pass has counted, for the figures. */
struct repair_sums {
	uint64_t stale_pages, short_slabs, moving_slabs, stuck_slabs;
	uint64_t left_pages; /* to be copied */
};

/* Measures how fast pages are copied: over a second at least, smoothed. */
void repair_measure(struct repair *repair);

/* Logs once what has changed since the last pass, and stores the figures. */
void repair_tell(struct engine *engine, const struct repair_sums *sums);

#endif
