/* Scrub: reads all shards of all PRESENT pages, and checks that each page is
 * right with each of them.  Requests read only as many shards as a page needs,
 * so a shard that is wrong may stay unnoticed until it is the last one.
 *
 * The repair thread does it in turns between its passes, at a rate of its own,
 * and rests from it while there is something to copy.  A batch of pages is
 * locked while it is read.  What is found wrong is judged like the bytes that a
 * request found wrong (io/verify.h): the shard's chunk becomes stale, and the
 * repairer writes it anew; a page that is right nowhere becomes LOST.
 *
 *   IDLE, DONE or STOPPED --scrub_start--> RUNNING
 *   RUNNING --the last slab was read--> DONE
 *   RUNNING --scrub_stop--> STOPPED
 */
#ifndef RSWAP_SCRUB_H
#define RSWAP_SCRUB_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct engine;

enum scrub_state { SCRUB_IDLE, SCRUB_RUNNING, SCRUB_DONE, SCRUB_STOPPED };

struct scrub {
	/* Any thread writes these. */
	_Atomic bool wanted;
	_Atomic uint64_t bytes_per_s; /* 0: no limit */

	/* Figures; written by the repair thread only. */
	_Atomic int state;
	_Atomic uint64_t begun; /* scrubs ever */
	_Atomic uint64_t began_ns, ended_ns;
	_Atomic uint64_t pages;	      /* PRESENT when it began */
	_Atomic uint64_t done_pages;  /* of these; some are trimmed meanwhile */
	_Atomic uint64_t wrong_pages; /* that were wrong with some shard */
	_Atomic uint64_t lost_pages;  /* of these, right with no shard */
	_Atomic uint64_t unread_pages; /* that some shard could not give now */

	/* For the repair thread only: where it is, and when to go on. */
	uint64_t slab;
	uint32_t chunk;
	uint64_t due_ns;
};

/* "running" */
const char *scrub_state_name(int state);

/* Begins a scrub, or changes the rate of the one that runs: BYTES_PER_S of all
 * shards together, 0 for no limit.  Any thread. */
void scrub_start(struct engine *engine, uint64_t bytes_per_s);
/* Ends a scrub that runs.  Any thread. */
void scrub_stop(struct engine *engine);

/* Scrubs for a while, if it is time to.  Returns when to be called again, in ns
 * from now: UINT64_MAX where no scrub runs.  The repair thread, which holds no
 * page. */
uint64_t scrub_turn(struct engine *engine);

#endif
