/* All tenants: those of a file of tenants, and those that have a session.
 *
 * Without a file every identity is a tenant without limits.  Main loop only. */
#ifndef RSWAP_TENANTS_H
#define RSWAP_TENANTS_H

#include "tenant.h"

/* Every identity is a tenant without limits. */
void tenants_init(struct tenants *tenants, struct slab_pool *pool);
/* There is no session any more. */
void tenants_close(struct tenants *tenants);

/* Takes the limits from the file at PATH, in the place of those before.  A
 * limit below what a tenant has takes nothing away.  0, or a negative errno and
 * the reason, which names the option: then nothing has changed. */
int tenants_read(struct tenants *tenants, const char *path, struct error *why);

/* How many names the file has. */
unsigned tenants_listed(const struct tenants *tenants);

/* What an identity has reserved in the pool. */
struct tenants_reservation {
	char name[WIRE_NAME_BYTES];
	uint64_t bytes;
	uint64_t over_bytes; /* of these, beyond its quota: not held back */
	bool has_tenant;     /* for tenants_reserve */
};

/* Holds memory back for the N identities of LIST, which is sorted by name, and
 * for no others.  One for which memory is short has no reservation. */
void tenants_reserve(struct tenants *tenants, struct tenants_reservation *list,
		     unsigned n);
/* What all tenants use, or have as guarantees, beyond what they have reserved.
 */
uint64_t tenants_unreserved_bytes(const struct tenants *tenants);

/* Whether IDENTITY has a line, or has a session from the time when it had one.
 * If not, WHY says so. */
bool tenants_know(const struct tenants *tenants, const char *identity,
		  struct error *why);

/* The tenant of IDENTITY ("" for a client without a key), which the caller
 * uses for a session and gives back with tenant_leave.  NULL and WHY when the
 * file has no line for it (-EACCES in *ERR), or when memory is short
 * (-ENOMEM). */
struct tenant *tenants_enter(struct tenants *tenants, const char *identity,
			     int *err, struct error *why);
/* TENANT may be gone afterwards. */
void tenants_leave(struct tenant *tenant);

/* What a client of IDENTITY is told as free. */
uint64_t tenants_free_bytes(struct tenants *tenants, const char *identity);

#endif
