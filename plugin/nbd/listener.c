#include "listener.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "log.h"

/* One client each turn, so that many of them do not hold up requests. */
static void ready(struct loop_source *source, short revents)
{
	struct listener *listener = (struct listener *)source;
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)revents;
	if (fd >= 0 && !connection_open(listener->host, fd))
		log_error("a client is refused: there are too many");
	if (fd < 0 && errno != EAGAIN && errno != ECONNABORTED)
		log_error("cannot accept a client: %s", strerror(errno));
}

void listener_start(struct listener *listener,
		    const struct connection_host *host, int fd)
{
	*listener = (struct listener){
		.source = { .fd = fd, .events = POLLIN, .ready = ready },
		.host = host,
	};
	loop_add(host->loop, &listener->source);
}
