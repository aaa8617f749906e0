/* The servers of a reservation in the pool, each with its part: those that the
 * device uses.  When it leaves one, or one drains, what is reserved there is
 * misplaced.
 *
 * The thread of poolreserve.h. */
#ifndef RSWAP_POOLPARTS_H
#define RSWAP_POOLPARTS_H

#include <stdint.h>

#include "engine.h"
#include "ledger.h"
#include "members.h"

/* LEDGER wants a part on each server of ENGINE that is one of MEMBERS, with
 * what it has.  A server that is given by hand may be in the pool or not. */
void poolparts_begin(struct ledger *ledger, const struct members *members,
		     const struct engine_config *engine);

/* What LEDGER has reserved on the server at ADDRESS, as in the pool's keys.
 * Nothing once its lease has ended. */
uint64_t poolparts_bytes(const struct ledger *ledger, const char *address);

/* How many slabs are reserved on servers that ENGINE does not use any more,
 * that drain, or that are lost and have left the pool. */
uint64_t poolparts_misplaced(const struct ledger *ledger,
			     const struct members *members,
			     const struct engine *engine);

/* LEDGER wants a part on each server that ENGINE uses now and that does not
 * drain, with what it has now, and has the misplaced parts to be given back.
 * ENGINE: NULL if it uses the same as before. */
void poolparts_look_again(struct ledger *ledger, const struct members *members,
			  const struct engine *engine);

#endif
