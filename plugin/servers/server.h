/* A server: one memory server as the plugin sees it.
 *
 *   DOWN       --session opened, lanes built-------> UP
 *   UP         --a transfer failed-----------------> RECOVERING  (any thread)
 *   UP         --control connection failed---------> RECOVERING
 *   RECOVERING --fenced, or resumed; lanes rebuilt-> UP
 *   RECOVERING --lost------------------------------> DOWN
 *
 * RECOVERING: requests to this server wait, within their own deadlines.  The
 * session's thread aborts all links, waits until no request uses one, has the
 * server fence them (WIRE_FENCE: no byte that was sent on them reaches a slab
 * any more), and builds new links.  Then the requests are repeated.  Without
 * the fence a repeated WRITE could be overtaken by its own first copy.  Nor is
 * a slab freed meanwhile: the server might grant it again before the last WRITE
 * to it has arrived.
 *
 * Where the control connection has failed too, the thread connects again, with
 * growing pauses, and resumes the session (WIRE_RESUME, which implies the
 * fence).  Both may fail and be begun again any number of times.  The session
 * is lost
 *   - when the server has another incarnation or does not know the session;
 *   - when the server was not reached for its grace time and 5 seconds;
 *   - or for the request timeout, where it holds no slab of this plugin.
 *
 * DOWN: what the server held is lost, because its slabs end with the session.
 * Before the server is DOWN, the session's thread forgets each shard that the
 * server held, while the shard's slab is CLOSING.  Pages that too few other
 * shards hold become LOST.  A slab without any shard becomes UNMAPPED, free for
 * new writes.
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

/* A slab to be freed: the server's number of the slab, and the label by which
 * the session asked for it. */
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
	/* When it became RECOVERING last.  0 once it is known that it will not
	 * be back at once. */
	_Atomic uint64_t broken_ns;
	_Atomic uint64_t
		away_ns; /* since when it is RECOVERING; 0: it is not */
	_Atomic uint64_t free_bytes, total_bytes; /* as last reported */
	_Atomic uint32_t slabs;			  /* that it holds */
	bool local; /* the fallback: a file of this machine */
	/* How many slabs the server asks to be given back (WIRE_RELEASE_ALL:
	 * all). */
	_Atomic uint32_t release_slabs;
	uint32_t moving; /* the repairer's: its slabs being moved */
	bool told_away;	 /* the repairer's: said so since it broke */
	_Atomic uint64_t wrong_chunks; /* read from it, by checksum */
	/* How long its READs take, and how much that differs: smoothed as TCP's
	 * round trip times (RFC 6298).  Any request writes them without a lock:
	 * a lost update does no harm. */
	_Atomic uint64_t usual_ns, deviation_ns;
	_Atomic uint32_t sessions;   /* opened, ever */
	_Atomic uint32_t recoveries; /* RECOVERING to UP, ever */
	const struct transport_ops *_Atomic transport; /* of the session */

	/* When it last answered on the control connection; 0: never. */
	_Atomic uint64_t answered_ns;

	/* Guards asks, given_back, changes of state, and fd's lifetime.  It is
	 * a leaf. */
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
	/* The zone for placement, which reads it without the lock: a hash of
	 * the name, 0: none.  Two zones with the same hash count as one. */
	_Atomic uint32_t zone_id;

	int wake_fd; /* eventfd: asks, RECOVERING or stopping */
	atomic_bool stopping;
	pthread_t thread;
	bool has_thread;

	/* For the session's thread only. */
	uint8_t incarnation[WIRE_INCARNATION_BYTES];
	struct net_addrs addrs; /* of the name, when the session was opened */
	struct net_addr addr;	/* of addrs, the session's */
	uint16_t rdma_port;
	uint64_t session;
	uint8_t token[WIRE_TOKEN_BYTES]; /* resumes it */
	_Atomic uint32_t grace_ms;	 /* for how long the session is kept */
	uint64_t lost_ns; /* when the connection was lost; 0: it is there */
	struct link_group *links;
	uint32_t next_cookie;
	/* The label of an ALLOC whose answer did not come: the server may have
	 * a slab for this label that no shard has.  SERVER_NO_LABEL: none. */
	uint64_t orphan_label;
	/* A FREE that was sent and not answered.  It is repeated before
	 * anything else: after a later ALLOC the slab's number may belong to a
	 * new slab, which the repeated FREE would free. */
	struct given_back unsure_free;
	bool has_unsure_free;
	bool complained; /* of not reaching it, since it is DOWN */
	/* For log lines about this server.  A server that comes and goes must
	 * not use up the log's limit for other servers. */
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

/* The zone as the server names it; "": none.  The session's thread, while
 * DOWN. */
void server_set_zone(struct server *server, const char *zone);

/* From UP to RECOVERING, with a log line; without effect in any other state.
 * Any thread; the caller holds a link to the server, or is its session. */
void server_break(struct server *server, const char *why);

/* The server will not be back in a moment: the first attempt to recover it has
 * failed, or it broke because it did not answer at all.  Any thread. */
void server_stays_away(struct server *server);

/* Whether the server has been RECOVERING for NS or longer. */
bool server_is_away(const struct server *server, uint64_t ns);

/* Waits while the server is RECOVERING and may be back at any moment, until
 * UNTIL_NS. */
void server_wait_return(struct server *server, uint64_t until_ns);

/* Waits while the server is RECOVERING.  0 or -ETIMEDOUT. */
int server_wait(struct server *server, uint64_t deadline_ns);

/* Asks the session to allocate SHARD (ASKED), and returns at once: the session
 * calls placement_answer.  False where the server is DOWN. */
bool server_ask_shard(struct server *server, struct slab_shard *shard);

/* Has the session free the server's slab of that number, which was asked for by
 * LABEL and which no request uses any more.  Any thread. */
void server_give_back(struct server *server, uint32_t slab, uint64_t label);

/* A READ from this server took NS; or at least NS, because another server was
 * faster.  Any thread. */
void server_took(struct server *server, uint64_t ns);
void server_took_at_least(struct server *server, uint64_t ns);

/* After what time a READ from the server is unusually late. */
uint64_t server_patience_ns(const struct server *server);

/* Notes how many slabs the server asks back, and wakes the repairer where the
 * number has changed. */
void server_set_release(struct server *server, uint32_t slabs);

/* Has the session's thread check what there is to do.  Any thread. */
void server_wake(struct server *server);

/* For the session's thread: sets the state and wakes the threads that wait for
 * a change. */
void server_set_state(struct server *server, enum server_state state);
/* server_next_ask takes the shard that was asked for first, or NULL.
 * server_ask_again puts the shard back as the first. */
struct slab_shard *server_next_ask(struct server *server);
void server_ask_again(struct server *server, struct slab_shard *shard);
/* Takes a slab that was given back: any slab, or the slab of LABEL.  False
 * where there is none. */
bool server_next_given_back(struct server *server, struct given_back *given);
bool server_given_back_by_label(struct server *server, uint64_t label,
				struct given_back *given);
/* Forgets the slabs that were given back: the session is gone, and they with
 * it. */
void server_forget_given_back(struct server *server);

#endif
