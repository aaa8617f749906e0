/* The owner of slabs: what a session is to the code that grants slabs.  A
 * session embeds its owner.  Main loop only. */
#ifndef RSWAP_MEMSERVER_OWNER_H
#define RSWAP_MEMSERVER_OWNER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "account.h"
#include "client.h"
#include "links/link_set.h"
#include "output/peername.h"
#include "slabs/slab.h"
#include "tenants/tenants.h"

struct grant;
struct owner;

TAILQ_HEAD(grant_list, grant);

/* The tenants whose owners wait for a slab: turns.h. */
struct turns {
	TAILQ_HEAD(, tenant) waiting; /* by tenant.turn */
	uint64_t pass;		      /* of the last turn */
};

/* What all owners share. */
struct grants {
	struct slab_pool *pool;
	struct tenants *tenants;
	struct workq *preparer;
	struct ev_loop *loop;
	bool keep_spares; /* one registered slab ahead of each owner */
	/* Why no slab is granted now, for clients; NULL: slabs are granted. */
	const char *refusal;
	struct turns turns;
	bool granting; /* a slab is being prepared for an owner that waits */
	struct owner_list
		spares; /* owners with a spare; by owner.spare_entry */
};

struct owner {
	struct grants *grants;
	struct tenant *tenant;
	struct link_set *links;
	uint32_t key; /* the session's id on the wire; never 0 */
	uint64_t size_bytes;
	struct client *client;	      /* NULL: disconnected, or ending */
	uint32_t connection;	      /* counts the client's connections */
	const struct peer_name *peer; /* the session's, for log lines */
	struct account account;
	bool ending;

	struct slab_list slabs;
	uint32_t slab_count;
	ev_timer give_back; /* while the slabs of an ending owner go back */

	struct slab_list held; /* freed, but a link still uses them: held.h */
	uint32_t held_count;
	ev_timer held_timer;

	uint32_t granted;	  /* grants under way */
	struct grant_list wanted; /* of these, those whose turn has not come */
	bool waits; /* in tenant->waiting, as `wanted` is not empty */
	TAILQ_ENTRY(owner) turn;

	struct slab *spare; /* registered, and not granted: grant_spare */
	bool spare_coming;
	ev_timer spare_limit;
	TAILQ_ENTRY(owner) spare_entry;

	/* The session's: a grant has come in, or a held slab has gone back.
	 * Called last, as the session may end here. */
	void (*settled)(struct owner *owner);
};

#endif
