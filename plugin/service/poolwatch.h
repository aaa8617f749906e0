/* The memory servers of the pool (pool=): which there are at start.
 * docs/pool.md. */
#ifndef RSWAP_POOLWATCH_H
#define RSWAP_POOLWATCH_H

#include "config.h"
#include "error.h"
#include "members.h"

struct poolwatch {
	const struct config *config; /* NULL: no pool */
	struct etcd *etcd;
	struct members members;
};

/* Asks etcd for the servers of the pool, for some seconds at most, and adds
 * servers to those of CONFIG: more than servers-max of them where the pool has
 * more, because some may not answer.  Without pool= does nothing.  Before any
 * other thread runs.  0, or a negative errno with one line in WHY. */
int poolwatch_open(struct poolwatch *watch, struct config *config,
		   struct error *why);
/* Also after poolwatch_open failed, or was not called. */
void poolwatch_close(struct poolwatch *watch);

#endif
