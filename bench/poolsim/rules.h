/* The rules of placement that poolsim compares. */
#ifndef POOLSIM_RULES_H
#define POOLSIM_RULES_H

#include "model.h"

/* rswap's: the plugin's choice of servers of the pool (service/poolpick.h), and
 * of one of these for each copy (servers/choose.h). */
sim_rule rule_rswap;
/* Any server with room that has no copy of the slab. */
sim_rule rule_random;
/* The server that has reported the most free memory, in another zone than the
 * slab's other copies. */
sim_rule rule_most_free;
/* One server for each copy, in another zone each, until it is full. */
sim_rule rule_single;

/* Moves slabs of CLIENT, as far as rswap's rules want it and MOST may be moved
 * until the next report.  Returns how many were. */
uint32_t rule_rebalance(struct sim *sim, struct sim_client *client,
			uint32_t most);

#endif
