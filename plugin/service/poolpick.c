#include "poolpick.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "servers/choose.h"

struct candidate {
	const struct member *member;
	uint64_t free_bytes;
	/* Servers in its zone that were chosen, or are in use already. */
	uint32_t zone_uses;
};

static uint64_t free_bytes(const struct poolpick *pick,
			   const struct members_entry *entry)
{
	uint64_t own_bytes =
		pick->own_bytes ? pick->own_bytes(pick->arg, entry) : 0;

	return entry->member.free_bytes + own_bytes;
}

static bool suits(const struct poolpick *pick,
		  const struct members_entry *entry)
{
	const struct member *m = &entry->member;

	return entry->is_understood && !strcmp(m->state, "serving") &&
	       m->transports & pick->transports &&
	       (!pick->slab_bytes || m->slab_bytes == pick->slab_bytes) &&
	       free_bytes(pick, entry) >= pick->free_bytes &&
	       !pick->is_used(pick->arg, &m->address) &&
	       !(pick->is_avoided && pick->is_avoided(pick->arg, m));
}

/* Whether slabs that are there stay there, as far as the server knows. */
static bool stays(const struct member *m)
{
	return !strcmp(m->state, "serving") || !strcmp(m->state, "reclaiming");
}

/* A server without a zone has one of its own. */
static bool is_in_zone(const struct member *m, const char *zone)
{
	return *zone && !strcmp(m->zone, zone);
}

/* Counts the server in the zones of the candidates, if it is in use. */
static void count_used(const struct poolpick *pick,
		       const struct members_entry *entry,
		       struct candidate *candidates, uint32_t n)
{
	const struct member *m = &entry->member;

	if (!entry->is_understood || !*m->zone || !stays(m) ||
	    !pick->is_used(pick->arg, &m->address))
		return;
	for (uint32_t i = 0; i < n; i++)
		candidates[i].zone_uses +=
			is_in_zone(candidates[i].member, m->zone);
}

static uint32_t collect(const struct poolpick *pick,
			struct candidate *candidates)
{
	const struct members *members = pick->members;
	uint32_t n = 0;

	for (unsigned i = 0; i < members->n; i++) {
		const struct members_entry *entry = &members->entries[i];

		if (suits(pick, entry))
			candidates[n++] = (struct candidate){
				.member = &entry->member,
				.free_bytes = free_bytes(pick, entry)
			};
	}
	for (unsigned i = 0; n && i < members->n; i++)
		count_used(pick, &members->entries[i], candidates, n);
	return n;
}

static uint32_t slabs_of(const struct member *m, uint64_t bytes)
{
	uint64_t n = m->slab_bytes ? bytes / m->slab_bytes : 0;

	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static bool has_room(const struct candidate *c)
{
	return slabs_of(c->member, c->free_bytes) > 0;
}

static void offer(struct choose *choice, uint32_t i, const struct candidate *c)
{
	const struct member *m = c->member;

	choose_offer(choice,
		     &(struct choose_server){
			     .index = i,
			     .free_slabs = slabs_of(m, c->free_bytes),
			     .total_slabs = slabs_of(m, m->memory_bytes),
			     .load_permille = m->load_permille,
		     });
}

/* How often the zones were chosen that were chosen least. */
static uint32_t least_uses(const struct candidate *candidates, uint32_t n,
			   bool with_room)
{
	uint32_t least = UINT32_MAX;

	for (uint32_t i = 0; i < n; i++) {
		if (with_room && !has_room(&candidates[i]))
			continue;
		if (candidates[i].zone_uses < least)
			least = candidates[i].zone_uses;
	}
	return least;
}

/* One of the candidates in the zones that were chosen least, each with the same
 * chance. */
static uint32_t any(const struct candidate *candidates, uint32_t n,
		    uint64_t seed)
{
	uint32_t least = least_uses(candidates, n, false);
	uint32_t seen = 0, found = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (candidates[i].zone_uses == least &&
		    choose_mix(seed + i) % ++seen == 0)
			found = i;
	}
	return found;
}

/* Of the candidates with room, in the zones that were chosen least.  Without
 * one that has room, any: where all memory of a pool is reserved, devices that
 * start would otherwise all choose the same. */
static uint32_t best(const struct candidate *candidates, uint32_t n,
		     uint64_t seed)
{
	uint32_t least = least_uses(candidates, n, true), found;
	struct choose choice;

	choose_begin(&choice, NULL, 0, seed);
	for (uint32_t i = 0; i < n; i++) {
		if (candidates[i].zone_uses == least)
			offer(&choice, i, &candidates[i]);
	}
	found = choose_end(&choice);
	return found == CHOOSE_NONE ? any(candidates, n, seed) : found;
}

/* Takes candidate I out, and counts it in its zone. */
static uint32_t take_out(struct candidate *candidates, uint32_t n, uint32_t i)
{
	const struct member *taken = candidates[i].member;
	uint32_t kept = 0;

	for (uint32_t k = 0; k < n; k++) {
		struct candidate c = candidates[k];

		if (k == i || c.member->slab_bytes != taken->slab_bytes)
			continue;
		c.zone_uses += is_in_zone(c.member, taken->zone);
		candidates[kept++] = c;
	}
	return kept;
}

int poolpick_choose(const struct poolpick *pick, struct net_name *names,
		    uint32_t n)
{
	struct candidate *candidates =
		calloc(pick->members->n + 1u, sizeof *candidates);
	uint64_t seed = pick->seed;
	uint32_t left, chosen = 0;

	if (!candidates)
		return -ENOMEM;
	/* Without random bytes the choice is the same each time, and as good.
	 */
	if (!seed)
		(void)!getrandom(&seed, sizeof seed, GRND_NONBLOCK);
	left = collect(pick, candidates);
	while (left && chosen < n) {
		uint32_t i = best(candidates, left, seed + chosen);

		names[chosen++] = candidates[i].member->address;
		left = take_out(candidates, left, i);
	}
	free(candidates);
	return (int)chosen;
}
