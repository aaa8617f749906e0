/* Handing slabs out: from the stock at once, or by way of the preparing
 * thread, and for RDMA with one registered slab ahead of the session's wish.
 *
 * Sessions that have to wait take turns, one slab each: how many slabs a
 * session asks for, or how often it frees one and asks again, is of no account
 * to the others.  Main loop. */
#ifndef RSWAP_HANDOUT_H
#define RSWAP_HANDOUT_H

#include <stdint.h>

#include "session/session.h"

/* Before the first session. */
void handout_init(struct server *server);

/* Replies SLAB or ERROR to an ALLOC, now or later; replies to several may come
 * in another order than asked.  A label that the session has a slab for is
 * answered with that one. */
void handout_slab(struct session *session, uint32_t cookie, uint64_t label);

/* SESSION is new. */
void handout_open(struct session *session);

/* Gets an RDMA session's next slab ready, where memory allows.  A spare that is
 * not used for HANDOUT_SPARE_S goes back, as does that of a session which is
 * disconnected, and that which another session needs. */
#define HANDOUT_SPARE_S 60
void handout_spare(struct session *session);
/* Nothing to do where there is none. */
void handout_put_spare_back(struct session *session);

#endif
