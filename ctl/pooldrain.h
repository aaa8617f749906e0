/* "rswapctl pool drain": has a memory server of a pool drain, or serve again,
 * by an order in etcd. */
#ifndef RSWAPCTL_POOLDRAIN_H
#define RSWAPCTL_POOLDRAIN_H

#include "cmd.h"
#include "members.h"

struct pooldrain {
	const struct pool *pool;
	struct etcd *etcd;
	struct members *members; /* open, and not listed yet */
	const char *address;	 /* of the server: "HOST:PORT" */
	bool stop;		 /* serve again */
	bool wait;		 /* until the server is empty, too */
	uint64_t deadline_ns;
};

/* Prints how far it is, and, if something is wrong, one line to standard error.
 */
enum exit_status pooldrain_run(const struct pooldrain *drain);

#endif
