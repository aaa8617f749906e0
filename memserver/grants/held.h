/* Slabs that come back from their owner.
 *
 * A link may still move bytes of a slab that the client has freed: a reply that
 * the client does not read, or a WRITE that it does not finish.  Such a slab
 * cannot be granted to another owner yet.  So the slab counts for the owner
 * that freed it (owner->held_count), and a link that holds a freed slab for
 * longer than LINK_HELD_S is closed.  An owner that has as many of them as it
 * may gets no further slab meanwhile.
 *
 * Main loop only. */
#ifndef RSWAP_MEMSERVER_HELD_H
#define RSWAP_MEMSERVER_HELD_H

#include "owner.h"

/* Slabs that an ending owner gives back in one turn of the main loop: a session
 * may own thousands, and the other sessions wait meanwhile. */
#define HELD_BATCH 32

void held_open(struct owner *owner);

/* Takes slab NUMBER away from OWNER.  The slab goes back to the pool at once,
 * or when no link uses it any more.  0 or WIRE_E_NO_SLAB. */
uint32_t held_free(struct owner *owner, uint32_t number);

/* Takes all slabs away from OWNER, which is ending and has no links.  False:
 * some are left, and owner->settled is called when more went back. */
bool held_free_all(struct owner *owner);

/* OWNER has no held slab, and is about to be freed. */
void held_stop(struct owner *owner);

#endif
