/* The values by which memory of a pool is promised, each one JSON object
 * (docs/pool.md): what a client has reserved on a server, or in all; what an
 * identity may reserve (its quota); and the pool's settings.
 *
 * Readers skip members that they do not know: a later version may have more.
 * Any thread. */
#ifndef RSWAP_POOL_RESERVATION_H
#define RSWAP_POOL_RESERVATION_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "error.h"
#include "pool.h"
#include "wire.h"

/* The end of a reservation's keys: 32 hexadecimal digits, drawn by the client.
 */
#define RESERVATION_ID_BYTES 33

struct reservation {
	char identity[WIRE_NAME_BYTES]; /* "-" for a client without a key */
	char machine[WIRE_NAME_BYTES];	/* for people; may be empty */
	uint64_t bytes;			/* 1 or more */
};

/* How much of a server's memory may be reserved, in thousandths. */
#define SETTINGS_OVERCOMMIT_MIN	    100
#define SETTINGS_OVERCOMMIT_MAX	    100000
#define SETTINGS_OVERCOMMIT_DEFAULT 1000

struct pool_settings {
	uint32_t overcommit_permille;
};

void reservation_id_draw(char id[RESERVATION_ID_BYTES]);
bool reservation_id_ok(const char *id);

/* What the keys of the reservations on the server at ADDRESS begin with, and
 * those of the sums that IDENTITY reserves.  The end is an id. */
struct pool_key reservation_server_prefix(const struct pool *pool,
					  const char *address);
struct pool_key reservation_identity_prefix(const struct pool *pool,
					    const char *identity);
struct pool_key quota_key(const struct pool *pool, const char *identity);
struct pool_key settings_key(const struct pool *pool);

void reservation_write(const struct reservation *reservation, FILE *out);
void quota_write(uint64_t reserve_bytes, FILE *out);
void settings_write(const struct pool_settings *settings, FILE *out);

/* 0, or -EINVAL with WHY, which names the member that is wrong. */
int reservation_parse(const char *value, struct reservation *reservation,
		      struct error *why);
int quota_parse(const char *value, uint64_t *reserve_bytes, struct error *why);
int settings_parse(const char *value, struct pool_settings *settings,
		   struct error *why);

/* "1.5" as 1500: a factor with up to three digits behind the point, in the
 * range above.  False: it is none. */
bool overcommit_parse(const char *text, uint32_t *permille);

#endif
