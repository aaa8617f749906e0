/* The session with one memory server: the control connection and the thread
 * that runs it.  All of this is off the I/O path.
 *
 *   session.c       the thread: open, serve, heal, lose
 *   session_open.c  connecting, HELLO to OPENED or RESUMED, building lanes
 *   session_call.c  a question and its answer; RELEASE in between
 *   session_slab.c  the slabs that the server holds: allocate, free, lose
 *   session_local.c the thread of the local fallback, which is no server
 */
#ifndef RSWAP_SESSION_H
#define RSWAP_SESSION_H

#include "engine.h"
#include "server.h"

/* Starts the thread.  0 or a negative errno. */
int session_start(struct server *server, struct error *why);
/* Waits until the first attempt to open the session is over: 0 when the server
 * is UP, -ETIMEDOUT, or the errno that WHY tells of. */
int session_wait_first(struct server *server, uint64_t deadline_ns,
		       struct error *why);
/* Has the session end, and returns at once. */
void session_ask_to_stop(struct server *server);
/* Says BYE, closes all links and ends the thread, within a few seconds. */
void session_stop(struct server *server);

/* Asks the server of NAME for its WELCOME, and leaves. */
int session_probe(const struct net_name *name, uint64_t deadline_ns,
		  struct wire_welcome *welcome, struct error *why);

/* Whether a server that told WELCOME can serve TRANSPORT (NULL: any) from this
 * machine. */
bool session_can_use(const struct wire_welcome *welcome,
		     const struct transport_ops *transport, struct error *why);

/* --- between the files named above; the session's thread only --- */

void *session_local_main(void *server);

/* Sleeps until woken, FD (if any) is readable, or DEADLINE_NS. True when FD is
 * readable. */
bool session_nap(struct server *server, int fd, uint64_t deadline_ns);
/* Tells session_wait_first how the first attempt to open went. */
void session_report_first(struct server *server, int rc,
			  const struct error *why);
/* From UP or RECOVERING to DOWN; how many pages were lost. */
int64_t session_go_down(struct server *server, const char *why);

/* When a call that begins now has to be over: a part of the request timeout. */
uint64_t session_call_deadline(const struct server *server);

/* Both of the following. */
typedef int session_caller(struct server *server, struct wire_message *request,
			   uint16_t reply_type, struct wire_message *reply,
			   struct error *why);

/* A call on the control connection.  0; -EREMOTEIO: the server answered ERROR,
 * which REPLY has; else the connection failed, and is closed. */
int session_call_once(struct server *server, struct wire_message *request,
		      uint16_t reply_type, struct wire_message *reply,
		      struct error *why);
/* The same; where the connection fails the session is healed, and the question
 * asked again, so that another failure than -EREMOTEIO means that the session
 * is lost or to stop.  May take the whole grace time.  ALLOC and FREE stand
 * being asked twice.  The caller holds no link to this server: healing waits
 * for all. */
int session_call(struct server *server, struct wire_message *request,
		 uint16_t reply_type, struct wire_message *reply,
		 struct error *why);
/* From RECOVERING to UP: fenced, or resumed over a new control connection, and
 * lanes rebuilt.  On failure the session is lost (-ESTALE, -ETIMEDOUT) or to
 * stop
 * (-ECANCELED). */
int session_heal(struct server *server, struct error *why);
/* The control connection failed: closes it. */
void session_drop(struct server *server);
/* Whether M is a RELEASE; it is noted then. */
bool session_take_release(struct server *server, const struct wire_message *m);

/* Connects, opens a session, builds all lanes.  On failure nothing is left. */
int session_open(struct server *server, struct error *why);
/* Connects and takes the session up again.  -ESTALE: it is not there any more.
 */
int session_resume(struct server *server, struct error *why);
/* Builds all lanes anew; none is left on failure. */
int session_build_lanes(struct server *server, struct error *why);
/* Aborts and closes all links, once no request uses one any more. */
void session_close_lanes(struct server *server);
/* Closes the control connection. */
void session_close(struct server *server);
/* Says BYE before. */
void session_bye(struct server *server);

/* How long from one PING to the next: less while the server has no room. */
uint64_t session_ping_every_ns(const struct server *server);

/* Allocates what was asked for, and frees what was given back.  A negative
 * errno where the connection failed; what was asked for still is then. */
int session_alloc_slabs(struct server *server, struct error *why);
/* Whether a slab that is asked of this server may go elsewhere. */
bool session_may_refuse(const struct server *server);
/* Refuses everything that was asked for. */
void session_refuse_slabs(struct server *server);
/* Forgets all shards of slabs that this server held.  Pages that too few other
 * shards hold become LOST, and slabs without any shard UNMAPPED; how many pages
 * that were.  All links to the server are closed. */
int64_t session_lose_slabs(struct server *server);

#endif
