/* Lanes: what a request holds while it moves pages.
 *
 * A lane has a link to every server and, per transport in use, a channel (for
 * RDMA: a registered bounce buffer and a completion queue).  A request takes a
 * free lane, works in it alone, and gives it back.  Lanes are handed out last
 * in, first out, so that few are warm.  Writes may hold only part of them, so
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
 * Locks: the pool's lock guards the free list, and is held for a few
 * instructions or while asleep on a condition; a leaf.
 */
#ifndef RSWAP_LANE_H
#define RSWAP_LANE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "reason.h"
#include "slab.h"
#include "transport.h"

/* The most pages that a request moves through a lane in one go; larger requests
 * go in pieces.  No more than xfers, so a piece can always be planned. */
#define LANE_PAGES 64

#define LINK_UP	  1u
#define LINK_BUSY 2u

#define LANE_TRANSPORTS 2

struct lane_link {
	_Atomic uint32_t word;
	bool held;	   /* BUSY is this request's */
	struct link *link; /* where UP or BUSY */
};

/* A run of pages that one xfer moves. */
struct lane_run {
	struct xfer xfer;
	struct slab *slab;
	uint64_t page;
	uint32_t pages;
	bool entered; /* this request is in the slab */
	bool unsure;  /* a WRITE that was sent, and not seen to succeed */
};

/* What a lane has carried; written by its holder, read by status. */
struct lane_counters {
	_Atomic uint64_t reads, writes; /* pieces */
	_Atomic uint64_t read_bytes, write_bytes;
	_Atomic uint64_t retries;
};

struct lane {
	struct lane *next_free;
	struct channel *channels[LANE_TRANSPORTS]; /* by transport, or NULL */
	struct lane_link *links;		   /* by peer */

	/* The plan of the request that holds the lane. */
	struct lane_run runs[LANE_PAGES];
	struct xfer xfers[LANE_PAGES]; /* as submitted: by channel */
	uint8_t run_of_xfer[LANE_PAGES];
	size_t n_runs;

	struct lane_counters counters;
};

enum lane_use { LANE_READ, LANE_WRITE };

struct lane_pool {
	uint32_t n, n_peers;
	uint32_t max_writers;
	struct channel_config channel_config;
	struct lane *lanes; /* [n] */

	pthread_mutex_t channels_lock; /* sessions only, who make channels */

	pthread_mutex_t lock;
	pthread_cond_t read_ready, write_ready;
	struct lane *free; /* last in, first out */
	uint32_t n_free, n_writers, write_waiters, read_waiters;
	bool closed;
};

/* Allocates N lanes with links to N_PEERS servers, all down.  0 or a negative
 * errno. */
int lane_pool_create(struct lane_pool *pool, uint32_t n, uint32_t n_peers,
		     const struct channel_config *config, struct reason *why);
/* All lanes are free and all links closed. */
void lane_pool_destroy(struct lane_pool *pool);

/* A lane for a read or a write, to be given back with the same use.  NULL when
 * none came free until DEADLINE_NS, or the pool was closed. */
struct lane *lane_get(struct lane_pool *pool, enum lane_use use,
		      uint64_t deadline_ns);
void lane_put(struct lane_pool *pool, struct lane *lane, enum lane_use use);

/* Ends lane_get for good; true when every lane came home by DEADLINE_NS. */
bool lane_pool_close(struct lane_pool *pool, uint64_t deadline_ns);

/* The lane's channel of that transport, made at the first call.  By a session's
 * thread, never on the I/O path. */
int lane_channel(struct lane_pool *pool, struct lane *lane,
		 const struct transport_ops *transport,
		 struct channel **channel, struct reason *why);

/* By the holder of the lane: takes the link to PEER for this request, if it is
 * up.  Taking it again is allowed. */
bool lane_link_hold(struct lane *lane, uint32_t peer);
/* Lets go of all links of the lane that are held. */
void lane_links_release(struct lane_pool *pool, struct lane *lane);

/* By the session's thread of PEER, on all lanes: */
void lane_links_up(struct lane_pool *pool, uint32_t peer);
void lane_links_break(struct lane_pool *pool, uint32_t peer);
bool lane_links_busy(const struct lane_pool *pool, uint32_t peer);
void lane_links_close(struct lane_pool *pool, uint32_t peer);

#endif
