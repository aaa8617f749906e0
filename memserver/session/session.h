/* Sessions: which client is connected, and which slabs and links it has.
 *
 * Threads, and what each owns:
 *
 *   main loop          listeners, control connections, sessions, the slots and
 *                      tokens of their links, rdma_cm events, status
 *   data threads       a TCP link's socket and buffers, from its start until
 *                      the main loop hears that the link is gone
 *   preparing thread   a slab that has no owner (slab.h), registration
 *   teardown thread    a queue pair that is being destroyed
 *   status thread      the control socket
 *
 * So one thread touches a session, and a session has no lock.  A data thread
 * knows only the key of its session.  It asks the slab itself, with one atomic
 * operation, whether the slab belongs to that key (slab_hold): so ALLOC and
 * FREE on the main loop need no other coordination with it.
 *
 * Locks, each a leaf, never two at a time: mailbox.lock, workq.lock,
 * slab_pool.lock, the line limiter's in output.c.
 *
 * A session's states:
 *
 *   OPEN ----control connection lost----> DISCONNECTED
 *   DISCONNECTED or OPEN ----RESUME-----> RESUMING
 *   RESUMING ----all links gone---------> OPEN, told by RESUMED
 *   RESUMING ----connection lost--------> DISCONNECTED
 *   DISCONNECTED ----grace time over----> ENDING
 *   OPEN, RESUMING ----BYE--------------> ENDING
 *
 * A control connection is also lost when it sends bytes that are no message, or
 * a message out of place: the server closes the connection, and the session
 * waits.  When the control connection is lost, the server closes all links, as
 * no FENCE could close them; the slabs stay.  A RESUME also takes a session
 * over from a connection that seems alive: the client knows better.  Only the
 * identity that opened a session may resume it.
 *
 * How a session ends: the server closes every link.  When the last link is
 * gone, the slabs go back, some in each turn of the main loop.  When the last
 * slab is back and the last grant under way has come in, the session is freed.
 */
#ifndef RSWAP_SESSION_H
#define RSWAP_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "accounts.h"
#include "grants/grant.h"
#include "net.h"
#include "output/peername.h"
#include "resumption.h"
#include "wire.h"

struct session;

TAILQ_HEAD(session_list, session);

/* Whether clients are asked for all of their slabs (release.h). */
enum release_drain {
	RELEASE_SERVING,
	RELEASE_DRAINING, /* until that is undone */
	RELEASE_LEAVING,  /* and then the server ends */
};

/* What all sessions share. */
struct sessions {
	struct ev_loop *loop;
	struct grants *grants;
	struct links *links;
	struct session_list list; /* also those that are ending */
	struct accounts accounts; /* what they may have */
	unsigned count;
	unsigned grace_s; /* a session outlives its connection for so long */
	uint32_t last_key;
	bool stopping; /* a session that loses its connection ends */

	enum release_drain drain;
	uint64_t drain_since_ns; /* while it drains */
	uint32_t drain_slabs;	 /* that sessions had then */
	bool pressed;		 /* this machine is short of memory */

	/* A session is gone.  NULL: not called. */
	void (*gone)(struct sessions *sessions);
};

enum session_state {
	SESSION_OPEN,
	SESSION_RESUMING,
	SESSION_DISCONNECTED,
	SESSION_ENDING,
};

struct session {
	struct sessions *sessions;
	TAILQ_ENTRY(session) entry;
	enum session_state state;
	uint64_t since_ns; /* in this state */
	struct resumption resumption;
	ev_timer grace; /* while DISCONNECTED */
	char name[WIRE_NAME_BYTES];
	struct peer_name peer;
	struct net_addr addr; /* of the connection that opened or resumed it */

	struct client_account *client_account;

	struct owner owner; /* slabs, the client, the session's key */
	struct link_set links;
	uint32_t fence_cookie; /* of the FENCE or RESUME under way */

	/* What the client is asked to give back: release.h */
	uint32_t release_slabs;
	uint32_t release_reason;
};

/* All on the main loop.  Functions that return a code return 0 or an enum
 * wire_error_code. */

/* Fills in SESSIONS, and makes the links find their session.  Its limits are
 * the caller's to set: sessions->accounts. */
void sessions_init(struct sessions *sessions, struct links *links,
		   struct grants *grants, struct ev_loop *loop);

/* NULL, *CODE and WHY, which names the limit, when a limit is reached or memory
 * is short.  Disconnected sessions that hold nothing give way to a new one:
 * those of its own client and tenant first, and others only where the server
 * has no session left. */
struct session *session_open(struct sessions *sessions, struct client *client,
			     const char *name, const struct peer_name *peer,
			     const struct wire_open *open, uint32_t *code,
			     struct error *why);

/* The client said BYE, or the server gives the session up. */
void session_end(struct session *session, const char *why);
/* The control connection is gone: the session waits for RESUME, or ends when
 * the grace time is 0 or the server is stopping. */
void session_lost(struct session *session, const char *why);
/* Ends the sessions that have no control connection. */
void session_end_disconnected(struct sessions *sessions, const char *why);

/* Resumes a session, and replies RESUMED when all its links are gone.  A
 * control connection that the session still has is abandoned.  NULL when no
 * session of the client's identity has that key and token, and WHY, which is
 * for the log: it tells of sessions that are not the client's.  The token is
 * used up; RESUMED tells the next (resumption.h). */
struct session *session_resume(struct sessions *sessions, struct client *client,
			       const struct peer_name *peer,
			       const struct wire_resume *resume,
			       uint32_t cookie, struct error *why);

/* The session's client sent a message, which is neither OPEN nor RESUME. */
void session_heard(struct session *session);

/* Closes all links and replies FENCED when they are gone. */
uint32_t session_fence(struct session *session, uint32_t cookie);

/* Takes slab NUMBER from the session: FREE. */
uint32_t session_free_slab(struct session *session, uint32_t number);

#endif
