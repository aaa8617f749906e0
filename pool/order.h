/* What a memory server of a pool is told to do: the value of a key of its own,
 * which the server follows (docs/pool.md).  Any thread. */
#ifndef RSWAP_POOL_ORDER_H
#define RSWAP_POOL_ORDER_H

#include <stdint.h>
#include <stdio.h>

#include "error.h"
#include "wire.h"

enum order_kind {
	ORDER_DRAIN, /* as "rswapctl drain" on its machine */
	ORDER_SERVE, /* takes that back */
};

struct order {
	enum order_kind kind;
	/* Of the server that the order is for, so that one which was started
	 * again does not obey an old order. */
	uint8_t incarnation[WIRE_INCARNATION_BYTES];
};

void order_write(const struct order *order, FILE *out);

/* 0, or a negative errno with WHY.  Members that it does not know are skipped.
 */
int order_parse(const char *value, struct order *order, struct error *why);

#endif
