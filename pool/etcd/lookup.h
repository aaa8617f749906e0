/* Looking up the names of servers with a deadline: in a thread, since a name
 * service that is silent takes some ten seconds, or minutes, to say so, and
 * meanwhile leases have to be kept alive.  A look-up that hangs holds nobody:
 * what it needs stays until it ends, or the process does.
 *
 *   IDLE  --lookup_ask-->  ASKED  --the thread has an answer-->  DONE
 *   DONE  --lookup_take-->  IDLE
 *
 * One thread looks names up, one after the other.  It ends when no name is
 * left, until lookup_start makes it stay.  Only the user's thread calls this.
 */
#ifndef RSWAP_ETCD_LOOKUP_H
#define RSWAP_ETCD_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "error.h"
#include "net.h"

struct lookup;

/* Of NAMES [N], N <= ETCD_ENDPOINTS_MAX; below, WHICH is less than N.  NULL:
 * memory is short. */
struct lookup *lookup_open(const struct net_name *names, unsigned n);
/* NULL is allowed. */
void lookup_close(struct lookup *lookup);

/* Starts a thread that stays, if a name needs one: where no thread can be
 * started later, and because this one has the privileges of its caller.  One
 * that was started before ends.  Other threads do not use LOOKUP meanwhile.
 * 0 or an errno. */
int lookup_start(struct lookup *lookup);

/* Has the name looked up, unless that is asked already.  An address is no
 * name, and known at once. */
void lookup_ask(struct lookup *lookup, unsigned which);
/* When it was asked; 0: it is IDLE. */
uint64_t lookup_asked_ns(struct lookup *lookup, unsigned which);
/* Waits for the answer until UNTIL_NS.  Whether there is one. */
bool lookup_wait(struct lookup *lookup, unsigned which, uint64_t until_ns);
/* Takes the answer, if there is one.  *RC: as net_resolve, with ADDRS or WHY.
 */
bool lookup_take(struct lookup *lookup, unsigned which, int *rc,
		 struct net_addrs *addrs, struct error *why);

#endif
