#include "accept.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "loops/container.h"

/* Connections accepted in one turn of the main loop. */
#define ACCEPT_BATCH 16
/* What the kernel keeps of a connection, each way: a hundred pages, or as much
 * as a network of 25 Gb/s moves in 160 us.  A client has some dozens. */
#define SOCKET_BYTES (512 << 10)

/* How long to wait when there are no file descriptors, and when one is about to
 * be closed. */
#define ACCEPT_PAUSE_S	     0.2
#define ACCEPT_SHORT_PAUSE_S 0.01

static void pause_cb(struct ev_loop *loop, ev_timer *watcher, int events)
{
	struct listener *l = container_of(watcher, struct listener, pause);

	(void)events;
	ev_io_start(loop, &l->io);
}

/* accept failed because this machine lacks descriptors or memory. */
static bool short_of_files(int err)
{
	return err == EMFILE || err == ENFILE || err == ENOBUFS ||
	       err == ENOMEM;
}

/* accept4 looks for a descriptor first, and then for a connection. */
static bool connection_waits(const struct listener *l)
{
	struct pollfd p = { .fd = l->fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

static void pause_accepting(struct listener *l, double seconds)
{
	ev_io_stop(l->listeners->loop, &l->io);
	ev_timer_set(&l->pause, seconds, 0.);
	ev_timer_start(l->listeners->loop, &l->pause);
}

/* The next connection may come from a client that has a session here, so a
 * newcomer has to go for it.  When there is no newcomer, the connection is
 * accepted and closed, so that the client does not wait in vain. */
static void without_files(struct listener *l, int err)
{
	struct listeners *all = l->listeners;
	int fd;

	if (control_turn_one_away(all->controls)) {
		pause_accepting(l, ACCEPT_SHORT_PAUSE_S);
		return;
	}
	all->controls->refused++;
	log_error("cannot accept a connection: %s", strerror(err));
	if (all->reserve_fd >= 0)
		close(all->reserve_fd);
	fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	all->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
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
			control_accept(l->listeners->controls, &l->offer, fd);
			continue;
		}
		if (short_of_files(errno)) {
			int err = errno;

			if (connection_waits(l))
				without_files(l, err);
			break;
		}
		if (errno != EINTR && errno != ECONNABORTED)
			break;
	}
}

void accept_start(struct listener *l)
{
	net_limit_buffers(l->fd, SOCKET_BYTES);
	ev_init(&l->pause, pause_cb);
	ev_io_init(&l->io, accept_cb, l->fd, EV_READ);
	ev_io_start(l->listeners->loop, &l->io);
}

void accept_stop(struct listener *l)
{
	ev_io_stop(l->listeners->loop, &l->io);
	ev_timer_stop(l->listeners->loop, &l->pause);
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}
