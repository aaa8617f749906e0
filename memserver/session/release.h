/* Asking clients for slabs: for all slabs while the server drains, for some
 * while its machine is short of memory.  Meanwhile no slab is granted and no
 * free memory is reported, so that slabs which were moved away do not come
 * back.
 *
 * Main loop only. */
#ifndef RSWAP_RELEASE_H
#define RSWAP_RELEASE_H

#include <stdint.h>

#include "session.h"

/* What a drain still waits for. */
struct release_held {
	uint32_t slabs;
	unsigned sessions; /* that hold any */
	unsigned away;	   /* of these: disconnected */
};
struct release_held release_held(const struct sessions *sessions);

/* "serving", "draining" and so on, for the status. */
const char *release_state_name(const struct sessions *sessions);
/* All of these names, and NULL. */
extern const char *const release_states[];

/* Asks every session for every slab, or takes that back. */
void release_drain(struct sessions *sessions, enum release_drain drain);

/* Asks for an eighth of the granted slabs, at least one: of what tenants have
 * beyond their guarantee, and only then of the rest, of each session by what it
 * holds.  Or takes that back. */
void release_some(struct sessions *sessions);
void release_no_more(struct sessions *sessions);

/* SESSION has opened or resumed: tells it what it is asked for, if anything. */
void release_tell(struct session *session);
/* SESSION gave one slab back. */
void release_given_back(struct session *session);

#endif
