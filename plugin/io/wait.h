/* Every wait of a request.  A request waits nowhere else: verify.c passes a
 * deadline of 0 to functions that could wait, and tests/layers lets no other
 * file of this directory call a function that blocks.
 *
 * There are two ways to wait.  A request that has a thread of its own (nbdkit's
 * front end, and the repairer) sleeps.  A request that is a coroutine
 * (io/coroutine.h) is suspended, and its thread runs other requests meanwhile.
 * Everything above these functions is the same for both.  No wait holds a
 * coroutine's thread.
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
 * Each wait has a deadline (CLOCK_MONOTONIC, ns) or a length.  While a request
 * waits for transfers, it may hold its lane, slabs, links and locked pages.  In
 * wait_lock it holds its lane and the pages locked so far.  In the other waits
 * it holds its lane and may hold locked pages.  No mutex of the engine is held.
 * The thread that runs the request calls these functions, or the repair thread.
 */
#ifndef RSWAP_WAIT_H
#define RSWAP_WAIT_H

#include "io.h"

/* Returns a lane (lane_get), or NULL at the deadline. */
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

/* Waits while the server is RECOVERING. wait_server_return waits only while the
 * server may be back at any moment. */
void wait_server(struct server *server, uint64_t deadline_ns);
void wait_server_return(struct server *server, uint64_t deadline_ns);

/* Submits the transfers that were added to the lane (io/attempt.h).  Waits
 * where the queue to a server is full. */
void wait_submit(struct lane *lane, uint64_t deadline_ns);
/* Waits until all transfers of the lane that are not late are over; where ANY
 * is true, until one of them is over.  May return earlier where several
 * channels may answer. */
void wait_transfers(struct lane *lane, bool any, uint64_t deadline_ns);
/* Waits until no transfer of the lane is in flight.  Aborts the transfers that
 * are in flight at DEADLINE_NS. */
void wait_transfers_end(struct lane *lane, uint64_t deadline_ns);
/* Waits until no transfer of the lane is in flight.  Aborts none. */
void wait_late(struct lane *lane, uint64_t deadline_ns);

/* Sleeps, because a real-time thread must not loop without a pause. */
void wait_pause(uint64_t ns);

/* Waits until the obstacle of IO may be gone, or should be checked again.
 * -EAGAIN, or -ETIMEDOUT where the deadline of IO has passed. */
int wait_obstacle(struct io *io);

#endif
