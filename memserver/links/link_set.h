/* The links of one session: tokens, slots, and FENCE.  Main loop only. */
#ifndef RSWAP_MEMSERVER_LINK_SET_H
#define RSWAP_MEMSERVER_LINK_SET_H

#include "link.h"

/* Links of one session: a client has a lane for each of 256 requests, and some
 * for its own work. */
#define LINK_SET_MAX 264
_Static_assert(LINK_SET_MAX % 2 == 0, "slots have neighbours (tcp.c)");

enum link_slot_state { SLOT_FREE, SLOT_ISSUED, SLOT_JOINED };

struct link_slot {
	enum link_slot_state state;
	uint8_t token[WIRE_TOKEN_BYTES]; /* while ISSUED */
	uint64_t until_ns;		 /* the token joins */
	struct link *link;		 /* while JOINED, else NULL */
};

/* Embedded in the session. */
struct link_set {
	struct links *links;
	/* As OPEN asked for: what slabs are registered for, and how the links
	 * come in.  Links also come in by a transport that needs neither, see
	 * link_admit. */
	const struct link_ops *ops;
	uint32_t key;	/* the session's id on the wire */
	uint32_t most;	/* links, as OPEN asked for */
	uint32_t count; /* joined, and not gone yet */
	/* What the links' bytes weigh against those of other sessions; one
	 * address for all sessions of a tenant (loops/shares.h). */
	const _Atomic uint32_t *weight;
	const char *identity; /* of the session's client, or "" */
	struct link_slot slots[LINK_SET_MAX];

	/* What slabs are registered with.  NULL before the first link, and
	 * where slabs are not registered. */
	struct link_domain *domain;

	bool fencing;
	uint32_t fence_closed; /* links that the FENCE closes */
	uint32_t fence_left;   /* of these, not gone yet */

	/* The session's.  A link has joined, and slabs can be registered.  Only
	 * a transport that registers slabs says this. */
	void (*ready)(struct link_set *set);
	/* A FENCE is done: every link of that time is gone. */
	void (*fenced)(struct link_set *set);
	/* A link is gone; called last, as the session may end here. */
	void (*gone)(struct link_set *set);
};

/* Issues the token of one more link, which joins for TIMES_TOKEN_S.  A token
 * that has expired takes no place.  0 or an enum wire_error_code. */
uint32_t link_set_token(struct link_set *set, struct wire_token *token);

/* The set that JOIN's token belongs to.  The token is used up: the slot
 * join->lane belongs to the caller, who passes it to link_joined or to
 * link_slot_free.  OPS is the transport that the link came in by.  One that
 * adopts control connections is good for each session: a client whose own
 * transport does not connect reaches its slabs by it meanwhile.  NULL and
 * WHY when the token joins nothing, not by this transport, or not any more. */
struct link_set *link_admit(struct links *links, const struct wire_join *join,
			    const struct link_ops *ops, struct error *why);
void link_joined(struct link_set *set, uint32_t number, struct link *link);
void link_slot_free(struct link_set *set, uint32_t number);

/* Closes all links, and revokes tokens that were not used.  A FENCE that is
 * under way is forgotten. */
void link_set_close(struct link_set *set);

/* The same, and calls set->fenced when the links are gone, which may be at
 * once.  A link that was closing already counts. */
void link_set_fence(struct link_set *set);

/* Closes each link that has used a freed slab for LINK_HELD_S. */
void link_set_drop_freed(struct link_set *set);

#endif
