/* Servers that come and go while the engine runs (config.servers_max).
 *
 *   vacant --roster_join--------------------> in use, wanted, DOWN
 *   in use: the states of server.h
 *   in use, not wanted, DOWN ---------------> vacant
 *   in use, dismissed, UP without a slab ---> DOWN, so vacant
 *
 * A server that is in use and no longer wanted goes on as if it were: what it
 * holds is worth as much.  Only once its session is lost, nobody tries to reach
 * it any more.  roster_want may change its mind until then.
 *
 * Memory for all of them, and a thread for each, are there from the start, so a
 * join takes none but what a session does.  The thread of a vacant one sleeps.
 *
 * One thread at a time calls roster_join and roster_want.  It need not be
 * real-time, and may wait: nothing here is on the I/O path. */
#ifndef RSWAP_ROSTER_H
#define RSWAP_ROSTER_H

#include "core.h"

/* Whether server I may come and go: it is not one that was given by hand. */
bool roster_is_open(const struct engine *engine, uint32_t i);

/* Gives NAME, which no server has, to a vacant one, whose thread begins to open
 * a session.  NULL if none is vacant. */
struct server *roster_join(struct engine *engine, const struct net_name *name);

/* Whether SERVER is still wanted. */
void roster_want(struct server *server, bool wanted);

/* SERVER is not wanted any more, and its session ends once it holds no slab. It
 * cannot be taken back. */
void roster_dismiss(struct server *server);

/* How many are in use, and vacant. */
uint32_t roster_used(const struct engine *engine);
uint32_t roster_vacant(const struct engine *engine);

/* --- for session.c; the session's thread --- */

/* Sleeps while SERVER is vacant.  False if it has to stop. */
bool roster_wait(struct server *server);
/* Whether SERVER, which is UP, was dismissed and holds no slab.  No slab comes
 * before this thread takes one. */
bool roster_has_to_go(const struct server *server);
/* If SERVER, which is DOWN, is not wanted any more: makes it vacant.  True if
 * so. */
bool roster_leave(struct server *server);

#endif
