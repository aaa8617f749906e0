#include "link_set.h"

#include <string.h>

#include "clock.h"
#include "times.h"
#include "token.h"

static bool expired(const struct link_slot *slot)
{
	return slot->state == SLOT_ISSUED && !clock_left_ns(slot->until_ns);
}

uint32_t link_set_token(struct link_set *set, struct wire_token *token)
{
	uint32_t number = 0;
	struct link_slot *slot;

	while (number < set->most && set->slots[number].state != SLOT_FREE &&
	       !expired(&set->slots[number]))
		number++;
	if (number == set->most)
		return WIRE_E_LIMIT;
	slot = &set->slots[number];
	if (!token_draw(slot->token))
		return WIRE_E_INTERNAL;
	slot->state = SLOT_ISSUED;
	slot->until_ns = clock_now_ns() + TIMES_TOKEN_S * NS_PER_S;
	*token = (struct wire_token){ .session = set->key, .lane = number };
	memcpy(token->token, slot->token, sizeof token->token);
	return 0;
}

/* --- joining --- */

static bool comes_by(const struct link_set *set, const struct link_ops *ops)
{
	return ops && (set->ops == ops || ops->adopt);
}

/* The slot that JOIN's token was issued for, or NULL. */
static struct link_slot *issued(struct link_set *set,
				const struct wire_join *join,
				const struct link_ops *ops)
{
	struct link_slot *slot;

	if (!set || !comes_by(set, ops) || join->lane >= LINK_SET_MAX)
		return NULL;
	slot = &set->slots[join->lane];
	return slot->state == SLOT_ISSUED &&
			       token_same(slot->token, join->token)
		       ? slot
		       : NULL;
}

struct link_set *link_admit(struct links *links, const struct wire_join *join,
			    const struct link_ops *ops, struct error *why)
{
	struct link_set *set = links->find(links->find_arg, join->session);
	struct link_slot *slot = issued(set, join, ops);

	if (!slot) {
		error_set(why, "a lane's token joins nothing");
		return NULL;
	}
	if (expired(slot)) {
		error_set(why,
			  "a lane's token has expired: it joins for %d "
			  "seconds",
			  TIMES_TOKEN_S);
		return NULL;
	}
	slot->state = SLOT_JOINED;
	memset(slot->token, 0, sizeof slot->token);
	return set;
}

void link_joined(struct link_set *set, uint32_t number, struct link *link)
{
	link->set = set;
	link->number = number;
	set->slots[number].link = link;
	set->count++;
}

void link_slot_free(struct link_set *set, uint32_t number)
{
	set->slots[number] = (struct link_slot){ .state = SLOT_FREE };
}

/* --- closing --- */

void link_close(struct link *link)
{
	if (link->closing)
		return;
	link->closing = true;
	link->ops->link_close(link);
}

static void revoke_tokens(struct link_set *set)
{
	for (uint32_t i = 0; i < LINK_SET_MAX; i++) {
		if (set->slots[i].state == SLOT_ISSUED)
			link_slot_free(set, i);
	}
}

static void close_links(struct link_set *set)
{
	for (uint32_t i = 0; i < LINK_SET_MAX; i++) {
		if (set->slots[i].state == SLOT_JOINED)
			link_close(set->slots[i].link);
	}
}

void link_set_close(struct link_set *set)
{
	set->fencing = false;
	revoke_tokens(set);
	close_links(set);
}

static void fence_done(struct link_set *set)
{
	set->fencing = false;
	set->fenced(set);
}

void link_gone(struct link *link)
{
	struct link_set *set = link->set;

	link_slot_free(set, link->number);
	set->count--;
	if (link->fenced && set->fencing && --set->fence_left == 0)
		fence_done(set);
	set->gone(set);
}

void link_set_fence(struct link_set *set)
{
	revoke_tokens(set);
	set->fencing = true;
	set->fence_closed = set->fence_left = set->count;
	for (uint32_t i = 0; i < LINK_SET_MAX; i++) {
		if (set->slots[i].state == SLOT_JOINED)
			set->slots[i].link->fenced = true;
	}
	close_links(set);
	if (!set->fence_left)
		fence_done(set);
}

void link_set_drop_freed(struct link_set *set)
{
	for (uint32_t i = 0; i < LINK_SET_MAX; i++) {
		struct link *link = set->slots[i].link;

		if (link && link->ops->link_drop_freed)
			link->ops->link_drop_freed(link);
	}
}
