/* A pool: memory servers that find their clients, and are found, through etcd.
 * docs/pool.md says which keys there are.
 *
 *   etcd://HOST[:PORT][,HOST[:PORT]]... /NAME
 *
 * names the servers of an etcd cluster, and a pool in it.  Any thread. */
#ifndef RSWAP_POOL_H
#define RSWAP_POOL_H

#include <stdbool.h>

#include "error.h"
#include "etcd/etcd.h"

#define POOL_NAME_BYTES 64

/* What is allowed, for messages. */
#define POOL_URL_ALLOWED                                                       \
	"etcd://HOST[:PORT][,HOST[:PORT]]... and /NAME, with 1 to 8 hosts, "   \
	"and "                                                                 \
	"in the name 1 to 63 of a-z, 0-9, - and _"

struct pool {
	struct etcd_config etcd; /* its files are the caller's to set */
	char name[POOL_NAME_BYTES];
};

/* Takes URL apart.  The files of POOL stay as they are; all of POOL does, if
 * URL is wrong. */
bool pool_set_url(struct pool *pool, const char *url);

/* Whether the files of POOL go together.  WHY names the options, which begin
 * with PREFIX ("--" or ""). */
bool pool_check_files(const struct pool *pool, const char *prefix,
		      struct error *why);

/* What the keys of the pool's servers begin with, "/rswap/1/NAME/servers/". The
 * number is the version of the keys: a program does not look at those of other
 * versions. */
struct pool_prefix {
	char text[POOL_NAME_BYTES + 32];
};
struct pool_prefix pool_servers_prefix(const struct pool *pool);
/* And those of the orders to them, "/rswap/1/NAME/orders/". */
struct pool_prefix pool_orders_prefix(const struct pool *pool);

/* Any key of the pool, or what some begin with: "/rswap/1/NAME/" and what the
 * format gives.  It is cut where it is too long. */
struct pool_key {
	char text[512];
};
__attribute__((format(printf, 2, 3))) struct pool_key
pool_key(const struct pool *pool, const char *format, ...);

#endif
