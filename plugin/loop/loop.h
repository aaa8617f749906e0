/* A loop: one thread that runs many requests.
 *
 * A front end gives the loop sources: file descriptors of its clients.  The
 * front end turns what it reads from them into requests, and the loop runs each
 * request as a coroutine (io/coroutine.h).  A turn of the loop is:
 *
 *   1. poll       all clients, and all connections to memory servers
 *   2. take       the requests that are there (source->ready)
 *   3. receive    all replies of memory servers, one receive for each
 *                 connection
 *   4. resume     the requests whose wait is over
 *   5. start      new requests, reads before most writes, as far as there are
 *                 lanes
 *   6. flush      all transfers of this turn, one send for each connection
 *   7. answer     the requests that are done (source->finish)
 *
 * So the number of system calls is that of the turns and connections, and not
 * that of the requests.  Nothing in a turn waits, except as io/wait.h says.
 *
 * Where a wait has no event (a page, a slab, a server), the loop asks in each
 * turn whether it is over, and makes a turn every LOOP_RECHECK_NS.
 *
 * Threads: all functions are called by the loop's thread, except loop_end.
 *
 * Several loops may share an engine, each on a thread of its own: one for each
 * queue of a front end, or for each processor.  A request stays on the loop
 * that it was submitted to.  What they share is safe for any number of threads:
 * the engine, with the pool of lanes, and the connections to memory servers, on
 * which whichever loop is first receives for all and wakes the others.  Each
 * loop has its own coroutines, queues, waker and turn.  Lanes belong to no
 * loop: config.lanes bounds how many of them a loop takes at a time, and the
 * bounds of all loops should add up to no more than the engine has.  A loop is
 * destroyed after engine_stop, because a late transfer of a lane that it used
 * may still wake it.
 */
#ifndef RSWAP_LOOP_H
#define RSWAP_LOOP_H

#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "error.h"
#include "io/coroutine.h"
#include "patience.h"
#include "transport/waker.h"
#include "transport/watch.h"

struct engine;

#define LOOP_SOURCES_MAX 69
#define LOOP_RECHECK_NS	 (NS_PER_MS / 2)

/* A file descriptor that the loop polls.  The front end owns it. */
struct loop_source {
	int fd;
	short events; /* the front end changes them at any time */
	void (*ready)(struct loop_source *source, short revents);
	/* Called in each turn, after requests were done.  A turn comes once a
	 * second at least.  NULL: nothing to do. */
	void (*finish)(struct loop_source *source);
};

enum loop_op { LOOP_READ, LOOP_WRITE, LOOP_DISCARD };

/* A request of a client.  The front end owns it, and keeps it and BUF until
 * done is called. */
struct loop_request {
	enum loop_op op;
	void *buf;	 /* READ and WRITE */
	uint64_t count;	 /* bytes, a multiple of PAGE_BYTES */
	uint64_t offset; /* of the device; the range is within it */
	int rc;		 /* 0 or a negative errno, as io/request.h */
	void (*done)(struct loop_request *request);

	/* the loop's */
	struct loop *loop;
	uint64_t deadline_ns; /* counts from loop_submit */
	struct loop_request *next;
};

struct loop_queue {
	struct loop_request *first, **last;
};

struct loop_config {
	struct engine *engine;
	/* The most requests that run at a time; 0: as many as the engine has
	 * lanes.  Writes have the same part of them as of the engine's lanes,
	 * and at least one. */
	uint32_t lanes;
	/* How long to look for work before sleeping, at most; 0: not at all.
	 * patience.h tells when it does. */
	uint64_t spin_ns;
	/* Called in each turn with the number of the loop's requests, and with
	 * 0 after the last of them.  By each loop's own thread.  NULL: nothing.
	 */
	void (*turn)(uint32_t in_flight);
};

struct loop {
	struct loop_config config;
	struct waker waker;
	atomic_bool ending;

	struct loop_source *sources[LOOP_SOURCES_MAX];
	uint32_t n_sources;

	struct loop_queue reads, writes; /* not started */
	uint32_t n_requests;		 /* not done */
	uint32_t n_writes;		 /* started and not done */
	uint32_t max_writes;
	uint32_t overtaking; /* reads started while a write waited */

	struct coroutine_pool coroutines;
	struct coroutine **suspended; /* [coroutines.n] */
	uint32_t n_suspended;
	uint64_t
		wake_ns; /* when a suspended request or a source wants a turn */
	bool soon;	 /* the next turn follows at once */

	struct watch watch;
	struct pollfd polls[LOOP_SOURCES_MAX + WATCH_MAX + 1];
	struct patience patience;
};

/* Allocates all memory.  0 or a negative errno. */
int loop_create(struct loop *loop, const struct loop_config *config,
		struct error *why);
/* No request is started or waits. */
void loop_destroy(struct loop *loop);
uint64_t loop_memory_bytes(const struct loop *loop);

/* False where there are LOOP_SOURCES_MAX sources. */
bool loop_add(struct loop *loop, struct loop_source *source);
void loop_remove(struct loop *loop, struct loop_source *source);

/* Queues a request, from a source's ready or finish. */
void loop_submit(struct loop *loop, struct loop_request *request);

/* Has the next turn follow without a sleep. */
void loop_soon(struct loop *loop);
/* Has a turn follow in NS at the latest.  From a source's finish, which asks
 * again in each turn. */
void loop_within(struct loop *loop, uint64_t ns);

/* Makes turns until loop_end. */
void loop_run(struct loop *loop);
/* Any thread. */
void loop_end(struct loop *loop);

#endif
