/* What each identity may reserve at most, as the server's pool tells
 * (docs/pool.md): a view of the quotas in etcd.  reserved.h holds back no more
 * than that.
 *
 * While etcd is away, or does not tell, what is known goes on.  So does a quota
 * whose value is not understood any more.
 *
 * The thread of the registration uses it. */
#ifndef RSWAP_QUOTAS_H
#define RSWAP_QUOTAS_H

#include "complaint.h"
#include "etcd/view.h"
#include "pool.h"
#include "wire.h"

/* Identities that have one.  Those beyond are as without. */
#define QUOTAS_MAX 65536
/* No quota. */
#define QUOTAS_ANY UINT64_MAX

struct quotas_entry {
	char identity[WIRE_NAME_BYTES];
	uint64_t bytes;
	bool is_listed; /* while all keys are listed anew */
};

struct quotas {
	struct etcd_view view;
	struct pool_key prefix;
	const char *pool;	      /* its name, for messages */
	struct quotas_entry *entries; /* [n], by identity */
	unsigned n, room;
	uint64_t changes; /* ever */
	bool complained_of_key;
	struct complaint of_etcd;
};

/* POOL and QUOTAS stay where they are.  Asks etcd nothing. */
void quotas_open(struct quotas *quotas, struct etcd *etcd,
		 const struct pool *pool);
/* Takes what etcd has told, and where nothing is known, lists all.  Quotas that
 * cannot be read are told in the log. */
void quotas_step(struct quotas *quotas);
/* The registration fails: ends the watch, which quotas_step begins again.  All
 * quotas stay. */
void quotas_rest(struct quotas *quotas);
/* The quota of IDENTITY, or QUOTAS_ANY. */
uint64_t quotas_of(const struct quotas *quotas, const char *identity);
void quotas_close(struct quotas *quotas);

#endif
