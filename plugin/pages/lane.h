/* Lanes: a request holds a lane while it transfers pages.
 *
 * A lane has a link to every server and, per transport in use, a channel (for
 * RDMA: registered memory and a completion queue).  A request takes a free
 * lane, works in it alone, and gives it back.  The lane that came back last is
 * given out first, so that only a few lanes stay in the processor's caches.
 * Writes may hold only a part of the lanes, so that a swap-in never waits
 * behind a burst of swap-out.
 *
 * A link's word says which thread may touch the link:
 *
 *   0          the session's thread rebuilds the link, alone
 *   UP         free for the request that holds the lane
 *   UP|BUSY    the request uses the link
 *   BUSY       the link broke meanwhile; the request notices and lets go
 *
 * Only the session's thread sets and clears UP.  It closes a link only where
 * neither bit is set.  Only the request sets BUSY (where the link is UP) and
 * clears BUSY.
 *
 * A lane's scratch memory is registered with its devices, which transfer from
 * and to it in place.  So the memory is not used while such a channel is not
 * usable: a request then exchanges the lane for another one.
 *
 * A read asks a second server where the first one is late.  The late transfers
 * outlive the read: they go into the lane's own scratch memory, and the lane
 * stays parked, out of the free list, until they are over.  A lane with a
 * channel that is not usable is parked too, until the link that made the
 * channel unusable is closed (transport/transport.h).  Three parties check the
 * parked lanes (lane_reap): a request that waits for a lane, a session that
 * closes its links, and the repairer.  A server that is late for too long is
 * given up.
 *
 * Locks: the pool's lock guards the free list and the parked list.  It is held
 * for a few instructions or while asleep on a condition.  It is a leaf.
 */
#ifndef RSWAP_LANE_H
#define RSWAP_LANE_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "latency.h"
#include "pages/redundancy/redundancy.h"
#include "slab.h"
#include "transport/transport.h"

/* The most pages that a lane transfers at once: twice those that the kernel
 * reads ahead by default (vm.page-cluster=3), and as many as the repairer
 * copies at a time (repair/batch.h).  A larger request is split into pieces,
 * one after the other.  Each lane has locked memory for so many pages, though
 * most requests have one page. */
#define LANE_PAGES 16u

#define LINK_UP	  1u
#define LINK_BUSY 2u

struct lane_link {
	_Atomic uint32_t word;
	bool held;	   /* this request has set BUSY */
	struct link *link; /* where UP or BUSY */
};

/* The most shards of a slab.  Sets of shards are bits, by the shard's number in
 * the slab. */
#define LANE_SHARDS_MAX (REDUNDANCY_MAX_SHARDS + 1)

static inline int xfer_status(const struct xfer *x)
{
	return atomic_load_explicit(&x->status, memory_order_acquire);
}

static inline bool xfer_in_progress(const struct xfer *x)
{
	return xfer_status(x) == -EINPROGRESS;
}

/* Which run of the request's plan (io/io.h) a transfer belongs to, and which
 * shard and server.  The run is valid until the transfer is late. */
struct lane_tag {
	uint16_t run;
	uint8_t shard;
	bool over;    /* its end was noticed */
	bool aborted; /* at its deadline, by a request that waits for its end */
	bool late;    /* no request waits for it any more */
	uint32_t server;
	uint64_t sent_ns; /* when it was submitted */
};

/* The transfers of one channel: in flight, over, or not yet submitted. */
struct lane_set {
	struct xfer xfers[TRANSPORT_MAX_XFERS];
	struct lane_tag tags[TRANSPORT_MAX_XFERS];
	uint32_t n, submitted;
};

enum lane_use { LANE_READ, LANE_WRITE, LANE_USES };

/* The transfers with one server. */
struct lane_transfers {
	/* From the submit to the end, or to the time when the request stopped
	 * waiting, because another server was faster. */
	struct latency latency;
	_Atomic uint64_t bytes, errors;
};

/* What a lane has done.  Only the holder of the lane writes the counters, with
 * latency_count, so that counting needs neither a lock nor a cache line that
 * another thread writes.  The status reads them. */
struct lane_counters {
	struct latency requests[LANE_USES]; /* with the wait for a lane */
	_Atomic uint64_t bytes[LANE_USES];  /* of these requests */
	_Atomic uint64_t retries, hedges;
	struct lane_transfers transfers[][LANE_USES]; /* [servers] */
};

struct lane {
	struct lane *next; /* in the free or the parked list */
	/* By transport, or NULL.  A session may make a channel while the lane
	 * is in use over another channel. */
	struct channel *_Atomic channels[N_TRANSPORTS];
	struct lane_link *links; /* by server */

	struct lane_set sets[N_TRANSPORTS];
	uint8_t *scratch; /* [pool->scratch_bytes] */
	uint64_t scratch_used;
	uint32_t turn; /* of its reads, to ask other servers at times */

	bool may_park; /* the lane is counted in pool->n_may_park */
	uint64_t parked_ns;
	struct lane_counters *counters; /* in cache lines of its own */
};

struct lane_pool_config {
	uint32_t lanes; /* without the repairer's lane */
	uint32_t servers;
	struct channel_config channel;
	uint64_t scratch_bytes; /* of each lane; 0: none */
	uint64_t late_ns;	/* how late a transfer may be */
	/* parked is called when a lane is parked, give_up for a server that is
	 * late for longer than late_ns. */
	void (*parked)(void *owner);
	void (*give_up)(void *owner, uint32_t server);
	void *owner;
};

struct lane_pool {
	uint32_t n; /* all, the repairer's last */
	struct lane_pool_config config;
	uint32_t max_writers;
	struct lane *lanes; /* [n] */
	void *scratch;
	uint64_t scratch_bytes; /* of all */

	pthread_mutex_t channels_lock; /* for sessions, which make channels */

	pthread_mutex_t lock;
	pthread_cond_t read_ready, write_ready;
	struct lane *free;   /* last in, first out */
	struct lane *parked; /* with late transfers */
	_Atomic uint32_t n_parked;
	/* Lanes that are parked, or that may be parked when their requests are
	 * over. */
	_Atomic uint32_t n_may_park;
	uint32_t n_free, n_writers, write_waiters, read_waiters;
	bool closed;
};

/* Allocates all lanes, with links that are down.  0 or a negative errno. */
int lane_pool_create(struct lane_pool *pool,
		     const struct lane_pool_config *config, struct error *why);
/* Call only when all lanes are free and all links are closed. */
void lane_pool_destroy(struct lane_pool *pool);

/* The memory of the counters of one lane. */
uint64_t lane_counters_bytes(const struct lane_pool *pool);

/* The repairer's lane, which lane_get never returns. */
static inline struct lane *lane_of_repair(struct lane_pool *pool)
{
	return &pool->lanes[pool->n - 1];
}

/* LANE's number, below pool->n. */
static inline uint32_t lane_number(const struct lane_pool *pool,
				   const struct lane *lane)
{
	return (uint32_t)(lane - pool->lanes);
}

/* A lane for a read or a write, to be given back with the same use.  NULL when
 * no lane came free by DEADLINE_NS (0: does not wait), or the pool was closed.
 */
struct lane *lane_get(struct lane_pool *pool, enum lane_use use,
		      uint64_t deadline_ns);
void lane_put(struct lane_pool *pool, struct lane *lane, enum lane_use use);

/* By the holder of LANE: parks it, and returns a free lane in its place, for
 * the same use.  LANE itself where no lane is free, or where it is the
 * repairer's.  The lane's links are released. */
struct lane *lane_exchange(struct lane_pool *pool, struct lane *lane);

/* Frees the parked lanes whose late transfers are over, and gives up servers
 * that are late for too long: sooner where there is a SHORTAGE of lanes.  Any
 * thread. */
void lane_reap(struct lane_pool *pool, bool shortage);
/* The same for the repairer's lane, which is never put back. */
void lane_look_after(struct lane_pool *pool, struct lane *lane);

/* Whether LANE may be left with late transfers: at most half of the lanes may,
 * so that a silent server does not take all lanes.  The holder asks before it
 * begins, or leaves, a transfer that may become late, because a lane is parked
 * only when its request is over.  The permission holds until the lane is put
 * back, or until lane_no_parking.  By the lane's holder.  The repairer's lane
 * is always allowed: it is never parked. */
bool lane_may_park(struct lane_pool *pool, struct lane *lane);
/* Gives the permission back, when no transfer of LANE is in flight or will be
 * soon.
 */
void lane_no_parking(struct lane_pool *pool, struct lane *lane);

/* Ends lane_get for good.  True when every lane was put back by DEADLINE_NS. */
bool lane_pool_close(struct lane_pool *pool, uint64_t deadline_ns);

/* What the channels of LANE are made with. */
struct channel_config lane_channel_config(struct lane_pool *pool,
					  const struct lane *lane);
/* The lane's channel of that transport, made at the first call.  By a session's
 * thread, never on the I/O path. */
int lane_channel(struct lane_pool *pool, struct lane *lane,
		 const struct transport_ops *transport,
		 struct channel **channel, struct error *why);

/* By the holder of the lane: takes the link to SERVER for this request, if the
 * link is up.  Taking the same link again is allowed. */
bool lane_link_hold(struct lane *lane, uint32_t server);
/* Checks which transfers have ended, and releases the held links of the lane
 * that have no transfer in flight. */
void lane_links_release(struct lane_pool *pool, struct lane *lane);

/* By the holder of the lane: whether its channels may be submitted to. */
bool lane_is_usable(const struct lane *lane);
/* By the holder of the lane: whether its scratch memory may be used.  False
 * where a device may still touch what was given up. */
bool lane_scratch_is_free(const struct lane *lane);

/* By the holder of the lane: whether a transfer of the lane is in flight. */
bool lane_in_flight(const struct lane *lane);
/* Waits until no transfer is in flight, at most until DEADLINE_NS (0: only
 * makes progress).  Aborts no transfer. */
void lane_wait(struct lane *lane, uint64_t deadline_ns);

/* By the session's thread of SERVER, on all lanes: */
void lane_links_up(struct lane_pool *pool, uint32_t server);
void lane_links_break(struct lane_pool *pool, uint32_t server);
bool lane_links_busy(const struct lane_pool *pool, uint32_t server);
void lane_links_close(struct lane_pool *pool, uint32_t server);

#endif
