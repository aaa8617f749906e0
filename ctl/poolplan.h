/* How unevenly the servers of a pool are filled, and how much front ends would
 * move to even that out, by their own rules (servers/rebalance.h). */
#ifndef RSWAPCTL_POOLPLAN_H
#define RSWAPCTL_POOLPLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "members.h"

struct poolplan_server {
	const struct member *member; /* it belongs to the members */
	uint32_t fill_ppm;	     /* in use, of its memory, in millionths */
	/* What is in use beyond the mean of all, or less than that. */
	int64_t excess_bytes;
};

struct poolplan {
	/* [n], those that are serving, by address; the caller frees it */
	struct poolplan_server *servers;
	unsigned n;
	uint32_t mean_ppm;   /* in use, of all memory */
	uint32_t spread_ppm; /* the largest fill less the smallest */
	/* What would move if one front end had all slabs, used all servers, and
	 * had no copies: zones and servers-max keep some of that where it is.
	 */
	uint64_t move_slabs, move_bytes;
	bool is_cut; /* it would be more: the computation was cut off */
};

/* 0, or -ENOMEM. */
int poolplan_make(struct poolplan *plan, const struct members *members);

#endif
