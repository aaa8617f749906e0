/* Orders that the server gets by its pool (pool/order.h): a key of its own in
 * etcd, which the thread of registration.c follows by a watch.  An order is
 * obeyed once, however often etcd tells of it. */
#ifndef RSWAP_ORDERS_H
#define RSWAP_ORDERS_H

#include "ask.h"
#include "complaint.h"
#include "etcd/view.h"

struct orders {
	struct ask *ask;
	struct etcd_view view;
	char key[sizeof(struct pool_prefix) + 128];
	/* Of the last order, of which nothing is left to do.  Where etcd lost
	 * its keys, another one may have that revision, but not that lease. */
	uint64_t seen_revision, seen_lease;
	bool obeyed; /* an order, in this call of orders_step */
	struct complaint complaint;
};

/* Follows the orders to the server that is registered as ADDRESS.  ORDERS, ASK
 * and ETCD stay where they are.  Asks etcd nothing. */
void orders_open(struct orders *orders, struct ask *ask, struct etcd *etcd,
		 const char *address);

/* For the rest: the thread of the client of etcd. */

/* Obeys the orders that have come; etcd_pause, in whatever place, ends when
 * there are more.  Where orders cannot be read, it does nothing.  True if an
 * order was obeyed, so that the server's state may be another. */
bool orders_step(struct orders *orders);
/* The registration fails: ends the watch, which orders_step begins again. */
void orders_rest(struct orders *orders);

#endif
