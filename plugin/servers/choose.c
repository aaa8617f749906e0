#include "choose.h"

/* --- chance --- */

#define STEP UINT64_C(0x9e3779b97f4a7c15)

uint64_t choose_mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

/* True with probability PART / WHOLE.  RANDOM has CHANCE_BITS bits. */
#define CHANCE_BITS 24

static bool happens(uint64_t part, uint64_t whole, uint64_t random)
{
	return random * whole < part << CHANCE_BITS;
}

/* --- two of many --- */

/* In slabs.  Figures are reported one after the other, so there may be more
 * free than there is. */
static uint32_t size(const struct choose_server *server)
{
	return server->total_slabs > server->free_slabs ? server->total_slabs
							: server->free_slabs;
}

/* The server becomes the first with the probability that a draw from all offers
 * so far would draw it.  The first until then, which was drawn from all offers
 * before, becomes the second.  Otherwise the server becomes the second with the
 * probability that a draw from all offers but the first would draw it.  So both
 * are drawn right after each offer, and are not the same. */
static void pair_offer(struct choose_pair *pair,
		       const struct choose_server *server, uint64_t random)
{
	const uint64_t mask = (UINT64_C(1) << CHANCE_BITS) - 1;
	uint64_t part = size(server);

	pair->slabs += part;
	if (happens(part, pair->slabs, random & mask)) {
		pair->second = pair->first;
		pair->first = *server;
	} else if (happens(part, pair->slabs - size(&pair->first),
			   random >> CHANCE_BITS & mask)) {
		pair->second = *server;
	}
}

static bool pair_is_empty(const struct choose_pair *pair)
{
	return pair->slabs == 0;
}

/* --- cost --- */

uint32_t choose_fill_ppm(const struct choose_server *server, uint32_t more)
{
	uint64_t total = size(server);

	if (total == 0)
		return 1000000;
	return (uint32_t)((total - server->free_slabs + more) * 1000000 /
			  total);
}

static uint32_t slow_ppm(uint32_t read_us)
{
	uint32_t ppm = 0;

	for (; read_us > CHOOSE_FAST_US && ppm < CHOOSE_SLOW_MAX_PPM;
	     read_us /= 2)
		ppm += CHOOSE_SLOW_PPM;
	return ppm;
}

uint32_t choose_cost_ppm(const struct choose_server *server, uint32_t more)
{
	uint32_t load_permille =
		server->load_permille < 1000 ? server->load_permille : 1000;

	return choose_fill_ppm(server, more) + slow_ppm(server->read_us) +
	       load_permille * (CHOOSE_LOAD_PPM / 1000);
}

static const struct choose_server *cheaper(const struct choose_pair *pair)
{
	const struct choose_server *a = &pair->first, *b = &pair->second;
	uint32_t cost_a = choose_cost_ppm(a, 1), cost_b = choose_cost_ppm(b, 1);

	if (b->free_slabs == 0 || cost_a < cost_b)
		return a;
	/* among equals, in their order: the same order for each slab */
	return cost_b < cost_a || b->index < a->index ? b : a;
}

/* --- choosing --- */

void choose_begin(struct choose *c, const struct choose_shard *shards,
		  uint32_t n_shards, uint64_t seed)
{
	*c = (struct choose){ .shards = shards,
			      .n_shards = n_shards,
			      .random = seed,
			      .last_resort = CHOOSE_NONE };
}

void choose_apart(struct choose *c)
{
	c->apart = true;
}

void choose_offer(struct choose *c, const struct choose_server *server)
{
	bool crowded = false;
	uint64_t random = choose_mix(c->random += STEP);

	if (server->free_slabs == 0)
		return;
	for (uint32_t i = 0; i < c->n_shards; i++) {
		const struct choose_shard *shard = &c->shards[i];

		if (shard->server == server->index)
			return;
		crowded |= server->zone && shard->zone == server->zone &&
			   !shard->gives_way;
	}
	if (crowded && c->apart)
		return;
	if (server->last_resort) {
		c->last_resort = server->index;
		return;
	}
	pair_offer(crowded ? &c->crowded : &c->free, server, random);
}

uint32_t choose_end(const struct choose *c)
{
	if (!pair_is_empty(&c->free))
		return cheaper(&c->free)->index;
	if (!pair_is_empty(&c->crowded))
		return cheaper(&c->crowded)->index;
	return c->last_resort;
}
