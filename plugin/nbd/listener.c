#include "listener.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "clock.h"
#include "log.h"

/* How long it leaves a client waiting that cannot be accepted, for want of
 * memory or of descriptors. */
#define REST_NS NS_PER_S

/* poll(2) would go on to tell of the client. */
static void rest(struct listener *listener, int err)
{
	if (!listener->fails)
		log_error("cannot accept a client: %s", strerror(err));
	listener->fails = true;
	listener->rests_until_ns = clock_tick_ns() + REST_NS;
	listener->source.fd = -1;
}

/* One client each turn, so that many of them do not hold up requests. */
static void ready(struct loop_source *source, short revents)
{
	struct listener *listener = (struct listener *)source;
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)revents;
	if (fd < 0) {
		if (errno != EAGAIN && errno != ECONNABORTED)
			rest(listener, errno);
		return;
	}
	listener->fails = false;
	if (!connection_open(listener->host, fd))
		log_error("a client is refused: there are too many, or no "
			  "memory");
}

/* After each turn. */
static void finish(struct loop_source *source)
{
	struct listener *listener = (struct listener *)source;

	if (!listener->rests_until_ns ||
	    clock_tick_ns() < listener->rests_until_ns)
		return;
	listener->rests_until_ns = 0;
	source->fd = listener->fd;
	loop_soon(listener->host->loop);
}

void listener_start(struct listener *listener, const struct host *host, int fd)
{
	*listener = (struct listener){
		.source = { .fd = fd,
			    .events = POLLIN,
			    .ready = ready,
			    .finish = finish },
		.host = host,
		.fd = fd,
	};
	loop_add(host->loop, &listener->source);
}
