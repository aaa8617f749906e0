/* The memory servers of the pool (pool=): which there are at start, and from
 * then on a thread that follows them.  It alone talks to etcd, and nothing
 * waits for it: etcd that is slow, or gone, is seen in the figures only.
 *
 *   CURRENT  etcd tells of each change
 *   AWAY     it has not for some seconds; what was known last goes on
 *
 * docs/architecture.md has the states of a server meanwhile. */
#ifndef RSWAP_POOLWATCH_H
#define RSWAP_POOLWATCH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "config.h"
#include "engine.h"
#include "error.h"
#include "etcd/etcd.h"
#include "members.h"
#include "poolfollow.h"
#include "poolreserve.h"
#include "poolstate.h"

/* Of the heap that is set aside: libcurl's buffers, an answer of etcd, and the
 * list of a thousand servers. */
#define POOLWATCH_HEAP_BYTES (4u << 20)

/* How it stands, for the status and the metrics. */
struct poolwatch_figures {
	bool is_away;
	uint64_t since_ns;	      /* that it is, or is not */
	uint32_t registered, serving; /* servers in the pool, as last known */
	struct net_text endpoint;     /* of etcd, that answered last */
	char name[POOL_NAME_BYTES];   /* of the pool */
	char error[160];	      /* why it is away, or "" */
	struct etcd_figures etcd;
	struct poolreserve_figures reserve; /* zeroed without pool-reserve= */
};

struct poolwatch {
	const struct config *config; /* NULL: no pool */
	struct etcd *etcd;
	pthread_t thread;
	bool has_thread;
	atomic_bool stopping;
	_Atomic(struct engine *) engine; /* that it follows the pool for */

	/* The thread's, once there is one. */
	struct members members;
	struct poolfollow follow;
	struct poolreserve reserve;
	struct poolstate state;
	struct error began_away; /* why etcd did not answer at start, or "" */
	uint64_t current_ns;	 /* when it was CURRENT last */

	/* `lock` protects this, and is a leaf. */
	pthread_mutex_t lock;
	struct poolwatch_figures figures;
};

/* For all that follow: without pool= they do nothing. */

/* Asks etcd for the servers of the pool, for some seconds at most, or takes
 * those of pool-state=, and adds
 * servers to those of CONFIG: more than servers-max of them where the pool has
 * more, because some may not answer.  Before any other thread runs.  0, or a
 * negative errno with one line in WHY. */
int poolwatch_open(struct poolwatch *watch, struct config *config,
		   struct error *why);
/* Reserves memory of the servers of CONFIG, of which engine_probe has left
 * those that can be used, with slabs of SLAB_BYTES (pool-reserve=).  Before any
 * other thread runs.  0, or a negative errno with one line in WHY. */
int poolwatch_reserve(struct poolwatch *watch, uint64_t slab_bytes,
		      struct error *why);
/* Starts the thread, which keeps the reservation.  0, or a negative errno with
 * WHY. */
int poolwatch_start(struct poolwatch *watch, struct error *why);
/* From now on ENGINE, which is started, uses servers as the pool says. */
void poolwatch_follow(struct poolwatch *watch, struct engine *engine);
/* Ends the thread, if there is one, within a few seconds.  Before the engine is
 * stopped.  False where the thread has not ended: it uses the engine and the
 * config until the process ends. */
bool poolwatch_stop(struct poolwatch *watch);
/* Gives the reservation back, within seconds.  After the engine is stopped:
 * what is not reserved any more should be free. */
void poolwatch_leave(struct poolwatch *watch);
/* Also after poolwatch_open failed, or was not called. */
void poolwatch_close(struct poolwatch *watch);

/* False without pool=.  Any thread. */
bool poolwatch_get_figures(struct poolwatch *watch,
			   struct poolwatch_figures *figures);

#endif
