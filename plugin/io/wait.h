/* Every wait of a request.  A request waits nowhere else: the rooms below
 * return at once where they may not (a deadline of 0), and tests/layers lets no
 * other file of this room call what blocks.  So a front end whose requests have
 * no thread of their own has one place to wait in another way.
 *
 *   for                     by                            until
 *   a lane                  wait_lane                     a request gives one
 *                                                         back
 *   a page to lock it       wait_lock                     the thread that has
 *   a page to read it       wait_page                     locked it unlocks it
 *   a slab                  wait_slab                     it is LIVE or
 *                                                         UNMAPPED
 *   more shards of a slab   wait_repair                   the repairer has made
 *                                                         a pass
 *   a server                wait_server                   it is UP or DOWN
 *   a server that broke     wait_server_return            the same, or it will
 *   just now                                              not be back at once
 *   room to send            wait_submit                   all is sent
 *   transfers, some         wait_transfers                some are over
 *   transfers, all          wait_transfers_end            all are over
 *   late transfers          wait_late                     all are over
 *   nothing known           wait_pause                    some time has passed
 *
 * Each has a deadline (CLOCK_MONOTONIC, ns) or a length.  The request holds
 * nothing but its lane, and in wait_lock its locked pages; in the waits for
 * transfers also its slabs, links and locked pages.  No lock of the engine is
 * held.  By the thread that runs the request, or by the repair thread.
 */
#ifndef RSWAP_WAIT_H
#define RSWAP_WAIT_H

#include "io.h"

/* A lane (lane_get), or NULL. */
struct lane *wait_lane(struct engine *engine, enum lane_use use,
		       uint64_t deadline_ns);

/* Locks the page.  0 or -ETIMEDOUT. */
int wait_lock(struct engine *engine, uint64_t page, uint64_t deadline_ns);
/* Waits while the page is locked. */
void wait_page(struct engine *engine, uint64_t page, uint64_t deadline_ns);

/* Waits while the slab is ALLOCATING or CLOSING.  0 or -ETIMEDOUT. */
int wait_slab(struct engine *engine, struct slab *slab, uint64_t deadline_ns);
/* Wakes the repairer, and waits until it has passed over all slabs. */
void wait_repair(struct engine *engine, uint64_t deadline_ns);

/* Waits while the server is RECOVERING; in wait_server_return only while it may
 * be back at any moment. */
void wait_server(struct server *server, uint64_t deadline_ns);
void wait_server_return(struct server *server, uint64_t deadline_ns);

/* Submits the transfers that were added to the lane (io/attempt.h).  Waits
 * where the way to a server is full. */
void wait_submit(struct lane *lane, uint64_t deadline_ns);
/* Waits for all transfers of the lane that are not late, or for ANY.  May
 * return earlier where several channels may answer. */
void wait_transfers(struct lane *lane, bool any, uint64_t deadline_ns);
/* Waits until no transfer of the lane is in flight.  Aborts the transfers that
 * are in flight at DEADLINE_NS. */
void wait_transfers_end(struct lane *lane, uint64_t deadline_ns);
/* Waits until no transfer of the lane is in flight.  Aborts none. */
void wait_late(struct lane *lane, uint64_t deadline_ns);

/* Sleeps, because a real-time thread must not loop without a pause. */
void wait_pause(uint64_t ns);

/* Waits until the obstacle of IO may be gone, or until it should be checked
 * again.  -EAGAIN, or -ETIMEDOUT where the deadline of IO has passed. */
int wait_obstacle(struct io *io);

#endif
