/* Lanes: what a request holds while it moves pages.
 *
 * A lane has a link to every server and, per transport in use, a channel (for
 * RDMA: a registered bounce buffer and a completion queue).  A request takes a
 * free lane, works in it alone, and gives it back.  Lanes are handed out last
 * in, first out, so that few are warm.  Writes may hold only shard of them, so
 * that a burst of swap-out never stands in front of a swap-in.
 *
 * A link's word says who may touch it:
 *
 *   0 -------- the session's thread rebuilds it, nobody else touches it
 *   UP         free for the request that holds the lane
 *   UP|BUSY    that request uses it
 *   BUSY       it was broken meanwhile; the request finds out and lets go
 *
 * The session's thread alone sets and clears UP, and closes a link only where
 * neither bit is set; the request alone sets (only where UP) and clears BUSY.
 *
 * A read that was answered by another server than the one it asked first may
 * leave transfers behind that are late: they go into the lane's own scratch
 * memory, and the lane stays out of the free list, parked, until they are over.
 * So does a lane with a channel that is not usable, until the link that is to
 * blame for it is closed (transport.h).
 * Whoever needs it over (lane_reap: who waits for a lane, a session that closes
 * its links, the repairer) looks; a server that is late for too long is given
 * up.
 *
 * Locks: the pool's lock guards the free and the parked list, and is held for a
 * few instructions or while asleep on a condition; a leaf.
 */
#ifndef RSWAP_LANE_H
#define RSWAP_LANE_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "pagemap.h"
#include "pages/redundancy/redundancy.h"
#include "slab.h"
#include "transport/transport.h"

/* The most pages that a request moves through a lane in one go; larger requests
 * go in pieces. */
#define LANE_PAGES 64u

#define LINK_UP	  1u
#define LINK_BUSY 2u

/* rdma, tcp and the local file */
#define LANE_TRANSPORTS 3

struct lane_link {
	_Atomic uint32_t word;
	bool held;	   /* BUSY is this request's */
	struct link *link; /* where UP or BUSY */
};

/* A shard of a slab, as a bit: its index among the slab's shards. */
#define LANE_SHARDS_MAX (REDUNDANCY_MAX_SHARDS + 1)

/* A run of pages that lie next to each other in one slab, and are held by the
 * same shards. */
struct lane_run {
	struct slab *slab;
	uint64_t page;
	uint32_t pages;
	uint8_t *buf; /* the caller's pages */
	struct page_look
		*versions; /* READ: at its pages, when it was planned */
	bool entered;	   /* this request is in the slab */
	bool unsure;	   /* a WRITE that was sent, and not seen to succeed */
	uint32_t sent;	   /* shards that were asked in this try */
	uint32_t have;	   /* of these, those that succeeded */
	uint32_t failed;   /* and those that will not */
	uint32_t unsent;   /* of these, those that were not even sent */
	uint32_t banned;   /* shards not to be asked */
	uint8_t *
		shares[LANE_SHARDS_MAX]; /* where they are, in scratch or buf */
};

static inline int xfer_status(const struct xfer *x)
{
	return atomic_load_explicit(&x->status, memory_order_acquire);
}

static inline bool xfer_in_progress(const struct xfer *x)
{
	return xfer_status(x) == -EINPROGRESS;
}

/* Whose transfer it is. */
struct lane_tag {
	uint16_t run;
	uint8_t shard;
	bool over; /* was looked at */
	bool late; /* nobody waits for it any more */
	uint32_t server;
};

/* The transfers of one channel that are under way, or were. */
struct lane_set {
	struct xfer xfers[TRANSPORT_MAX_XFERS];
	struct lane_tag tags[TRANSPORT_MAX_XFERS];
	uint32_t n, submitted;
};

/* What a lane has carried; written by its holder, read by status. */
struct lane_counters {
	_Atomic uint64_t reads, writes; /* pieces */
	_Atomic uint64_t read_bytes, write_bytes;
	_Atomic uint64_t retries;
	_Atomic uint64_t hedges;
};

struct lane {
	struct lane *next; /* in the free or the parked list */
	/* By transport, or NULL.  A session may make one while the lane is in
	 * use over another. */
	struct channel *_Atomic channels[LANE_TRANSPORTS];
	struct lane_link *links; /* by server */

	/* The plan of the request that holds the lane. */
	struct lane_run runs[LANE_PAGES];
	size_t n_runs;
	struct page_look versions[LANE_PAGES];
	uint64_t locked[LANE_PAGES]; /* WRITE: pages that are this request's */
	size_t n_locked;
	uint32_t attempts;   /* of this write, that came to their end */
	uint64_t read_again; /* pages, ever, to find what is wrong (io/verify.h)
			      */

	struct lane_set sets[LANE_TRANSPORTS];
	uint8_t *scratch; /* [pool->scratch_bytes] */
	uint64_t scratch_used;
	uint32_t turn; /* of its reads, to try other servers now and then */
	bool unsent; /* something of this try could not be sent (XFER_UNSENT) */

	bool may_park; /* is one of pool->n_may_park */
	uint64_t parked_ns;
	struct lane_counters counters;
};

enum lane_use { LANE_READ, LANE_WRITE };

struct lane_pool_config {
	uint32_t lanes; /* and one more, the repairer's */
	uint32_t servers;
	struct channel_config channel;
	uint64_t scratch_bytes; /* of each lane; 0: none */
	uint64_t late_ns;	/* how late a transfer may be */
	/* Called where a lane is parked, and for a server that is late for
	 * longer. */
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

	pthread_mutex_t channels_lock; /* sessions only, who make channels */

	pthread_mutex_t lock;
	pthread_cond_t read_ready, write_ready;
	struct lane *free;   /* last in, first out */
	struct lane *parked; /* with late transfers */
	_Atomic uint32_t n_parked;
	/* Parked, or allowed to be when their requests are over. */
	_Atomic uint32_t n_may_park;
	uint32_t n_free, n_writers, write_waiters, read_waiters;
	bool closed;
};

/* Allocates all lanes, with links that are down.  0 or a negative errno. */
int lane_pool_create(struct lane_pool *pool,
		     const struct lane_pool_config *config, struct error *why);
/* All lanes are free and all links closed. */
void lane_pool_destroy(struct lane_pool *pool);

/* The lane that is never handed out. */
static inline struct lane *lane_of_repair(struct lane_pool *pool)
{
	return &pool->lanes[pool->n - 1];
}

/* A lane for a read or a write, to be given back with the same use.  NULL when
 * none came free until DEADLINE_NS, or the pool was closed. */
struct lane *lane_get(struct lane_pool *pool, enum lane_use use,
		      uint64_t deadline_ns);
void lane_put(struct lane_pool *pool, struct lane *lane, enum lane_use use);

/* Frees the parked lanes whose late transfers are over, and gives up servers
 * that are late for too long; sooner where there is a SHORTAGE of lanes.  Any
 * thread. */
void lane_reap(struct lane_pool *pool, bool shortage);
/* The same for a lane that its holder, the repairer, does not put back. */
void lane_look_after(struct lane_pool *pool, struct lane *lane);

/* Whether LANE may be left with late transfers: half of the lanes at most, so
 * that a silent server does not take all.  Asked before a transfer is begun, or
 * left, that may become late, as a lane is parked only when its request is
 * over. By the lane's holder; what is allowed holds until the lane comes home,
 * or lane_no_parking.  The repairer's lane may always: it is never parked. */
bool lane_may_park(struct lane_pool *pool, struct lane *lane);
/* Nothing of it is in flight, nor will be for now. */
void lane_no_parking(struct lane_pool *pool, struct lane *lane);

/* Ends lane_get for good; true when every lane came home by DEADLINE_NS. */
bool lane_pool_close(struct lane_pool *pool, uint64_t deadline_ns);

/* The lane's channel of that transport, made at the first call.  By a session's
 * thread, never on the I/O path. */
int lane_channel(struct lane_pool *pool, struct lane *lane,
		 const struct transport_ops *transport,
		 struct channel **channel, struct error *why);

/* By the holder of the lane: takes the link to SERVER for this request, if it
 * is up.  Taking it again is allowed. */
bool lane_link_hold(struct lane *lane, uint32_t server);
/* Looks what has ended by now, and lets go of all links of the lane that are
 * held and have no transfer in flight. */
void lane_links_release(struct lane_pool *pool, struct lane *lane);

/* By the holder of the lane: whether a transfer of it is in flight. */
bool lane_in_flight(const struct lane *lane);
/* Waits until nothing is in flight, at most until DEADLINE_NS (0: only makes
 * progress).  Aborts nothing. */
void lane_wait(struct lane *lane, uint64_t deadline_ns);

/* By the session's thread of SERVER, on all lanes: */
void lane_links_up(struct lane_pool *pool, uint32_t server);
void lane_links_break(struct lane_pool *pool, uint32_t server);
bool lane_links_busy(const struct lane_pool *pool, uint32_t server);
void lane_links_close(struct lane_pool *pool, uint32_t server);

#endif
