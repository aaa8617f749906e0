/* How a reservation is shared out among servers.  Figures only; any thread. */
#ifndef RSWAP_POOL_SHARES_H
#define RSWAP_POOL_SHARES_H

#include <stdbool.h>
#include <stdint.h>

/* How many slabs of SLAB_BYTES may still be reserved on a server of
 * MEMORY_BYTES, of which others have reserved RESERVED_BYTES and use or
 * guarantee UNRESERVED_BYTES besides.  The factor applies to what may be
 * reserved in all. */
uint64_t shares_left(uint64_t memory_bytes, uint32_t overcommit_permille,
		     uint64_t unreserved_bytes, uint64_t reserved_bytes,
		     uint64_t slab_bytes);

/* How many slabs N servers can take together, each at most LEFT[i], and at most
 * MOST: no server has two parts of one slab. */
uint64_t shares_room(const uint64_t *left, unsigned n, uint64_t most);

/* Shares out WANTED slabs, which are no more than shares_room: each server gets
 * a part in proportion to what it can take.  So that placement, which fills
 * servers evenly, wants what was reserved. */
void shares_plan(const uint64_t *left, unsigned n, uint64_t most,
		 uint64_t wanted, uint64_t *shares);

#endif
