/* A server: one memory server as the plugin sees it.
 *
 *   DOWN --session opened, lanes built--> UP
 *   UP   --a transfer failed-----------> RECOVERING    (any thread)
 *   UP   --control connection failed---> RECOVERING    (its session's thread)
 *   RECOVERING --fenced, or resumed; lanes rebuilt--> UP
 *   RECOVERING --lost----------------------> DOWN
 *
 * RECOVERING: requests to this server wait, within their own deadlines.  The
 * session's thread aborts all links, waits until no request uses one, has the
 * server fence them (WIRE_FENCE: no byte that was sent on one reaches a slab
 * any more), and builds new ones; then the requests are repeated.  Without the
 * fence a repeated WRITE could be overtaken by its own first copy.  Nor is a
 * slab freed meanwhile: it may be handed out again before the last WRITE to it
 * has arrived.
 *
 * Where the control connection has failed too, the thread connects again, with
 * growing pauses, and takes the session up (WIRE_RESUME, which implies the
 * fence).  Both may fail and be begun again any number of times.  It is lost
 *   - when the server has another incarnation or does not know the session;
 *   - when the server was not reached for its grace time and 5 seconds;
 *   - or for the request timeout, where it holds no slab of this plugin.
 *
 * DOWN: what the server held is lost (its session's slabs go with the session).
 * Before this state is entered every slab of the server is CLOSING, so that no
 * request waits for it here; then its present pages become LOST and the slabs
 * UNMAPPED, free for new writes.
 *
 * Only the session's thread leaves DOWN and RECOVERING.
 */
#ifndef RSWAP_SERVER_H
#define RSWAP_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "log.h"
#include "net.h"
#include "transport/transport.h"

struct engine;
struct slab_shard;

/* A slab that is to be freed: the server's number, and the label by which it
 * was asked for. */
struct given_back {
	uint32_t slab;
	uint32_t label; /* a number of the slab table */
};

enum server_state { SERVER_DOWN, SERVER_RECOVERING, SERVER_UP };

#define SERVER_NO_LABEL UINT64_MAX

struct server {
	struct engine *engine;
	uint32_t index;
	struct net_name name;
	struct net_text text; /* of name, for messages */

	_Atomic int state; /* enum server_state; changed under lock */
	/* When it became RECOVERING last; 0 once it was found not to be back at
	 * once. */
	_Atomic uint64_t broken_ns;
	_Atomic uint64_t
		away_ns; /* since when it is RECOVERING; 0: it is not */
	_Atomic uint64_t free_bytes, total_bytes; /* as the server last told */
	_Atomic uint32_t slabs;			  /* held there */
	bool local; /* the fallback: a file of this machine */
	/* How many slabs the server asks to be given back (WIRE_RELEASE_ALL:
	 * all). */
	_Atomic uint32_t release_slabs;
	uint32_t moving; /* the repairer's: of its slabs, under way */
	bool told_away;	 /* the repairer's: since it broke */
	_Atomic uint64_t wrong_chunks; /* read from there, by the checksum */
	/* How long its READs take, and how much they differ: smoothed as TCP's
	 * round trip times (RFC 6298).  Written by any request, without a lock:
	 * an update that is lost does no harm. */
	_Atomic uint64_t usual_ns, deviation_ns;
	_Atomic uint32_t sessions;   /* opened, ever */
	_Atomic uint32_t recoveries; /* RECOVERING to UP, ever */
	const struct transport_ops *_Atomic transport; /* of the session */

	/* On the control connection, last; 0: never. */
	_Atomic uint64_t answered_ns;

	/* Guards asks, given_back, changes of state, and fd's lifetime; a leaf.
	 */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct slab_shard *asks; /* ASKED, first in, first out */
	struct slab_shard **asks_end;
	struct given_back *given_back;
	uint64_t n_given_back, max_given_back;
	struct error broken_why;
	struct error first_why; /* why the first open failed */
	int first_status;
	bool first_over;	    /* the first open succeeded or failed */
	int fd;			    /* the control connection, or -1 */
	char zone[WIRE_ZONE_BYTES]; /* of the session's server; "": none;
				     * changes under lock, while DOWN */
	/* The same for who places slabs, without the lock: a hash of the name,
	 * 0: none.  Two zones that share one are taken for the same. */
	_Atomic uint32_t zone_id;

	int wake_fd; /* eventfd: asks, RECOVERING or stopping */
	atomic_bool stopping;
	pthread_t thread;
	bool has_thread;

	/* The session's thread's own. */
	uint8_t incarnation[WIRE_INCARNATION_BYTES];
	struct net_addrs addrs; /* of the name, when the session was opened */
	struct net_addr addr;	/* of these, the session's */
	uint16_t rdma_port;
	uint64_t session;
	uint8_t token[WIRE_TOKEN_BYTES]; /* resumes it */
	_Atomic uint32_t grace_ms;	 /* for how long the session is kept */
	uint64_t lost_ns; /* since when there is no connection; 0: there is */
	struct link_group *links;
	uint32_t next_cookie;
	/* The label of an ALLOC whose answer was not waited for: the server may
	 * have a slab for it that nobody knows.  SERVER_NO_LABEL: none. */
	uint64_t orphan_label;
	/* A FREE that was sent and not answered: the server may have handed the
	 * slab of that number out again, so nothing else is asked before. */
	struct given_back unsure_free;
	bool has_unsure_free;
	bool complained; /* of not reaching it, since it went down */
	/* Of lines about it, so that a server that comes and goes keeps none
	 * about another from the log. */
	struct log_limit lines;
};

int server_create(struct server *server, struct engine *engine, uint32_t index,
		  const struct net_name *name, struct error *why);
void server_destroy(struct server *server);

static inline enum server_state server_state(const struct server *server)
{
	return (enum server_state)atomic_load(&server->state);
}

const char *server_state_name(enum server_state state);

/* What its server calls its zone; "": none.  The session's thread, while
 * DOWN. */
void server_set_zone(struct server *server, const char *zone);

/* From UP to RECOVERING, with a log line; without effect in any other state.
 * Any thread; the caller holds a link to the server, or is its session. */
void server_break(struct server *server, const char *why);

/* It will not be back in a moment: the first attempt to get it back has failed,
 * or it broke by not answering at all.  Any thread. */
void server_stays_away(struct server *server);

/* Whether it has been RECOVERING for NS and longer. */
bool server_is_away(const struct server *server, uint64_t ns);

/* Waits while the server is RECOVERING and may be back at any moment, until
 * UNTIL_NS.
 */
void server_wait_return(struct server *server, uint64_t until_ns);

/* Waits while the server is RECOVERING.  0 or -ETIMEDOUT. */
int server_wait(struct server *server, uint64_t deadline_ns);

/* Asks the session to allocate SHARD (ASKED), and returns at once: the session
 * calls placement_answer.  False where the server is DOWN. */
bool server_ask_shard(struct server *server, struct slab_shard *shard);

/* Has the session free the server's slab of that number, which was asked for by
 * LABEL and which nobody uses any more.  Any thread. */
void server_give_back(struct server *server, uint32_t slab, uint64_t label);

/* A READ from this server took that long; or at least that long, as another
 * server was faster.  Any thread. */
void server_took(struct server *server, uint64_t ns);
void server_took_at_least(struct server *server, uint64_t ns);

/* After what time a READ from it is unusually late. */
uint64_t server_patience_ns(const struct server *server);

/* Notes what the server asks for, and pokes the repairer where that is
 * something else than before. */
void server_set_release(struct server *server, uint32_t slabs);

/* Has the session's thread look at what there is to do.  Any thread. */
void server_wake(struct server *server);

/* For the session's thread: sets the state and wakes who waits for it. */
void server_set_state(struct server *server, enum server_state state);
/* Takes the shard that was asked for first, or NULL; puts it back as the first.
 */
struct slab_shard *server_next_ask(struct server *server);
void server_ask_again(struct server *server, struct slab_shard *shard);
/* Takes a slab that was given back, any or that of LABEL: false where there is
 * none. */
bool server_next_given_back(struct server *server, struct given_back *given);
bool server_given_back_by_label(struct server *server, uint64_t label,
				struct given_back *given);
/* The session is gone, and these with it. */
void server_forget_given_back(struct server *server);

#endif
