/* Turns: which of the owners that wait gets the next slab.
 *
 * Tenants share by weight: of two tenants that both wait, one with twice the
 * weight gets twice as many turns (stride scheduling).  The owners of one
 * tenant take turns, one slab each.  So neither the number of slabs that an
 * owner asks for, nor the number of sessions of a tenant, delays the others.
 *
 * Main loop only. */
#ifndef RSWAP_MEMSERVER_TURNS_H
#define RSWAP_MEMSERVER_TURNS_H

#include "owner.h"

void turns_init(struct turns *turns);

/* OWNER waits from now on, behind the others of its tenant.  Does nothing when
 * OWNER waits already. */
void turns_wait(struct turns *turns, struct owner *owner);

/* The owner whose turn it is, which does not wait any more.  NULL when none
 * waits. */
struct owner *turns_take(struct turns *turns);

#endif
