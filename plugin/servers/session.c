#include "session.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "events.h"
#include "join.h"
#include "log.h"
#include "placement.h"
#include "roster.h"
#include "size.h"
#include "times.h"
#include "wireio.h"

/* How often a session asks its server whether it is there and how much room it
 * has.  Each PING costs an idle server a wake-up and three system calls. (A
 * server is idle in this sense while RDMA does the transfers.)  A server
 * without room for a slab is asked more often: writes fail until it reports
 * room again. */
#define PING_NS	     (3 * NS_PER_S)
#define PING_FULL_NS NS_PER_S

/* The longest pause between attempts to reach a server that is down. */
#define BACKOFF_MAX_NS (5 * NS_PER_S)

/* How long sessions may take to say BYE before their connections are cut, and
 * to end after that. */
#define STOP_NS (2 * NS_PER_S)
#define CUT_NS	NS_PER_S

/* Does all pending work, except for the control connection's own events.  A
 * RECOVERING server is fenced first: earlier writes must not reach a slab that
 * is freed and allocated anew. */
static int do_work(struct server *server, bool ping, struct error *why)
{
	int rc = 0;

	if (server->locked.control.fd < 0 ||
	    server_state(server) == SERVER_RECOVERING)
		rc = session_heal(server, why);
	if (!rc)
		rc = session_alloc_slabs(server, why);
	if (!rc && session_detour_ends(server, why))
		rc = session_heal(server, why);
	if (!rc && ping)
		rc = session_ask_figures(server, session_call, why);
	return rc;
}

/* Only RELEASE comes without a request.  Anything else that is readable now is
 * the end of the connection, or a violation of the protocol. */
static void read_unasked(struct server *server, struct error *why)
{
	struct wire_message message;
	int rc = wire_recv(&server->locked.control, &message,
			   session_call_deadline(server), why);

	if (!rc && session_take_release(server, &message))
		return;
	if (!rc)
		error_set(why, "unexpected message: %s",
			  wire_type_name(message.type));
	session_drop(server);
}

uint64_t session_ping_every_ns(const struct server *server)
{
	bool full = atomic_load(&server->shared.free_bytes) <
		    server->engine->slabs.geometry.slab_bytes;

	return full ? PING_FULL_NS : PING_NS;
}

/* Runs an open session until it is lost (false, WHY), or has to end (true). */
static bool serve(struct server *server, struct error *why)
{
	uint64_t asked_ns = clock_now_ns();

	while (!atomic_load(&server->shared.stopping) &&
	       !roster_has_to_go(server)) {
		uint64_t ping_at_ns = asked_ns + session_ping_every_ns(server);
		bool ping;

		if (session_nap(server, &server->locked.control, ping_at_ns))
			read_unasked(server, why);
		ping = clock_left_ns(ping_at_ns) == 0;
		if (ping)
			asked_ns = clock_now_ns();
		if (do_work(server, ping, why))
			return atomic_load(&server->shared.stopping);
	}
	return true;
}

/* The session is gone, and the server's slabs with it. */
static void lose(struct server *server, const struct error *why)
{
	uint32_t slabs = atomic_load(&server->shared.slabs);
	int64_t lost = session_go_down(server, why->text);

	/* a server that still hears BYE need not wait for its grace time */
	session_bye(server);
	atomic_fetch_add(&server->engine->counters.pages_lost, (uint64_t)lost);
	log_error("server %s is lost: %s; %lld pages in %u slab%s are gone: "
		  "reading these ends with an I/O error",
		  server->text.text, why->text, (long long)lost, slabs,
		  slabs == 1 ? "" : "s");
	events_add(EVENT_SERVER_LOST, server->text.text,
		   "%s; %lld pages in %u slabs are gone", why->text,
		   (long long)lost, slabs);
}

/* The plugin ends: requests that still wait or arrive later find their pages
 * LOST.  Or the server has to go, and holds no page. */
static void leave(struct server *server)
{
	session_go_down(server, atomic_load(&server->shared.stopping)
					? "the plugin ends"
					: "it is not used any more");
	session_bye(server);
}

/* Without copies, only this server has its pages.  A request with a timeout
 * shorter than the server's grace time fails although its page may still come
 * back.
 */
static void warn_of_timeout(const struct server *server)
{
	const struct engine *engine = server->engine;
	uint64_t timeout_s = engine->config.timeout_ns / NS_PER_S;
	uint64_t grace_s = atomic_load(&server->shared.grace_ms) / 1000;

	if (redundancy_can_spare(&engine->redundancy) || grace_s == 0 ||
	    timeout_s >= times_least_timeout_s(grace_s))
		return;
	log_notice("server %s: timeout=%llu is too short for its --grace=%llu: "
		   "in an outage requests fail while their pages may still "
		   "come back; timeout=%llu or more fits",
		   server->text.text, (unsigned long long)timeout_s,
		   (unsigned long long)grace_s,
		   (unsigned long long)times_least_timeout_s(grace_s));
}

/* Opens the session.  Where opening fails, logs the error once until a later
 * attempt succeeds. */
static bool open_or_complain(struct server *server)
{
	struct error why = { "" };
	int rc = session_open(server, &why);

	if (!rc) {
		server_set_state(server, SERVER_UP);
		if (atomic_fetch_add(&server->shared.sessions, 1) > 0)
			log_limited(
				&server->session.lines, LOG_LEVEL_NOTICE,
				"server %s: a new session over %s, %s free",
				server->text.text,
				atomic_load(&server->shared.transport)->name,
				size_format(
					atomic_load(&server->shared.free_bytes))
					.text);
		events_add(EVENT_SERVER_UP, server->text.text,
			   "a session over %s",
			   atomic_load(&server->shared.transport)->name);
		warn_of_timeout(server);
		server->session.complained = false;
	} else if (!server->session.complained && server->locked.first_over) {
		log_limited(&server->session.lines, LOG_LEVEL_ERROR,
			    "server %s: %s; trying again", server->text.text,
			    why.text);
		server->session.complained = true;
	}
	session_report_first(server, rc, &why);
	return !rc;
}

static void *session_main(void *arg)
{
	struct server *server = arg;
	uint64_t backoff_ns = SESSION_BACKOFF_NS;

	while (roster_wait(server)) {
		struct error why = { "" };

		if (roster_leave(server))
			continue;
		if (!open_or_complain(server)) {
			session_nap(server, NULL, clock_now_ns() + backoff_ns);
			backoff_ns *= 2;
			if (backoff_ns > BACKOFF_MAX_NS)
				backoff_ns = BACKOFF_MAX_NS;
			continue;
		}
		backoff_ns = SESSION_BACKOFF_NS;
		if (serve(server, &why))
			leave(server);
		else
			lose(server, &why);
	}
	return NULL;
}

const struct server_kind session_remote = {
	.run = session_main,
};

int session_start(struct server *server, struct error *why)
{
	int rc = pthread_create(&server->starter.thread, NULL,
				server->kind->run, server);

	if (rc) {
		error_set(why, "a session's thread: %s", strerror(rc));
		return -rc;
	}
	server->starter.has_thread = true;
	return 0;
}

int session_wait_first(struct server *server, uint64_t deadline_ns,
		       struct error *why)
{
	struct timespec until = clock_timespec(deadline_ns);
	int rc = 0;

	pthread_mutex_lock(&server->lock);
	while (!server->locked.first_over && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&server->locked.changed,
					    &server->lock, &until);
	if (server->locked.first_over) {
		rc = server->locked.first_status;
		*why = server->locked.first_error;
	} else {
		rc = -ETIMEDOUT;
		error_set(why, "no session until the deadline");
	}
	pthread_mutex_unlock(&server->lock);
	return rc;
}

void session_ask_to_stop(struct server *server)
{
	atomic_store(&server->shared.stopping, true);
	server_wake(server);
}

/* Waits for the threads, NS in all.  True if all have ended. */
static bool join_all(struct engine *engine, uint64_t ns)
{
	uint64_t deadline_ns = clock_now_ns() + ns;
	bool all = true;

	for (uint32_t i = 0; i < engine->n_servers; i++) {
		struct server *server = &engine->servers[i];

		if (server->starter.has_thread &&
		    join_until(server->starter.thread, deadline_ns))
			server->starter.has_thread = false;
		all &= !server->starter.has_thread;
	}
	return all;
}

/* Ends the thread's wait for an answer. */
static void cut(struct server *server)
{
	pthread_mutex_lock(&server->lock);
	if (server->locked.control.fd >= 0)
		shutdown(server->locked.control.fd, SHUT_RDWR);
	pthread_mutex_unlock(&server->lock);
}

bool session_stop_all(struct engine *engine)
{
	for (uint32_t i = 0; i < engine->n_servers; i++)
		session_ask_to_stop(&engine->servers[i]);
	if (join_all(engine, STOP_NS))
		return true;
	for (uint32_t i = 0; i < engine->n_servers; i++)
		cut(&engine->servers[i]);
	if (join_all(engine, CUT_NS))
		return true;
	for (uint32_t i = 0; i < engine->n_servers; i++) {
		struct server *server = &engine->servers[i];

		if (server->starter.has_thread)
			log_notice("server %s: its thread hangs, perhaps in a "
				   "look-up of its name; ending without it",
				   server_text(server).text);
	}
	return false;
}
