/* A peer: one memory server as the plugin sees it.
 *
 *   DOWN --session opened, lanes built--> UP
 *   UP   --a transfer failed-----------> BROKEN    (any thread)
 *   UP   --control connection failed---> BROKEN    (its session's thread)
 *   BROKEN --fenced, or resumed; lanes rebuilt--> UP
 *   BROKEN --lost----------------------> DOWN
 *
 * BROKEN: requests to this server wait, within their own deadlines.  The
 * session's thread aborts all links, waits until no request uses one, has the
 * server fence them (WIRE_FENCE: no byte that was sent on one reaches a slab
 * any more), and builds new ones; then the requests are repeated.  Without the
 * fence a repeated WRITE could be overtaken by its own first copy.
 *
 * Where the control connection has failed too, the thread connects again, with
 * growing pauses, and takes the session up (WIRE_RESUME, which implies the
 * fence).  Both may fail and be begun again any number of times.  It is lost
 *   - when the server has another incarnation or does not know the session;
 *   - when the server was not reached for its grace time and 5 seconds;
 *   - or for the request timeout, where it holds no slab of this plugin.
 *
 * DOWN: what the server held is lost (its session's slabs go with the session).
 * Before this state is entered every slab of the peer is CLOSING, so that no
 * request waits for it here; then its present pages become LOST and the slabs
 * UNMAPPED, free for new writes.
 *
 * Only the session's thread leaves DOWN and BROKEN.
 */
#ifndef RSWAP_PEER_H
#define RSWAP_PEER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "net.h"
#include "reason.h"
#include "transport.h"

struct engine;
struct slab;

enum peer_state { PEER_DOWN, PEER_BROKEN, PEER_UP };

struct peer {
	struct engine *engine;
	uint32_t index;
	struct net_name name;
	struct net_text text; /* of name, for messages */

	_Atomic int state; /* enum peer_state; changed under lock */
	_Atomic uint64_t free_bytes, total_bytes; /* as the server last told */
	_Atomic uint32_t slabs;			  /* held there */
	_Atomic uint32_t sessions;		  /* opened, ever */
	_Atomic uint32_t recoveries;		  /* BROKEN to UP, ever */
	/* How many slabs the server asks to be given back (WIRE_RELEASE_ALL:
	 * all); it counts them down itself. */
	_Atomic uint32_t release_slabs;
	const struct transport_ops *_Atomic transport; /* of the session */

	/* Guards asks, changes of state, and fd's lifetime; a leaf. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct slab *asks; /* ALLOCATING, first in, first out */
	struct slab **asks_end;
	struct reason broken_why;
	struct reason first_why; /* why the first open failed */
	int first_status;
	bool first_over;	    /* the first open succeeded or failed */
	int fd;			    /* the control connection, or -1 */
	char zone[WIRE_ZONE_BYTES]; /* of the session's server; under lock */

	int wake_fd; /* eventfd: asks, BROKEN or stopping */
	atomic_bool stopping;
	pthread_t thread;
	bool has_thread;

	/* The session's thread's own. */
	uint8_t incarnation[WIRE_INCARNATION_BYTES];
	struct net_addr addr;
	uint16_t rdma_port;
	uint64_t session;
	uint8_t token[WIRE_TOKEN_BYTES]; /* resumes it */
	uint32_t grace_ms;
	uint64_t lost_ns; /* since when there is no connection; 0: there is */
	struct link_group *links;
	uint32_t next_cookie;
	bool complained; /* of not reaching it, since it went down */
};

int peer_create(struct peer *peer, struct engine *engine, uint32_t index,
		const struct net_name *name, struct reason *why);
void peer_destroy(struct peer *peer);

static inline enum peer_state peer_state(const struct peer *peer)
{
	return (enum peer_state)atomic_load(&peer->state);
}

const char *peer_state_name(enum peer_state state);

/* From UP to BROKEN, with a log line; without effect in any other state.  Any
 * thread; the caller holds a link to the peer, or is its session. */
void peer_break(struct peer *peer, const char *why);

/* Waits while the peer is BROKEN.  0 or -ETIMEDOUT. */
int peer_wait(struct peer *peer, uint64_t deadline_ns);

/* Asks the session to allocate SLAB (ALLOCATING), and returns at once: the
 * session makes it LIVE, or UNMAPPED where the server has no room or
 * goes.  False where the peer is DOWN. */
bool peer_ask_slab(struct peer *peer, struct slab *slab);

/* Notes what the server asks for, and wakes the session's thread where that is
 * something else than before. */
void peer_set_release(struct peer *peer, uint32_t slabs);

/* Has the session's thread look at what there is to do.  Any thread. */
void peer_wake(struct peer *peer);

/* For the session's thread: sets the state and wakes who waits for it. */
void peer_set_state(struct peer *peer, enum peer_state state);
/* Takes the slab that was asked for first, or NULL. */
struct slab *peer_next_ask(struct peer *peer);

#endif
