/* Tenants: what each identity may have of this server, and what it has.  A
 * tenant is the account of one identity.  All sessions of that identity share
 * it.  Where clients have no keys, all sessions share one tenant without
 * limits (tenants.h).
 *
 * The slabs of a tenant are those of its sessions: owned, held after FREE, or
 * being prepared for a client that waits.  A tenant may have one more slab
 *
 *   - if that stays within limits.memory_bytes, and
 *   - if the tenant has less than is guaranteed to it, or if free slabs are
 *     left beyond those that are guaranteed to other tenants.
 *
 * Guaranteed is limits.guaranteed_bytes, or what the tenant has reserved in the
 * pool of the server, within its quota, if that is more.  Reservations are made
 * elsewhere (server/reserved.h), and may be more than the server's memory: then
 * the tenant that comes first has it.
 *
 * A spare (grants/grant.h) is not counted: it goes back when another session
 * needs its memory.
 *
 * Main loop only, but for tenant_weight. */
#ifndef RSWAP_TENANT_H
#define RSWAP_TENANT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "error.h"
#include "slabs/slab.h"
#include "wire.h"

/* No limit: of bytes, and of sessions or lanes. */
#define TENANT_ANY_BYTES  UINT64_MAX
#define TENANT_ANY	  UINT32_MAX
#define TENANT_WEIGHT_MAX 100

struct tenant_limits {
	uint64_t memory_bytes;	   /* at most */
	uint64_t guaranteed_bytes; /* kept free for the tenant */
	uint32_t sessions;
	uint32_t lanes;	 /* of all its sessions together */
	uint32_t weight; /* 1 to TENANT_WEIGHT_MAX */
};

/* Nothing is guaranteed, and the weight is 1. */
extern const struct tenant_limits tenant_no_limits;

struct owner;
TAILQ_HEAD(owner_list, owner);

struct tenants;
struct tenantfile;

struct tenant {
	struct tenants *tenants;
	TAILQ_ENTRY(tenant) entry;
	char name[WIRE_NAME_BYTES]; /* "-" for clients without a key */
	struct tenant_limits limits;
	uint64_t reserved_bytes; /* in the pool; 0: nothing */
	/* Of these, beyond its quota there: not held back, though clients that
	 * reserve count them. */
	uint64_t over_bytes;
	_Atomic uint32_t weight; /* limits.weight, for data threads */

	bool listed;	/* in the file of tenants: is there without sessions */
	uint32_t users; /* sessions, also those that are ending */
	uint32_t sessions;
	uint32_t lanes; /* that its sessions asked for in OPEN */
	uint32_t slabs; /* see above */
	bool refused;	/* the log has the reason, and no slab came since */

	/* Of grants/turns.c: */
	struct owner_list waiting; /* by owner.turn: the first is next */
	bool waits;		   /* in turns->waiting */
	TAILQ_ENTRY(tenant) turn;
	uint64_t pass;

	/* Of session/release.c, while it shares out: */
	uint32_t owned;
	uint32_t quota;
};

/* What all tenants share: tenants.h. */
struct tenants {
	struct slab_pool *pool;
	struct tenantfile *file; /* NULL: no limits */
	TAILQ_HEAD(tenant_list, tenant) list;
	uint32_t slabs;	   /* of all tenants */
	uint64_t reserved; /* guaranteed, and not in use yet: of all tenants */
};

/* Fills in a zeroed TENANT of that NAME, which has nothing. */
void tenant_init(struct tenant *tenant, struct tenants *tenants,
		 const char *name, const struct tenant_limits *limits);

/* Sets the LIMITS of TENANT.  A limit below what the tenant has takes nothing
 * away. */
void tenant_limit(struct tenant *tenant, const struct tenant_limits *limits);

/* Sets what TENANT has reserved, and how much of that is beyond its quota. Less
 * than before takes nothing away. */
void tenant_reserve(struct tenant *tenant, uint64_t bytes, uint64_t over_bytes);
/* What it has reserved and is held back for it, as far as there is so much. */
uint64_t tenant_reserved_bytes(const struct tenant *tenant);
/* What TENANT uses, or has as a guarantee, beyond what it has reserved. */
uint64_t tenant_unreserved_bytes(const struct tenant *tenant);

/* Whether TENANT may have a session with LANES more lanes; or the limit that is
 * in the way. */
bool tenant_has_place(const struct tenant *tenant, uint32_t lanes,
		      struct error *why);

/* How many slabs TENANT may have now besides those that it has. */
uint32_t tenant_room(const struct tenant *tenant);
uint64_t tenant_free_bytes(const struct tenant *tenant);

/* Counts one more slab.  False, and nothing is counted, when there is no room.
 */
bool tenant_take_slab(struct tenant *tenant);
void tenant_put_slab(struct tenant *tenant);
/* Why there is no room.  True: the log has no such reason yet since a slab was
 * taken. */
bool tenant_refused(struct tenant *tenant, struct error *why);

/* Slabs that TENANT has beyond its guarantee, if it has COUNT slabs. */
uint32_t tenant_beyond(const struct tenant *tenant, uint32_t count);

/* Any thread; TENANT has a session. */
static inline uint32_t tenant_weight(const struct tenant *tenant)
{
	return atomic_load_explicit(&tenant->weight, memory_order_relaxed);
}

#endif
