#include "poolpick.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct candidate {
	const struct member *member;
	uint32_t zone_uses; /* servers that were chosen in its zone */
};

/* Not for secrets: the generator of splitmix64. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static bool suits(const struct poolpick *pick,
		  const struct members_entry *entry)
{
	const struct member *m = &entry->member;

	return entry->is_understood && !strcmp(m->state, "serving") &&
	       m->transports & pick->transports &&
	       (!pick->slab_bytes || m->slab_bytes == pick->slab_bytes) &&
	       !pick->is_used(pick->arg, &m->address);
}

static uint32_t collect(const struct poolpick *pick,
			struct candidate *candidates)
{
	const struct members *members = pick->members;
	uint32_t n = 0;

	for (unsigned i = 0; i < members->n; i++) {
		if (suits(pick, &members->entries[i]))
			candidates[n++] = (struct candidate){
				.member = &members->entries[i].member
			};
	}
	return n;
}

/* Two at random of the candidates whose zones were chosen least: the one with
 * more free memory. */
static uint32_t best(const struct candidate *candidates, uint32_t n,
		     uint64_t *random)
{
	uint32_t least = UINT32_MAX, seen = 0, two[2] = { 0, 0 };

	for (uint32_t i = 0; i < n; i++) {
		if (candidates[i].zone_uses < least)
			least = candidates[i].zone_uses;
	}
	for (uint32_t i = 0; i < n; i++) {
		uint64_t place;

		if (candidates[i].zone_uses > least)
			continue;
		/* Each is one of the two with the same probability. */
		place = seen < 2 ? seen : next_random(random) % (seen + 1u);
		if (place < 2)
			two[place] = i;
		if (seen++ == 0)
			two[1] = i;
	}
	return candidates[two[0]].member->free_bytes >=
			       candidates[two[1]].member->free_bytes
		       ? two[0]
		       : two[1];
}

/* Takes candidate I out, and counts it in its zone.  A server without a zone
 * has one of its own. */
static uint32_t take_out(struct candidate *candidates, uint32_t n, uint32_t i)
{
	const struct member *taken = candidates[i].member;
	uint32_t kept = 0;

	for (uint32_t k = 0; k < n; k++) {
		struct candidate c = candidates[k];

		if (k == i || c.member->slab_bytes != taken->slab_bytes)
			continue;
		c.zone_uses +=
			*taken->zone && !strcmp(c.member->zone, taken->zone);
		candidates[kept++] = c;
	}
	return kept;
}

int poolpick_choose(const struct poolpick *pick, struct net_name *names,
		    uint32_t n)
{
	struct candidate *candidates =
		calloc(pick->members->n + 1u, sizeof *candidates);
	uint64_t random = 0;
	uint32_t left, chosen = 0;

	if (!candidates)
		return -ENOMEM;
	/* Without random bytes the choice is the same each time, and as good.
	 */
	(void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
	left = collect(pick, candidates);
	while (left && chosen < n) {
		uint32_t i = best(candidates, left, &random);

		names[chosen++] = candidates[i].member->address;
		left = take_out(candidates, left, i);
	}
	free(candidates);
	return (int)chosen;
}
