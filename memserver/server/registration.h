/* The server's key in its pool (--pool): how clients find it, the orders to it
 * (orders.h), and what is reserved on it (reserved.h).  A thread of its own
 * talks to etcd, so that nothing else ever waits for etcd.  docs/pool.md has
 * the keys. */
#ifndef RSWAP_REGISTRATION_H
#define RSWAP_REGISTRATION_H

#include "etcd/etcd.h"
#include "server.h"

struct registration;

/* Opens what the thread needs, before any other thread runs and before system
 * calls are filtered.  Asks etcd nothing.  With --pool only.  0, or a negative
 * errno with WHY. */
int registration_open(struct server *server, struct error *why);
/* Starts the thread; the listeners are open.  0, or a negative errno with WHY.
 */
int registration_start(struct server *server, struct error *why);

/* For all that follow: without --pool they do nothing.  Main thread. */

/* The server's state has changed: etcd hears of it at once, and not with the
 * next refresh. */
void registration_notice(struct server *server);
/* Has the key deleted, and returns at once. */
void registration_leave(struct server *server);
/* Waits for that, for a few seconds at most. */
void registration_stop(struct server *server);

/* How it stands, for the status and the metrics. */
struct registration_figures {
	bool is_registered;
	uint64_t since_ns;	  /* that it is, or is not */
	uint64_t writes;	  /* of the key, ever */
	char address[128];	  /* under which it is registered */
	struct net_text endpoint; /* of etcd, that answered last */
	char error[160];	  /* why it is not, or "" */
	struct etcd_figures etcd;
};
/* False without --pool. */
bool registration_figures(struct server *server,
			  struct registration_figures *figures);

#endif
