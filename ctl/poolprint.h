/* What "rswapctl pool status" and "pool rebalance" print. */
#ifndef RSWAPCTL_POOLPRINT_H
#define RSWAPCTL_POOLPRINT_H

#include "members.h"
#include "poolplan.h"
#include "poolreserve.h"

/* For people.  Of RESERVE only the tenants.  ENDPOINT is the server of etcd
 * that answered. */
void poolprint_table(const struct pool *pool, const struct members *members,
		     const struct poolreserve_view *reserve,
		     const char *endpoint);
/* One JSON object, in one line unless PRETTY. */
void poolprint_json(const struct pool *pool, const struct members *members,
		    const struct poolreserve_view *reserve, bool pretty);

/* How full servers are, and what would move. */
void poolprint_plan_table(const struct pool *pool, const struct poolplan *plan);
void poolprint_plan_json(const struct pool *pool, const struct poolplan *plan);

#endif
