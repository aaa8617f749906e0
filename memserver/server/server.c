#include "server.h"

#include <signal.h>
#include <string.h>

#include "events.h"
#include "log.h"
#include "loops/container.h"
#include "output/output.h"
#include "pressure.h"
#include "registration.h"
#include "session/release.h"
#include "watchdog.h"

/* How often the log tells how many slabs the end waits for. */
#define TELL_S 10.0
/* How long the end may take. */
#define STOP_S 5.0

/* --- the parts --- */

static void sessions_gone(struct sessions *sessions);

void server_connect_parts(struct server *server)
{
	const struct config *config = server->config;

	server->links = (struct links){ .loop = server->loop,
					.box = &server->box,
					.teardown = &server->teardown,
					.pool = &server->pool,
					.threads = config->threads };
	tenants_init(&server->tenants, &server->pool);
	grants_init(&server->grants, &server->pool, &server->tenants,
		    &server->preparer, server->loop);
	server->grants.keep_spares = config->stock;
	sessions_init(&server->sessions, &server->links, &server->grants,
		      server->loop);
	accounts_limit_sessions(&server->sessions.accounts,
				config->max_sessions);
	server->sessions.grace_s = config->grace_s;
	server->sessions.gone = sessions_gone;
	controls_init(&server->controls, &server->sessions);
	server->controls.welcome = (struct wire_welcome){
		.slab_bytes = server->pool.slab_bytes,
		.total_bytes = config->memory_bytes,
		.max_lanes = LINK_SET_MAX,
	};
	memcpy(server->controls.welcome.incarnation, server->incarnation,
	       sizeof server->incarnation);
	memcpy(server->controls.welcome.zone, config->zone,
	       sizeof config->zone);
	server->listeners = (struct listeners){ .controls = &server->controls,
						.links = &server->links,
						.loop = server->loop,
						.reserve_fd = -1 };
}

/* --- the end --- */

static void stop_if_done(struct server *server)
{
	if (server->sessions.stopping && !server->sessions.count)
		ev_break(server->loop, EVBREAK_ALL);
}

static void sessions_gone(struct sessions *sessions)
{
	stop_if_done(container_of(sessions, struct server, sessions));
}

static void stop_limit_cb(struct ev_loop *loop, ev_timer *watcher, int events)
{
	(void)watcher;
	(void)events;
	ev_break(loop, EVBREAK_ALL);
}

static void begin_stop(struct server *server)
{
	if (server->sessions.stopping)
		return;
	server->sessions.stopping = true;
	output_manager("STOPPING=1\nSTATUS=Ending sessions");
	listeners_stop(&server->listeners);
	registration_leave(server);
	slab_pool_wind_up(&server->pool);
	ev_timer_init(&server->stop_limit, stop_limit_cb, STOP_S, 0.);
	ev_timer_start(server->loop, &server->stop_limit);
	control_close_all(&server->controls, "the server is stopping");
	session_end_disconnected(&server->sessions, "the server is stopping");
	stop_if_done(server);
}

/* --- before the end: clients move their pages away --- */

static void tell_leaving(struct server *server)
{
	struct release_held held = release_held(&server->sessions);

	if (held.slabs == server->told_slabs)
		return;
	server->told_slabs = held.slabs;
	output_manager(
		"STATUS=Draining: waiting until %u slabs of %u sessions are "
		"moved away (%u are disconnected); a second SIGTERM ends at "
		"once",
		held.slabs, held.sessions, held.away);
	log_notice("leaving when %u slabs of %u sessions have been moved away "
		   "(%u are disconnected); a second SIGTERM or SIGINT ends at "
		   "once, and the pages in these slabs are lost",
		   held.slabs, held.sessions, held.away);
}

static void tell_cb(struct ev_loop *loop, ev_timer *watcher, int events)
{
	(void)loop;
	(void)events;
	tell_leaving(container_of(watcher, struct server, tell_timer));
}

/* Runs before the loop sleeps, after every event that may give a slab back. */
static void empty_cb(struct ev_loop *loop, ev_prepare *watcher, int events)
{
	struct server *server =
		container_of(watcher, struct server, empty_check);

	(void)loop;
	(void)events;
	if (!server->sessions.stopping &&
	    !release_held(&server->sessions).sessions)
		begin_stop(server);
}

static void begin_leaving(struct server *server)
{
	events_add(EVENT_ASKED_TO_END, "", "%u slabs to be moved away",
		   release_held(&server->sessions).slabs);
	release_drain(&server->sessions, RELEASE_LEAVING);
	registration_notice(server);
	ev_prepare_init(&server->empty_check, empty_cb);
	ev_prepare_start(server->loop, &server->empty_check);
	ev_timer_init(&server->tell_timer, tell_cb, TELL_S, TELL_S);
	ev_timer_start(server->loop, &server->tell_timer);
	tell_leaving(server);
}

static void asked_to_end(struct server *server)
{
	if (server->sessions.drain == RELEASE_LEAVING ||
	    !release_held(&server->sessions).sessions)
		begin_stop(server);
	else
		begin_leaving(server);
}

static void term_cb(struct ev_loop *loop, ev_signal *watcher, int events)
{
	(void)loop;
	(void)events;
	asked_to_end(container_of(watcher, struct server, on_term));
}

static void int_cb(struct ev_loop *loop, ev_signal *watcher, int events)
{
	(void)loop;
	(void)events;
	asked_to_end(container_of(watcher, struct server, on_int));
}

static void read_tenants(struct server *server)
{
	const char *path = server->config->tenants;
	struct error why;

	if (!path)
		return;
	if (tenants_read(&server->tenants, path, &why))
		log_error("SIGHUP: %s; the limits stay as they were", why.text);
	else
		log_notice("SIGHUP: %s has limits for %u identities", path,
			   tenants_listed(&server->tenants));
}

static void hup_cb(struct ev_loop *loop, ev_signal *watcher, int events)
{
	struct server *server = container_of(watcher, struct server, on_hup);

	(void)loop;
	(void)events;
	if (server->sessions.stopping)
		return;
	controls_read_keys(&server->controls, server->config->psk_file);
	read_tenants(server);
}

void server_catch_signals(struct server *server)
{
	ev_signal_init(&server->on_hup, hup_cb, SIGHUP);
	if (server->config->psk_file)
		ev_signal_start(server->loop, &server->on_hup);
	ev_signal_init(&server->on_term, term_cb, SIGTERM);
	ev_signal_init(&server->on_int, int_cb, SIGINT);
	ev_signal_start(server->loop, &server->on_term);
	ev_signal_start(server->loop, &server->on_int);
}

bool server_run(struct server *server)
{
	pressure_start(server);
	watchdog_start(server);
	ev_run(server->loop, 0);
	watchdog_stop(server);
	pressure_stop(server);
	if (server->sessions.drain == RELEASE_LEAVING) {
		ev_prepare_stop(server->loop, &server->empty_check);
		ev_timer_stop(server->loop, &server->tell_timer);
	}
	ev_timer_stop(server->loop, &server->stop_limit);
	ev_signal_stop(server->loop, &server->on_hup);
	ev_signal_stop(server->loop, &server->on_term);
	ev_signal_stop(server->loop, &server->on_int);
	return server->sessions.count == 0;
}
