/* A server: one memory server as the plugin sees it.
 *
 *   DOWN       --session opened, links built-------> UP
 *   UP         --a transfer failed-----------------> RECOVERING  (any thread)
 *   UP         --control connection failed---------> RECOVERING
 *   RECOVERING --fenced, or resumed; links rebuilt-> UP
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
 *
 * With a pool there are more of them than servers.  One without a server is
 * vacant: DOWN, with a thread that waits for a name (servers/roster.h).
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
#include "stream.h"
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

/* The kinds of servers: a memory server, with which a session runs, or the
 * local fallback. */
struct server_kind {
	/* The session's thread, with the server. */
	void *(*run)(void *server);
	/* A last resort gets a slab only where no other server takes the slab,
	 * gives the slab back once another server can take it, and is the last
	 * server that a read asks. */
	bool last_resort;
};

/* The members are grouped by the rule for their use. */
struct server {
	/* Set by server_create, and constant from then on. */
	struct engine *engine;
	uint32_t index;
	const struct server_kind *kind;
	int wake_fd; /* eventfd: asks, RECOVERING, a name, or stopping */

	/* Constant while in_use is set, and changed under the lock.  Threads
	 * other than the session's ask server_text. */
	struct net_name name;
	struct net_text text; /* of name, for messages */

	/* Any thread reads these, without a lock. */
	struct {
		/* enum server_state; changed under the lock. */
		_Atomic int state;
		/* Else it is vacant.  Changed under the lock. */
		atomic_bool in_use;
		/* Else it becomes vacant once it is DOWN.  The roster writes
		 * this. */
		atomic_bool wanted;
		/* Not wanted, and to be DOWN once it holds no slab. */
		atomic_bool dismissed;
		/* Since when it is RECOVERING; 0: it is not.  Changed under the
		 * lock. */
		_Atomic uint64_t recovering_ns;
		/* The same while it may be back at any moment; 0 once the first
		 * attempt to recover it has failed. */
		_Atomic uint64_t may_return_ns;

		/* The session's thread writes the following members. */
		const struct transport_ops *_Atomic transport;
		_Atomic uint64_t free_bytes, total_bytes; /* last reported */
		/* The zone for placement: a hash of its name, 0: none.  Two
		 * zones with the same hash count as one. */
		_Atomic uint32_t zone_id;
		_Atomic uint32_t grace_ms;    /* how long a session is kept */
		_Atomic uint64_t answered_ns; /* last answered; 0: never */
		_Atomic uint32_t sessions;    /* opened, ever */
		_Atomic uint32_t recoveries;  /* RECOVERING to UP, ever */
		_Atomic uint32_t slabs;	      /* that it holds */

		/* The part of its machine's processors that the server takes,
		 * as its pool tells; 0: unknown.  The pool's thread writes it.
		 */
		_Atomic uint32_t load_permille;

		/* Any thread writes the following members. */
		/* How many slabs the server asks to be given back
		 * (WIRE_RELEASE_ALL: all). */
		_Atomic uint32_t release_slabs;
		_Atomic uint64_t wrong_chunks; /* read, by checksum */
		/* How long its READs take, and how much that differs: smoothed
		 * as TCP's round trip times (RFC 6298).  Written without a
		 * lock: a lost update does no harm. */
		_Atomic uint64_t usual_ns, deviation_ns;
		atomic_bool stopping;
	} shared;

	/* The lock guards these, and every change of state.  It is a leaf. */
	pthread_mutex_t lock;
	struct {
		pthread_cond_t changed;
		struct slab_shard *asks; /* ASKED, first in, first out */
		struct slab_shard **asks_end;
		struct given_back *given_back; /* [max_given_back] */
		uint64_t n_given_back, max_given_back;
		/* Why it left UP last.  Stays the same until it is UP again, so
		 * the session's thread reads it without the lock. */
		struct error recovering_error;
		struct error first_error; /* why the first open failed */
		int first_status;
		bool first_over; /* the first open succeeded or failed */
		/* The control connection; its fd is -1 without one.  Only the
		 * session's thread changes it, and so reads it without the
		 * lock. */
		struct stream control;
		/* Of the session's server, as it named itself.  "": none. */
		char zone[WIRE_ZONE_BYTES];
		uint8_t incarnation[WIRE_INCARNATION_BYTES];
		/* Of its links.  The device is "" where they have none. */
		struct link_path path;
	} locked;

	/* Only the session's thread uses these. */
	struct {
		struct net_addrs addrs; /* of the name, when it was opened */
		struct net_addr addr;	/* of addrs, the session's */
		uint16_t rdma_port;
		uint64_t number;
		uint8_t token[WIRE_TOKEN_BYTES]; /* resumes it, the newest */
		/* When the connection was lost; 0: it is there. */
		uint64_t lost_ns;
		struct link_group *links;
		/* session_detour.c: what its slabs were opened for, and what
		 * takes its place for a while, or NULL. */
		const struct transport_ops *own, *detour;
		uint64_t return_ns, return_after_ns;
		uint32_t next_cookie;
		/* The label of an ALLOC whose answer did not come: the server
		 * may have a slab for this label that no shard has.
		 * SERVER_NO_LABEL: none. */
		uint64_t orphan_label;
		/* A FREE that was sent and not answered.  It is repeated before
		 * anything else: after a later ALLOC the slab's number may
		 * belong to a new slab, which the repeated FREE would free. */
		struct given_back unsure_free;
		bool has_unsure_free;
		bool complained; /* of not reaching it, since it is DOWN */
		/* For log lines about this server.  A server that comes and
		 * goes must not use up the log's limit for other servers. */
		struct log_limit lines;
	} session;

	/* Only the repair thread uses these. */
	struct {
		uint32_t moving; /* its slabs that are being moved */
		/* How many are to be moved because others are emptier. */
		uint32_t unload_slabs;
		bool unloads_in_vain; /* none of these could be moved */
		/* The slabs that are to be moved away, and their pages. */
		uint64_t leaving_slabs, leaving_pages;
		bool told_recovering; /* said so since it is RECOVERING */
	} repair;

	/* Only the thread that starts and stops the session uses these. */
	struct {
		pthread_t thread;
		bool has_thread;
	} starter;
};

/* NAME is NULL for one that is vacant. */
int server_create(struct server *server, struct engine *engine, uint32_t index,
		  const struct server_kind *kind, const struct net_name *name,
		  struct error *why);
void server_destroy(struct server *server);
/* Its table.  All servers of an engine have one of the same size. */
uint64_t server_memory_bytes(const struct server *server);

static inline enum server_state server_state(const struct server *server)
{
	return (enum server_state)atomic_load(&server->shared.state);
}

static inline bool server_is_last_resort(const struct server *server)
{
	return server->kind->last_resort;
}

static inline bool server_in_use(const struct server *server)
{
	return atomic_load(&server->shared.in_use);
}

/* What it is called; "" if it is vacant.  Any thread. */
struct net_text server_text(struct server *server);

const char *server_state_name(enum server_state state);

/* Notes which server answered: its zone (WELCOME's, "": none) and its
 * incarnation.  The session's thread, while DOWN. */
void server_set_identity(struct server *server, const char *zone,
			 const uint8_t *incarnation);

/* There is no session with it any more.  The session's thread. */
void server_forget_identity(struct server *server);

/* From UP to RECOVERING, with a log line; without effect in any other state.
 * Any thread; the caller holds a link to the server, or is its session. */
void server_break(struct server *server, const char *why);

/* The server will not be back in a moment: the first attempt to recover it has
 * failed, or it broke because it did not answer at all.  Any thread. */
void server_stays_away(struct server *server);

/* Whether the server has been RECOVERING for at least NS. */
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

/* Records how many slabs the server asks to be given back, and wakes the
 * repairer where the number has changed. */
void server_set_release(struct server *server, uint32_t slabs);

/* Wakes the session's thread, which checks for work.  Any thread. */
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
/* Forgets the slabs that were given back, because they ended with the session.
 */
void server_forget_given_back(struct server *server);

#endif
