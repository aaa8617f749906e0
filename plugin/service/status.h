/* The control socket of a running plugin (common/ctlsock.h). */
#ifndef RSWAP_STATUS_H
#define RSWAP_STATUS_H

#include <pthread.h>
#include <stdbool.h>

#include "engine.h"
#include "error.h"
#include "poolwatch.h"
#include "safety.h"

/* A thread of its own serves the socket.  So a slow client does not hold up
 * requests, and requests do not hold up the status. */
struct status_server {
	struct engine *engine;
	struct poolwatch *pool;
	const struct safety *safety;
	const char *path;
	int listen_fd, stop_fd;
	pthread_t thread;
	bool listening, running;
};

/* Makes the socket.  A client that connects waits until status_start.  PATH
 * must outlive SERVER.  0 or a negative errno. */
int status_listen(struct status_server *server, const char *path,
		  struct error *why);
/* Starts the thread that answers.  After status_listen.  ENGINE, POOL and
 * SAFETY must outlive SERVER.  0 or a negative errno. */
int status_start(struct status_server *server, struct engine *engine,
		 struct poolwatch *pool, const struct safety *safety,
		 struct error *why);
/* Ends the thread, if it was started, and removes the socket, if it was made.
 */
void status_stop(struct status_server *server);

#endif
