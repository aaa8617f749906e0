/* Asking clients for slabs back: for all of them while the server drains, for
 * some while its machine is short of memory.  As long as either lasts no slab
 * is handed out, and no free memory is told: what is moved away must not come
 * back.
 *
 * Main loop only. */
#ifndef RSWAP_RELEASE_H
#define RSWAP_RELEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/server.h"
#include "session.h"

enum release_drain {
	RELEASE_SERVING,
	RELEASE_DRAINING, /* until it is undone */
	RELEASE_LEAVING,  /* and then the server ends */
};

/* What there is to wait for. */
struct release_held {
	uint32_t slabs;
	unsigned sessions; /* that hold any */
	unsigned away;	   /* of these: disconnected */
};
struct release_held release_held(const struct server *server);

/* Why no slab is handed out now, or NULL. */
const char *release_refusal(const struct server *server);
/* The free memory to tell: none where no slab is handed out. */
uint64_t release_free_bytes(struct server *server);

/* "serving", "draining" and so on, for the status. */
const char *release_state_name(const struct server *server);

/* Asks every session for every slab, or takes that back. */
void release_drain(struct server *server, enum release_drain drain);

/* Asks for an eighth of what is handed out, at least one slab, of sessions by
 * what they hold; or takes that back. */
void release_some(struct server *server);
void release_no_more(struct server *server);

/* SESSION has opened or resumed: tells it what is wished, if anything. */
void release_tell(struct session *session);
/* SESSION gave one slab back. */
void release_given_back(struct session *session);

#endif
