/* What "rswapctl pool status" prints. */
#ifndef RSWAPCTL_POOLPRINT_H
#define RSWAPCTL_POOLPRINT_H

#include "members.h"

/* For people.  ENDPOINT is the server of etcd that answered. */
void poolprint_table(const struct pool *pool, const struct members *members,
		     const char *endpoint);
/* One JSON object, in one line unless PRETTY. */
void poolprint_json(const struct pool *pool, const struct members *members,
		    bool pretty);

#endif
