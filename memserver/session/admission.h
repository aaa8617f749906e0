/* Newcomers: connections that have not yet opened, resumed or joined a session.
 *
 * Every host that reaches the port can open connections and stay silent.  That
 * must not keep out a client that has a session here and comes to RESUME it or
 * to JOIN a lane.  So:
 *
 *   - newcomers from an address that a session has (known) and all others
 *     (strangers) have slots of their own: strangers never take the slots of
 *     known ones;
 *   - one address has only some of the slots;
 *   - when there is no free slot, the oldest newcomer of that kind goes, and
 *     not the new one: a client that is alive says at once which session it
 *     wants;
 *   - newcomers that have shown more of a key go only when there are more of
 *     them than of others: a crowd that has no key does not stop a client in
 *     the middle of its handshake, nor between that and RESUME.
 *
 * A connection that has opened, resumed or joined is no newcomer any more.  The
 * limits of sessions and lanes bound the number of these.
 *
 * Main loop only. */
#ifndef RSWAP_ADMISSION_H
#define RSWAP_ADMISSION_H

#include <stdbool.h>
#include <sys/queue.h>

#include "error.h"
#include "net.h"

/* Strangers at a time, and as many known newcomers. */
#define ADMISSION_MAX 256
/* Of them from one address; of IPv6, from one network of 64 bits. */
#define ADMISSION_ADDRESS_MAX 64

/* What a newcomer has shown of a key. */
enum proof {
	PROOF_NONE,
	/* It has sent a first message that was made with a key.  It may be one
	 * that somebody heard and sends once more. */
	PROOF_HEARD,
	PROOF_KEY, /* it has the key */
	N_PROOFS
};

/* Embedded in the connection. */
struct newcomer {
	TAILQ_ENTRY(newcomer) entry; /* while `counted` */
	bool counted;
	struct net_addr addr;
	bool known;
	enum proof proof;
};

struct admission {
	TAILQ_HEAD(newcomer_list, newcomer)
	newcomers[2]; /* strangers and known ones, oldest first */
	unsigned count[2];
};

void admission_init(struct admission *admission);

/* Takes in NEWCOMER, from ADDR.  KNOWN: a session is at that address.  Returns
 * the newcomer that has to go, which is not counted any more: the caller ends
 * its connection, and WHY names the limit.  NULL when there is room. */
struct newcomer *admission_enter(struct admission *admission,
				 struct newcomer *newcomer,
				 const struct net_addr *addr, bool known,
				 struct error *why);

/* NEWCOMER has shown that much of a key. */
void admission_prove(struct newcomer *newcomer, enum proof proof);

/* NEWCOMER has a session, is a link, or has ended.  Harmless when repeated. */
void admission_leave(struct admission *admission, struct newcomer *newcomer);

/* The newcomer to end when descriptors are short: the oldest stranger, else the
 * oldest known one; not counted any more.  NULL when there is none. */
struct newcomer *admission_oldest(struct admission *admission);

/* Whether both belong to one peer: the same IPv4 address, or IPv6 network. */
bool admission_same_address(const struct net_addr *a, const struct net_addr *b);

#endif
