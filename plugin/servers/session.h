/* The session with one memory server: the control connection and the thread
 * that runs it.  All of this is off the I/O path.
 *
 *   session.c       the thread: open, serve, lose; its start and end
 *   session_local.c the thread of the local fallback, which is no server
 *   session_life.c  what both threads do at the beginning and at the end
 *   session_slab.c  the slabs that the server holds: allocate, free, lose
 *   session_heal.c  from RECOVERING to UP, and a call that heals and asks again
 *   session_detour.c  another transport, while the session's cannot connect
 *   session_open.c  connecting, HELLO to OPENED or RESUMED, building links
 *   session_call.c  a question and its answer; RELEASE in between
 *
 * Each file uses only the files below it in this list.
 */
#ifndef RSWAP_SESSION_H
#define RSWAP_SESSION_H

#include "core.h"
#include "server.h"

/* The kinds of server_create. */
extern const struct server_kind session_remote, session_fallback;

/* Starts the thread.  0 or a negative errno. */
int session_start(struct server *server, struct error *why);
/* Waits until the first attempt to open the session is over: 0 when the server
 * is UP, -ETIMEDOUT, or the errno that WHY tells of. */
int session_wait_first(struct server *server, uint64_t deadline_ns,
		       struct error *why);
/* Tells the session to end, and returns at once. */
void session_ask_to_stop(struct server *server);
/* All sessions say BYE and close all links, and their threads end.  False where
 * a thread has not ended after a few seconds: a name service, or the fallback's
 * disk, does not answer.  Such a thread uses ENGINE until the process ends. May
 * be called again. */
bool session_stop_all(struct engine *engine);

/* Asks the server of NAME for its WELCOME, at the first of its addresses where
 * this machine can use TRANSPORT (NULL: any), with TLS (NULL: without), and
 * closes the connection. */
int session_probe(const struct net_name *name,
		  const struct transport_ops *transport,
		  const struct tls_context *tls, uint64_t deadline_ns,
		  struct wire_welcome *welcome, struct error *why);

/* Whether this machine can use TRANSPORT (NULL: any) with a server that sent
 * WELCOME. */
bool session_can_use(const struct wire_welcome *welcome,
		     const struct transport_ops *transport, struct error *why);

/* Heap that the links to a server take when they are built anew: what the links
 * before them had may be in use for something else.  Any thread. */
size_t session_links_bytes(const struct engine_config *config);

/* --- between the files named above; the session's thread only --- */

/* Sleeps until woken, STREAM (NULL: none) is readable, or DEADLINE_NS.  True
 * when STREAM is readable. */
bool session_nap(struct server *server, const struct stream *stream,
		 uint64_t deadline_ns);
/* Tells session_wait_first how the first attempt to open went. */
void session_report_first(struct server *server, int rc,
			  const struct error *why);
/* From UP or RECOVERING to DOWN; how many pages were lost. */
int64_t session_go_down(struct server *server, const char *why);

/* The pause after the first failed attempt to reach a server; it doubles. */
#define SESSION_BACKOFF_NS (250 * NS_PER_MS)

/* When a call that begins now has to be over: a part of the request timeout. */
uint64_t session_call_deadline(const struct server *server);

/* The type of session_call_once and session_call. */
typedef int session_caller(struct server *server, struct wire_message *request,
			   uint16_t reply_type, struct wire_message *reply,
			   struct error *why);

/* Sends REQUEST on the control connection and waits for REPLY.  0; -EREMOTEIO:
 * the server answered ERROR, which is in REPLY; any other errno: the connection
 * failed, and is closed. */
int session_call_once(struct server *server, struct wire_message *request,
		      uint16_t reply_type, struct wire_message *reply,
		      struct error *why);
/* The same, but where the connection fails the session is healed and REQUEST is
 * sent again.  So an errno other than -EREMOTEIO means that the session is
 * lost, or has to stop.  May take the whole grace time.  ALLOC and FREE may be
 * sent twice.  The caller holds no link to this server, because healing waits
 * until all links are let go. */
int session_call(struct server *server, struct wire_message *request,
		 uint16_t reply_type, struct wire_message *reply,
		 struct error *why);
/* Asks for the server's free and total bytes, and for how many slabs it wants
 * back.  CALL is session_call or session_call_once. */
int session_ask_figures(struct server *server, session_caller *call,
			struct error *why);
/* From RECOVERING to UP: fenced, or resumed over a new control connection, and
 * links rebuilt.  On failure the session is lost (-ESTALE, -ETIMEDOUT) or has
 * to stop (-ECANCELED). */
int session_heal(struct server *server, struct error *why);
/* The control connection failed: closes it. */
void session_drop(struct server *server);
/* Whether M is a RELEASE.  Notes the RELEASE. */
bool session_take_release(struct server *server, const struct wire_message *m);

/* Connects, opens a session, builds all links.  On failure nothing is left. */
int session_open(struct server *server, struct error *why);
/* Connects and resumes the session.  -ESTALE: the server has it no more. */
int session_resume(struct server *server, struct error *why);
/* Builds the links of all lanes anew.  On failure no link is left. */
int session_build_links(struct server *server, struct error *why);
/* Aborts all links, and closes them once no request uses them. */
void session_close_links(struct server *server);
/* Closes the control connection. */
void session_close(struct server *server);
/* Says BYE, and closes the control connection. */
void session_bye(struct server *server);

/* Notes that the session that is opened with a server that sent WELCOME has OWN
 * as its transport, and which other one its links may take. */
void session_detour_find(struct server *server,
			 const struct wire_welcome *welcome,
			 const struct transport_ops *own);
/* Allocates what the detour needs of the lanes. */
int session_detour_prepare(struct server *server, struct error *why);
/* How many connections (tokens) the links need, whichever way they go. */
uint32_t session_connections(const struct server *server);
/* Links cannot be built: the next attempt goes the other way, if there is one.
 */
void session_detour_turn(struct server *server);
/* Whether it is time to try the session's own transport again.  If so it is
 * set, and the links are to be built anew; WHY tells it. */
bool session_detour_ends(struct server *server, struct error *why);

/* How long from one PING to the next: less while the server has no room. */
uint64_t session_ping_every_ns(const struct server *server);

/* Allocates the slabs that were asked for, and frees the slabs that were given
 * back.  A negative errno where the connection failed; then the other slabs
 * stay queued. */
int session_alloc_slabs(struct server *server, struct error *why);
/* Whether another server may take the slabs that are asked of this server. */
bool session_may_refuse(const struct server *server);
/* Refuses all slabs that were asked for. */
void session_refuse_slabs(struct server *server);
/* Forgets all shards of slabs that this server held.  Pages that too few other
 * shards hold become LOST, and slabs without any shard UNMAPPED.  Returns how
 * many pages became LOST.  All links to the server are closed. */
int64_t session_lose_slabs(struct server *server);

#endif
