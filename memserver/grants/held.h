/* Slabs that a session has freed while one of its lanes still moves their
 * bytes: a reply that the client does not read, or a WRITE that it does not
 * finish.  Nobody can have such a slab yet.  So it is counted to the session
 * that freed it (session->held_count), and a lane that holds one for longer
 * than HELD_S is closed: what a client no longer needs must not be missing to
 * others for ever.
 *
 * Main loop only. */
#ifndef RSWAP_HELD_H
#define RSWAP_HELD_H

#include "session/session.h"

/* Lanes are looked at that often; so a lane has up to twice as long. */
#define HELD_S 3

void held_init(struct session *session);

/* Takes SLAB away from SESSION, which owned it.  The pool has it at once, or
 * when the last lane is through with it. */
void held_disown(struct session *session, struct slab *slab);

/* SESSION is about to be freed; it has none. */
void held_stop(struct session *session);

#endif
