/* What clients have reserved on this server, as its pool tells (docs/pool.md):
 * a view of the keys in etcd, whose sums become guarantees of tenants, each
 * within the quota of its identity (quotas.h).  The server alone holds memory
 * back; etcd only says for which identity.
 *
 * A reservation whose key is deleted counts no more at once.  One that is
 * missing when all keys are listed anew counts on for a while: an etcd that was
 * restarted empty has forgotten reservations of devices that live, and they put
 * them again.  While etcd is away everything stays.
 *
 * The thread of the registration uses it, but for reserved_apply. */
#ifndef RSWAP_RESERVED_H
#define RSWAP_RESERVED_H

#include "complaint.h"
#include "etcd/view.h"
#include "quotas.h"
#include "reservation.h"
#include "tenants/tenants.h"

/* Reservations on one server.  Those beyond are not held back. */
#define RESERVED_MAX 4096

/* The reservation of one client. */
struct reserved_entry {
	char id[RESERVATION_ID_BYTES];
	char identity[WIRE_NAME_BYTES];
	uint64_t bytes;
	bool is_listed;	  /* while all keys are listed anew */
	uint64_t gone_ns; /* when it ends, as it was not listed; 0: it was */
};

struct reserved {
	struct etcd_view view;
	struct pool_key prefix;
	const char *pool;		/* its name, for messages */
	struct reserved_entry *entries; /* [RESERVED_MAX] */
	unsigned n;
	const struct quotas *quotas;
	bool changed;		 /* since they were handed over */
	uint64_t quotas_changes; /* that they were handed over with */
	bool told_over; /* that an identity has reserved beyond its quota */
	bool complained_of_key;
	struct complaint of_etcd;
	/* One for each identity, as handed over. */
	struct tenants_reservation *sums; /* [RESERVED_MAX] */
	unsigned n_sums;
};

/* For the server at ADDRESS.  POOL and QUOTAS stay where they are.  0, or
 * -ENOMEM with WHY. */
int reserved_open(struct reserved *reserved, struct etcd *etcd,
		  const struct pool *pool, const char *address,
		  const struct quotas *quotas, struct error *why);
/* Reads what etcd tells until UNTIL_NS, or until something is told or the
 * client of etcd is woken.  0, or a negative errno with WHY, as of
 * etcd_view_step. */
int reserved_step(struct reserved *reserved, uint64_t until_ns,
		  struct error *why);
/* The registration fails: ends the watch, which reserved_step begins again. All
 * reservations stay. */
void reserved_rest(struct reserved *reserved);
/* Takes the sums, by reserved_apply.  False: it could not. */
typedef bool reserved_take(void *arg);
/* If something has changed, quotas too: makes the sums anew, and has TAKE take
 * them.  If it cannot, the next call has it try again. */
void reserved_hand_over(struct reserved *reserved, reserved_take *take,
			void *arg);
/* Makes the sums guarantees.  Main loop, while the thread waits. */
void reserved_apply(struct reserved *reserved, struct tenants *tenants);
void reserved_close(struct reserved *reserved);

#endif
