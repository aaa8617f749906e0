/* The order in which a process becomes a daemon that a machine can swap
 * through, and in which the daemon ends.  It is the same for every front end.
 *
 *   service_probe   asks the pool and the servers, and makes the sockets of
 * rswapctl and of metrics=; while errors still reach the user's terminal
 *   service_start   signals and safety, then the log's thread, then the engine
 *   service_tell    says so
 *   service_stop    the reverse, or service_leave
 *
 * The front end fills CONFIG before, and serves clients in between.  Its main
 * thread calls these functions.
 */
#ifndef RSWAP_SERVICE_H
#define RSWAP_SERVICE_H

#include <stdint.h>

#include "config.h"
#include "engine.h"
#include "error.h"
#include "poolwatch.h"
#include "safety.h"
#include "status.h"
#include "web.h"

struct service {
	struct config config; /* the front end's */
	struct engine engine;
	struct poolwatch pool;
	struct safety safety;
	struct status_server status;
	struct web web;
	uint64_t slab_bytes;
	struct fallback fallback; /* until the engine has it */
};

struct service_front {
	/* Tells the front end to end, because no client is left.  Any thread.
	 */
	void (*shut_down)(void);
	/* As lifecycle_ops.asked. */
	void (*asked)(void);
	/* The heap that the front end needs for the buffers of requests. */
	uint64_t heap_bytes;
	/* The front end has no signal handlers of its own. */
	bool no_handlers;
	/* The front end executes no file, and makes and removes none but the
	 * service's own and these two (or NULL): confine.h. */
	bool is_confined;
	const char *paths[2];
};

/* 0 or a negative errno. */
int service_probe(struct service *service, struct error *why);

/* The front end has its signal handlers, if any, and no thread yet.  FRONT is
 * copied. There is one service in a process.  0, or -1 after the log says why.
 */
int service_start(struct service *service, const struct service_front *front);

/* Logs what is served from now on, and how much memory is locked.  After the
 * front end has allocated its own. */
void service_tell(const struct service *service);

/* Also after service_start failed, or was not called.  While a client is
 * attached, threads of the front end may still use the engine's memory, and so
 * may a thread of the engine or of the pool that has not ended in time.  Then
 * this memory is not freed. */
void service_stop(struct service *service);

/* Instead of service_stop and a return from main, where threads of the front
 * end go on: ends the process with STATUS, and frees nothing. */
_Noreturn void service_leave(struct service *service, int status);

#endif
