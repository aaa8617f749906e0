/* The memory behind the slabs: address space, populating, locking. */
#ifndef RSWAP_MEMSERVER_SLAB_MEMORY_H
#define RSWAP_MEMSERVER_SLAB_MEMORY_H

#include "slab.h"

/* Reserves address space for pool->count slabs, and with --hugepages the pages.
 * 0, or a negative errno and WHY. */
int slab_memory_reserve(struct slab_pool *pool, struct error *why);
void slab_memory_unreserve(struct slab_pool *pool);

/* Populates SLAB with zeros and locks it.  0 or -ENOMEM.  Preparing thread. */
int slab_memory_populate(struct slab *slab);
/* Gives the memory of SLAB to the OS.  Preparing thread. */
void slab_memory_release(struct slab *slab);

#endif
