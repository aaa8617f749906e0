/* The session with one memory server: the control connection and the thread
 * that runs it.  All of this is off the I/O path.
 *
 *   session.c       the thread: open, serve, heal, lose
 *   session_open.c  connecting, HELLO to OPENED or RESUMED, building lanes
 *   session_call.c  a question and its answer; RELEASE in between
 *   session_slab.c  the slabs that the peer holds: allocate, free, lose
 *   session_local.c the thread of the local fallback, which is no server
 */
#ifndef RSWAP_SESSION_H
#define RSWAP_SESSION_H

#include "engine.h"
#include "server.h"

/* Starts the thread.  0 or a negative errno. */
int session_start(struct peer *peer, struct reason *why);
/* Waits until the first attempt to open the session is over: 0 when the peer is
 * UP, -ETIMEDOUT, or the errno that WHY tells of. */
int session_wait_first(struct peer *peer, uint64_t deadline_ns,
		       struct reason *why);
/* Has the session end, and returns at once. */
void session_ask_to_stop(struct peer *peer);
/* Says BYE, closes all links and ends the thread, within a few seconds. */
void session_stop(struct peer *peer);

/* Asks the server of NAME for its WELCOME, and leaves. */
int session_probe(const struct net_name *name, uint64_t deadline_ns,
		  struct wire_welcome *welcome, struct reason *why);

/* Whether a server that told WELCOME can serve TRANSPORT (NULL: any) from this
 * machine. */
bool session_can_use(const struct wire_welcome *welcome,
		     const struct transport_ops *transport, struct reason *why);

/* --- between the files named above; the session's thread only --- */

void *session_local_main(void *peer);

/* Sleeps until woken, FD (if any) is readable, or DEADLINE_NS. True when FD is
 * readable. */
bool session_nap(struct peer *peer, int fd, uint64_t deadline_ns);
/* Tells session_wait_first how the first attempt to open went. */
void session_report_first(struct peer *peer, int rc, const struct reason *why);
/* From UP or BROKEN to DOWN; how many pages were lost. */
int64_t session_go_down(struct peer *peer, const char *why);

/* When a call that begins now has to be over: a part of the request timeout. */
uint64_t session_call_deadline(const struct peer *peer);

/* Both of the following. */
typedef int session_caller(struct peer *peer, struct wire_message *request,
			   uint16_t reply_type, struct wire_message *reply,
			   struct reason *why);

/* A call on the control connection.  0; -EREMOTEIO: the server answered ERROR,
 * which REPLY has; else the connection failed, and is closed. */
int session_try_call(struct peer *peer, struct wire_message *request,
		     uint16_t reply_type, struct wire_message *reply,
		     struct reason *why);
/* The same; where the connection fails the session is healed, and the question
 * asked again, so that another failure than -EREMOTEIO means that the session
 * is lost or to stop.  May take the whole grace time.  ALLOC and FREE stand
 * being asked twice.  The caller holds no link to this peer: healing waits for
 * all. */
int session_call(struct peer *peer, struct wire_message *request,
		 uint16_t reply_type, struct wire_message *reply,
		 struct reason *why);
/* From BROKEN to UP: fenced, or resumed over a new control connection, and
 * lanes rebuilt.  On failure the session is lost (-ESTALE, -ETIMEDOUT) or to
 * stop
 * (-ECANCELED). */
int session_heal(struct peer *peer, struct reason *why);
/* The control connection failed: closes it. */
void session_drop(struct peer *peer);
/* Whether M is a RELEASE; it is noted then. */
bool session_take_release(struct peer *peer, const struct wire_message *m);

/* Connects, opens a session, builds all lanes.  On failure nothing is left. */
int session_open(struct peer *peer, struct reason *why);
/* Connects and takes the session up again.  -ESTALE: it is not there any more.
 */
int session_resume(struct peer *peer, struct reason *why);
/* Builds all lanes anew; none is left on failure. */
int session_build_lanes(struct peer *peer, struct reason *why);
/* Aborts and closes all links, once no request uses one any more. */
void session_close_lanes(struct peer *peer);
/* Closes the control connection. */
void session_close(struct peer *peer);
/* Says BYE before. */
void session_bye(struct peer *peer);

/* How long from one PING to the next: less while the server has no room. */
uint64_t session_ping_every_ns(const struct peer *peer);

/* Allocates what was asked for, and frees what was given back.  A negative
 * errno where the connection failed; what was asked for still is then. */
int session_alloc_slabs(struct peer *peer, struct reason *why);
/* Whether a slab that is asked of this peer may go elsewhere. */
bool session_may_refuse(const struct peer *peer);
/* Refuses everything that was asked for. */
void session_refuse_slabs(struct peer *peer);
/* Forgets all parts of slabs that this peer held.  Pages that too few other
 * parts hold become LOST, and slabs without any part UNMAPPED; how many pages
 * that were.  All links to the peer are closed. */
int64_t session_lose_slabs(struct peer *peer);

#endif
