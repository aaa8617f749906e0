/* What a running plugin tells on its control socket (common/ctlsock.h). */
#ifndef RSWAP_STATUS_H
#define RSWAP_STATUS_H

#include <pthread.h>
#include <stdbool.h>

#include "engine.h"
#include "error.h"
#include "safety.h"

/* Serves the socket with a thread of its own, so that neither a slow client
 * nor a busy engine holds up the other. */
struct status_server {
	const struct engine *engine;
	const struct safety *safety;
	const char *path;
	int listen_fd, stop_fd;
	pthread_t thread;
	bool listening, running;
};

/* Makes the socket; a client waits until status_start.  PATH outlives the
 * server.  0 or a negative errno. */
int status_listen(struct status_server *server, const char *path,
		  struct error *why);
/* Answers from now on, after status_listen; ENGINE and SAFETY outlive the
 * server.  0 or a negative errno. */
int status_start(struct status_server *server, const struct engine *engine,
		 const struct safety *safety, struct error *why);
/* Also removes the socket. */
void status_stop(struct status_server *server);

#endif
