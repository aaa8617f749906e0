/* The memory servers of a pool, as etcd tells of them, in the order of their
 * addresses.  The thread of the client of etcd uses it. */
#ifndef RSWAP_POOL_MEMBERS_H
#define RSWAP_POOL_MEMBERS_H

#include <stdio.h>

#include "etcd/view.h"
#include "member.h"
#include "pool.h"

/* Keys beyond that are skipped. */
#define MEMBERS_MAX 16384u

/* One key.  What it says may not be understood. */
struct members_entry {
	struct net_text address; /* the end of the key */
	bool is_understood;
	struct member member; /* if it is */
	struct error why;     /* if it is not */
	uint64_t lease;	      /* of the key; 0: none, or not from etcd */
	bool is_listed;	      /* while all keys are listed anew */
};

struct members {
	struct etcd_view view;
	struct pool_prefix prefix;
	struct members_entry *entries; /* [n] */
	unsigned n, room;
	uint64_t changes;  /* ever */
	uint64_t too_many; /* keys that were skipped */
	bool out_of_memory;
	/* Unless it is NULL: called with each value from etcd that is
	 * understood, also if another one, or the key's end, came at once. */
	void (*each)(void *arg, const struct members_entry *entry);
	void *arg; /* its first argument */
};

/* Neither is copied, and ETCD and MEMBERS stay where they are. */
void members_open(struct members *members, struct etcd *etcd,
		  const struct pool *pool);
/* Does what can be done until DEADLINE_NS, and returns when something may have
 * changed.  All members are there after the first 0.  Errors are as of
 * etcd_view_step. */
int members_step(struct members *members, uint64_t deadline_ns,
		 struct error *why);
void members_close(struct members *members);

/* The entry of ADDRESS, "HOST:PORT", or NULL.  Good until the next step. */
const struct members_entry *members_find(const struct members *members,
					 const char *address);

/* --- members_file.c: for a start without etcd --- */

/* The longest text. */
#define MEMBERS_TEXT_MAX (8u << 20)

/* Writes those that are understood: a line that names POOL, and a line for
 * each, "ADDRESS VALUE".  False if OUT failed. */
bool members_write(const struct members *members, const char *pool, FILE *out);
/* Takes them from TEXT, which is changed meanwhile.  The first list that etcd
 * gives takes their place.  0, or a negative errno with WHY. */
int members_read(struct members *members, const char *pool, char *text,
		 struct error *why);

/* For members_file.c: ADDRESS has VALUE.  False if there is no room. */
bool members_put(struct members *members, const char *address,
		 const char *value);

#endif
