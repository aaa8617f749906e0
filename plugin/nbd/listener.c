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

/* The client waits until there is memory. */
static void ask_for_memory(struct listener *listener)
{
	mapper_ask(listener->host->mapper, &listener->mapping,
		   connection_bytes());
	listener->source.fd = -1;
}

/* One client each turn, so that many of them do not hold up requests. */
static void ready(struct loop_source *source, short revents)
{
	struct listener *listener = (struct listener *)source;
	int fd;

	(void)revents;
	if (!listener->memory) {
		ask_for_memory(listener);
		return;
	}
	fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno != EAGAIN && errno != ECONNABORTED)
			rest(listener, errno);
		return;
	}
	listener->fails = false;
	if (connection_open(listener->host, fd, listener->memory))
		listener->memory = NULL;
	else
		log_error("a client is refused: there are too many");
}

static void accept_again(struct listener *listener)
{
	listener->source.fd = listener->fd;
	loop_soon(listener->host->loop);
}

static void take_memory(struct listener *listener)
{
	int rc = mapper_take(listener->host->mapper, &listener->mapping,
			     &listener->memory);

	if (!rc)
		accept_again(listener);
	else if (rc != -EINPROGRESS)
		rest(listener, -rc);
}

/* After each turn. */
static void finish(struct loop_source *source)
{
	struct listener *listener = (struct listener *)source;

	if (listener->mapping.state != MAPPING_NONE)
		take_memory(listener);
	if (!listener->rests_until_ns ||
	    clock_tick_ns() < listener->rests_until_ns)
		return;
	listener->rests_until_ns = 0;
	accept_again(listener);
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
