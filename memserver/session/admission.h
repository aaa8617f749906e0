/* Connections that have not proved yet that they are of use: newcomers.
 *
 * Anybody who reaches the port can open connections and say nothing.  That must
 * not keep out a client that has a session here and comes to RESUME it or to
 * JOIN a lane.  So:
 *
 *   - newcomers from an address that a session has (known) and all others
 *     (strangers) have slots of their own: strangers never take those of the
 *     known;
 *   - one address has only some of the slots;
 *   - where there is no slot left, the oldest newcomer that shares it goes, not
 *     the one that comes: a client that is alive says at once whose it is.
 *
 * A connection that has opened, resumed or joined is a newcomer no more; how
 * many of those there are is limited by sessions and their lanes.
 *
 * Main loop only. */
#ifndef RSWAP_ADMISSION_H
#define RSWAP_ADMISSION_H

#include <stdbool.h>

#include "list.h"
#include "net.h"

/* Newcomers at a time: strangers, and as many known ones. */
#define ADMISSION_MAX 256
/* Of them from one address; of IPv6, from one network of 64 bits. */
#define ADMISSION_ADDRESS_MAX 64

/* Embedded in the connection. */
struct newcomer {
	struct list link;
	struct net_addr addr;
	bool known;
};

struct admission {
	struct list newcomers[2]; /* strangers and known ones, oldest first */
	unsigned count[2];
};

void admission_init(struct admission *admission);

/* Takes in NEWCOMER, from ADDR.  KNOWN: a session is at that address.  Returns
 * the newcomer that has to go for it, which is left out already: its connection
 * is the caller's to end.  NULL where there is room. */
struct newcomer *admission_enter(struct admission *admission,
				 struct newcomer *newcomer,
				 const struct net_addr *addr, bool known);

/* NEWCOMER has proved itself, or ended.  Harmless where it had left. */
void admission_leave(struct admission *admission, struct newcomer *newcomer);

/* The newcomer to end where something else than slots is short: the oldest
 * stranger, else the oldest known one; left out already.  NULL without. */
struct newcomer *admission_oldest(struct admission *admission);

/* Whether both are one peer's: the same IPv4 address, or IPv6 network. */
bool admission_same_address(const struct net_addr *a, const struct net_addr *b);

#endif
