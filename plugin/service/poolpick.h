/* Which servers of a pool a plugin uses, where there are more than it may use.
 * Any thread. */
#ifndef RSWAP_POOLPICK_H
#define RSWAP_POOLPICK_H

#include <stdbool.h>
#include <stdint.h>

#include "members.h"

struct poolpick {
	const struct members *members;
	uint32_t transports; /* bits as WELCOME has them, one of which it has */
	uint64_t slab_bytes; /* 0: that of the first server that is chosen */
	uint64_t free_bytes; /* at least */
	/* What is reserved there for who chooses: it is free too, though the
	 * pool does not say so.  NULL: nothing anywhere. */
	uint64_t (*own_bytes)(void *arg, const struct members_entry *entry);
	/* Whether a server is in use already.  It is not chosen, and counts in
	 * its zone, unless it drains. */
	bool (*is_used)(void *arg, const struct net_name *address);
	/* Whether a server is not to be chosen, used or not.  NULL: none. */
	bool (*is_avoided)(void *arg, const struct member *member);
	void *arg;
	uint64_t seed; /* the same choice for the same seed; 0: another one each
			  time */
};

/* Chooses servers that serve and that are not used yet, at most N, the best
 * ones first: in as many zones as possible, where the zones of servers that are
 * in use count too, and in these zones as
 * servers/choose.h says, so that many plugins that choose at once do not choose
 * the same.  Servers without room come last, in any order, and in as many zones
 * as possible too.  Returns how many are in NAMES, or a negative errno. */
int poolpick_choose(const struct poolpick *pick, struct net_name *names,
		    uint32_t n);

#endif
