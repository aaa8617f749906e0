/* Sessions: who is connected, which slabs and lanes are whose.
 *
 * Threads, and what each owns:
 *
 *   main loop          listeners, control connections, sessions, the slots and
 *                      tokens of their lanes, rdma_cm events, status
 *   data threads       a TCP lane's socket and buffers, from its start until it
 *                      tells the main loop that it is gone
 *   preparing thread   a slab between hand-outs (slab.h), registration
 *   teardown thread    a queue pair that is being destroyed
 *   status thread      its socket
 *
 * So a session is touched by one thread and has no lock.  A data thread knows
 * of its session only the key, and asks the slab itself, with one atomic
 * operation, whether it belongs to that key (slab_hold): ALLOC and FREE on the
 * main loop need no more coordination than that.
 *
 * Locks, each a leaf, never two at a time: mailbox.lock, workq.lock,
 * slab_pool.lock, the line limiter's in output.c.
 *
 * A session's states:
 *
 *   OPEN ----control connection lost----> DISCONNECTED
 *   DISCONNECTED or OPEN ----RESUME-----> RESUMING
 *   RESUMING ----all lanes gone---------> OPEN, told by RESUMED
 *   RESUMING ----connection lost--------> DISCONNECTED
 *   DISCONNECTED ----grace time over----> ENDING
 *   OPEN, RESUMING ----BYE--------------> ENDING
 *
 * A control connection is lost as well when what it carries is no message, or
 * is out of place: the server closes the connection, and the session waits.
 * When the control connection is lost, all lanes are told to close, as nobody
 * could fence them; the slabs stay.  RESUME takes over as well from a
 * connection that is thought alive: its client knows better.
 *
 * How a session ends: every lane is told to close; when the last one is gone
 * its slabs are disowned and go back; when also the last hand-out under way has
 * come in, the session is freed.
 */
#ifndef RSWAP_SESSION_H
#define RSWAP_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "list.h"
#include "net.h"
#include "slabs/slab.h"
#include "wire.h"

/* Lanes of one session: what a client has for 256 requests at a time, and some
 * for its own affairs. */
#define SESSION_MAX_LANES 264

struct control;
struct server;
struct session;
struct lane_domain; /* lane_rdma.h */

/* A lane as the session sees it; the transport embeds it in its own. */
struct lane {
	struct session *session;
	uint32_t number; /* its slot */
	bool closing;
	bool fenced; /* the FENCE under way waits for it */

	/* Begins to close the lane; called once.  session_lane_gone follows,
	 * later, when nothing of the lane will reach a slab any more. */
	void (*close)(struct lane *lane);
	/* Closes the lane by itself where it has held a freed slab for HELD_S
	 * (held.h).  NULL for a transport that holds none. */
	void (*drop_freed)(struct lane *lane);
};

enum session_state {
	SESSION_OPEN,
	SESSION_RESUMING,
	SESSION_DISCONNECTED,
	SESSION_ENDING,
};

enum slot_state { SLOT_FREE, SLOT_ISSUED, SLOT_JOINED };

struct lane_slot {
	enum slot_state state;
	uint8_t token[WIRE_TOKEN_BYTES];
	struct lane *lane;
};

struct session {
	struct server *server;
	struct list link; /* in server->sessions */
	enum session_state state;
	uint64_t since_ns;		 /* in this state */
	struct control *control;	 /* NULL while DISCONNECTED or ENDING */
	uint32_t connection;		 /* counts them: whose an answer is */
	uint32_t key;			 /* its id on the wire; never 0 */
	uint8_t token[WIRE_TOKEN_BYTES]; /* resumes it */
	ev_timer grace;			 /* while DISCONNECTED */
	char name[WIRE_NAME_BYTES];
	struct net_text peer;
	struct net_addr addr; /* of the connection that opened or resumed it */
	uint32_t transport;   /* one WIRE_TRANSPORT_ bit */
	uint64_t size_bytes;

	struct list slabs; /* slab.owned */
	uint32_t slab_count;
	struct list held; /* slab.owned: freed, and in use by a lane: held.h */
	uint32_t held_count;
	ev_timer held_timer;
	uint32_t grants;    /* hand-outs under way */
	struct list wanted; /* of these, those whose turn has not come */
	struct list turn;   /* in server->waiting while there are any */

	struct lane_slot slots[SESSION_MAX_LANES];
	uint32_t lane_count; /* joined, and not gone yet */
	uint32_t lanes_max;  /* as OPEN said */

	/* What it is asked to give back: release.h */
	uint32_t release_slabs;
	uint32_t release_reason;

	bool fencing; /* for FENCE, or RESUME */
	uint32_t fence_cookie;
	uint32_t fence_lanes; /* that the FENCE closed */
	uint32_t fence_left;

	/* RDMA */
	struct lane_domain *domain; /* NULL before the first lane */
	struct slab *spare;	    /* registered, not handed out: handout.h */
	bool spare_coming;
	ev_timer spare_limit;
};

/* All on the main loop.  Those that return a code return 0 or an enum
 * wire_error_code. */

/* NULL, and *CODE, where the limit is reached or memory is short. */
struct session *session_open(struct server *server, struct control *control,
			     const char *name, const struct net_text *peer,
			     const struct wire_open *open, uint32_t *code);

/* The control connection said BYE, or the session is given up. */
void session_end(struct session *session, const char *why);
/* The control connection is gone: the session waits for RESUME, or ends where
 * the grace time is 0 or the server is stopping. */
void session_lost(struct session *session, const char *why);
/* Ends those that have no control connection. */
void session_end_disconnected(struct server *server, const char *why);

/* Takes a session up, and replies RESUMED when all its lanes are gone.  A
 * control connection that it still has is let go (control_abandon).  NULL for a
 * session or token that is none. */
struct session *session_resume(struct server *server, struct control *control,
			       const struct net_text *peer,
			       const struct wire_resume *resume,
			       uint32_t cookie);

/* Whether a session's client is at that address, or was when its connection was
 * lost. */
bool session_is_at(const struct server *server, const struct net_addr *addr);

const char *session_state_name(enum session_state state);

/* Draws the token of one more lane. */
uint32_t session_token(struct session *session, struct wire_token *token);

/* Whose token that is.  Uses the token up: a slot of the session is the
 * caller's, to be given to session_lane_joined or session_slot_free.  NULL for
 * a token that joins nothing, or not over this TRANSPORT. */
struct session *session_admit(struct server *server,
			      const struct wire_join *join, uint32_t transport);
void session_lane_joined(struct session *session, uint32_t number,
			 struct lane *lane);
void session_slot_free(struct session *session, uint32_t number);

/* Begins to close LANE unless that has begun. */
void session_lane_close(struct lane *lane);

/* The last that a transport says of a lane; LANE is its own again. */
void session_lane_gone(struct lane *lane);

/* Closes all lanes and replies FENCED when they are gone. */
uint32_t session_fence(struct session *session, uint32_t cookie);

/* Gives one slab back. */
uint32_t session_free_slab(struct session *session, uint32_t number);

/* For a hand-out that has come in: session->grants went down. */
void session_settle(struct session *session);

/* NAME, as a peer sent it, fit for a log line and a status value. */
void session_clean_name(const char *name, char clean[WIRE_NAME_BYTES]);

#endif
