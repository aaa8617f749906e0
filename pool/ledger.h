/* Reserving memory of several servers of a pool at once.  Who has reserved what
 * stands in etcd (docs/pool.md); what is reserved never exceeds what may be,
 * however many clients reserve at the same time: each reads what is reserved on
 * the servers that it wants, and writes its part in a transaction which holds
 * only if nobody has reserved there since.  Clients that want other servers do
 * not get in each other's way.
 *
 * The thread of the client of etcd uses it. */
#ifndef RSWAP_POOL_LEDGER_H
#define RSWAP_POOL_LEDGER_H

#include "etcd/etcd.h"
#include "reservation.h"

/* A transaction of etcd has ETCD_TXN_MAX changes at most, and here one for each
 * server of before, of now, and one for the sum. */
#define LEDGER_SERVERS_MAX ((ETCD_TXN_MAX - 4) / 2)

struct ledger_server {
	struct net_text address; /* as in the keys */
	/* As it registers. */
	uint64_t memory_bytes;
	uint64_t unreserved_bytes; /* not to be reserved; 0: does not count */
	bool is_wanted; /* false: it has a part from before, to be given back */
	uint64_t slabs; /* the part that is reserved; 0: none */
	bool has_key;	/* of it, in etcd; or it may have */

	/* While a reservation is made: of others. */
	uint64_t reserved_bytes;
	uint64_t revision; /* when they were read */
};

struct ledger {
	struct etcd *etcd;
	const struct pool *pool;
	char id[RESERVATION_ID_BYTES];
	struct reservation who; /* without bytes */
	uint64_t lease;		/* of all keys */
	uint64_t parts_lease;	/* that the parts were reserved with */
	uint64_t revision;	/* of etcd's keys at that time */
	bool is_unsure; /* a change was not answered: etcd may have other parts
			 */

	/* At most half of them are wanted. */
	struct ledger_server servers[LEDGER_SERVERS_MAX * 2];
	unsigned n;
	uint64_t slab_bytes;
	uint64_t slabs;	    /* wanted in all */
	uint64_t most_each; /* on one server */
};

/* Reserves ledger->slabs on the servers that are wanted, anew: what is reserved
 * already counts as free, and goes from servers that are not wanted any more,
 * which are left out afterwards.  Parts that can stay stay, and their sum is
 * not held against a quota again while their lease lives.  Where others reserve
 * at the same time, tries again until DEADLINE_NS.  0, or a negative errno with
 * WHY: -ENOSPC  the servers have less; WHY has the figures -EDQUOT  the quota
 * of the identity is too small, likewise -EBUSY   others reserved all the time
 *   -ENOENT  the lease is gone
 *   others   as of etcd.h
 * Nothing has changed then, as far as is known. */
int ledger_reserve(struct ledger *ledger, uint64_t deadline_ns,
		   struct error *why);

/* What is reserved, in bytes. */
uint64_t ledger_bytes(const struct ledger *ledger);

#endif
