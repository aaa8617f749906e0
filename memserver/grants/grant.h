/* Grants: which owner gets the next slab.  A slab comes from the stock at once,
 * or from the preparing thread.  Where slabs have to be registered, one
 * registered slab waits ahead of each owner: the spare.
 *
 * Owners that have to wait take turns (turns.h).  At its turn an owner gets a
 * slab if its tenant may have one more (tenants/tenant.h).  Main loop only. */
#ifndef RSWAP_MEMSERVER_GRANT_H
#define RSWAP_MEMSERVER_GRANT_H

#include <stdint.h>

#include "owner.h"

/* Fills in GRANTS, before the first owner. */
void grants_init(struct grants *grants, struct slab_pool *pool,
		 struct tenants *tenants, struct workq *preparer,
		 struct ev_loop *loop);

/* The free memory that a client of IDENTITY is told: what its tenant may have,
 * and none while no slab is granted. */
uint64_t grants_free_bytes(struct grants *grants, const char *identity);
/* The same for the client of OWNER. */
uint64_t grant_free_bytes(const struct owner *owner);

/* OWNER is new. */
void grant_open(struct owner *owner);

/* Replies SLAB or ERROR to an ALLOC, now or later.  Replies to several may come
 * in another order than the requests.  For a LABEL that the owner has a slab
 * of, the reply names that slab. */
void grant_slab(struct owner *owner, uint32_t cookie, uint64_t label);

/* Gets the spare of OWNER ready, if its slabs are registered and memory allows.
 * A spare goes back after GRANT_SPARE_S without use, when its owner is
 * disconnected, and when another owner needs the memory. */
#define GRANT_SPARE_S 60
void grant_spare(struct owner *owner);
/* Does nothing when OWNER has no spare. */
void grant_put_spare_back(struct owner *owner);

#endif
