#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "control/control.h"
#include "links/rdma.h"
#include "listen.h"
#include "log.h"
#include "output/output.h"
#include "pressure.h"
#include "session/release.h"
#include "session/session.h"

/* Accepted at one go, before others have their turn. */
#define ACCEPT_BATCH 16
/* How long to wait when there are no file descriptors, and where one is about
 * to come. */
#define ACCEPT_PAUSE_S	     0.2
#define ACCEPT_SHORT_PAUSE_S 0.01
/* How often it is told what the end waits for. */
#define TELL_S 10.0
/* How long the end may take. */
#define STOP_S 5.0

static void pause_cb(struct ev_loop *loop, ev_timer *watcher, int events)
{
	struct listener *l = container_of(watcher, struct listener, pause);

	(void)events;
	ev_io_start(loop, &l->io);
}

/* Not for the lack of a connection, but of something to take it with. */
static bool short_of_files(int err)
{
	return err == EMFILE || err == ENFILE || err == ENOBUFS ||
	       err == ENOMEM;
}

/* accept4 looks for a descriptor first, and only then whether anybody waits. */
static bool somebody_waits(const struct listener *l)
{
	struct pollfd p = { .fd = l->fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

static void pause_accepting(struct listener *l, double seconds)
{
	ev_io_stop(l->server->loop, &l->io);
	ev_timer_set(&l->pause, seconds, 0.);
	ev_timer_start(l->server->loop, &l->pause);
}

/* A client that has a session here may be the next to come in: a connection
 * that has said nothing goes for it.  Where there is none, the client is shown
 * that it cannot be served, and does not wait in vain. */
static void without_files(struct listener *l, int err)
{
	struct server *server = l->server;
	int fd;

	if (control_turn_one_away(server)) {
		pause_accepting(l, ACCEPT_SHORT_PAUSE_S);
		return;
	}
	server->refused++;
	log_error("cannot accept a connection: %s", strerror(err));
	if (server->reserve_fd >= 0)
		close(server->reserve_fd);
	fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pause_accepting(l, ACCEPT_PAUSE_S);
}

static void accept_cb(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct listener *l = container_of(watcher, struct listener, io);

	(void)loop;
	(void)events;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		int fd = accept4(l->fd, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			control_accept(l, fd);
			continue;
		}
		if (short_of_files(errno)) {
			int err = errno;

			if (somebody_waits(l))
				without_files(l, err);
			break;
		}
		if (errno != EINTR && errno != ECONNABORTED)
			break;
	}
}

/* --- listening --- */

static int open_rdma(struct server *server, struct error *why)
{
	enum config_transport transport = server->config->transport;
	struct error detail;

	if (transport == CONFIG_TCP)
		return 0;
	server->rdma = lane_rdma_open(server, &detail);
	if (server->rdma || transport == CONFIG_AUTO)
		return 0;
	error_set(why, "--transport=rdma: %.200s", detail.text);
	return -ENODEV;
}

/* Nobody would come: what serves TCP only needs no RDMA. */
static void drop_idle_rdma(struct server *server)
{
	for (unsigned i = 0; i < server->listener_count; i++) {
		if (server->listeners[i].rdma_port)
			return;
	}
	lane_rdma_close(server->rdma);
	server->rdma = NULL;
}

int server_listen(struct server *server, struct error *why)
{
	int err = open_rdma(server, why);

	server->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (!err)
		err = listen_everywhere(server, why);
	if (err)
		return err;
	drop_idle_rdma(server);
	for (unsigned i = 0; i < server->listener_count; i++) {
		struct listener *l = &server->listeners[i];

		ev_init(&l->pause, pause_cb);
		ev_io_init(&l->io, accept_cb, l->fd, EV_READ);
		ev_io_start(server->loop, &l->io);
	}
	return 0;
}

const char *server_transports_text(uint32_t transports)
{
	return transports == WIRE_TRANSPORT_TCP	   ? "tcp"
	       : transports == WIRE_TRANSPORT_RDMA ? "rdma"
						   : "tcp, rdma";
}

static void stop_accepting(struct server *server)
{
	for (unsigned i = 0; i < server->listener_count; i++) {
		struct listener *l = &server->listeners[i];

		ev_io_stop(server->loop, &l->io);
		ev_timer_stop(server->loop, &l->pause);
		if (l->fd >= 0)
			close(l->fd);
		l->fd = -1;
	}
}

void server_unlisten(struct server *server)
{
	stop_accepting(server);
	if (server->reserve_fd >= 0)
		close(server->reserve_fd);
	server->reserve_fd = -1;
	lane_rdma_close(server->rdma);
	server->rdma = NULL;
	server->listener_count = 0;
}

/* --- the end --- */

static void stop_if_done(struct server *server)
{
	if (server->stopping && !server->session_count)
		ev_break(server->loop, EVBREAK_ALL);
}

void server_session_gone(struct server *server)
{
	stop_if_done(server);
}

static void stop_limit_cb(struct ev_loop *loop, ev_timer *watcher, int events)
{
	(void)watcher;
	(void)events;
	ev_break(loop, EVBREAK_ALL);
}

static void begin_stop(struct server *server)
{
	if (server->stopping)
		return;
	server->stopping = true;
	output_manager("STOPPING=1\nSTATUS=Ending sessions");
	stop_accepting(server);
	slab_pool_wind_up(&server->pool);
	ev_timer_init(&server->stop_limit, stop_limit_cb, STOP_S, 0.);
	ev_timer_start(server->loop, &server->stop_limit);
	control_close_all(server, "the server is stopping");
	session_end_disconnected(server, "the server is stopping");
	stop_if_done(server);
}

/* --- before the end: clients move what is theirs --- */

static void tell_leaving(struct server *server)
{
	struct release_held held = release_held(server);

	if (held.slabs == server->told_slabs)
		return;
	server->told_slabs = held.slabs;
	output_manager(
		"STATUS=Draining: %u slabs of %u sessions are to be moved "
		"away (%u are disconnected); a second SIGTERM ends at once",
		held.slabs, held.sessions, held.away);
	log_notice("leaving when %u slabs of %u sessions have been moved away "
		   "(%u are disconnected); a second SIGTERM or SIGINT ends at "
		   "once, and what is in them is lost",
		   held.slabs, held.sessions, held.away);
}

static void tell_cb(struct ev_loop *loop, ev_timer *watcher, int events)
{
	(void)loop;
	(void)events;
	tell_leaving(container_of(watcher, struct server, tell_timer));
}

/* Before the loop sleeps, whatever gave the last slab back. */
static void empty_cb(struct ev_loop *loop, ev_prepare *watcher, int events)
{
	struct server *server =
		container_of(watcher, struct server, empty_check);

	(void)loop;
	(void)events;
	if (!server->stopping && !release_held(server).sessions)
		begin_stop(server);
}

static void begin_leaving(struct server *server)
{
	release_drain(server, RELEASE_LEAVING);
	ev_prepare_init(&server->empty_check, empty_cb);
	ev_prepare_start(server->loop, &server->empty_check);
	ev_timer_init(&server->tell_timer, tell_cb, TELL_S, TELL_S);
	ev_timer_start(server->loop, &server->tell_timer);
	tell_leaving(server);
}

static void asked_to_end(struct server *server)
{
	if (server->drain == RELEASE_LEAVING || !release_held(server).sessions)
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

void server_catch_signals(struct server *server)
{
	ev_signal_init(&server->on_term, term_cb, SIGTERM);
	ev_signal_init(&server->on_int, int_cb, SIGINT);
	ev_signal_start(server->loop, &server->on_term);
	ev_signal_start(server->loop, &server->on_int);
}

bool server_run(struct server *server)
{
	pressure_start(server);
	ev_run(server->loop, 0);
	pressure_stop(server);
	if (server->drain == RELEASE_LEAVING) {
		ev_prepare_stop(server->loop, &server->empty_check);
		ev_timer_stop(server->loop, &server->tell_timer);
	}
	ev_timer_stop(server->loop, &server->stop_limit);
	ev_signal_stop(server->loop, &server->on_term);
	ev_signal_stop(server->loop, &server->on_int);
	return server->session_count == 0;
}
