#include "rebalance.h"

void rebalance_offer(struct rebalance *r, const struct choose_server *server)
{
	uint32_t cost_ppm = choose_cost_ppm(server, 0);

	if (server->last_resort)
		return;
	if (server->own_slabs && (!r->has_from || cost_ppm > r->from_ppm)) {
		r->from = *server;
		r->from_ppm = cost_ppm;
		r->has_from = true;
	}
	if (server->free_slabs && (!r->has_least || cost_ppm < r->least_ppm)) {
		r->least_ppm = cost_ppm;
		r->has_least = true;
	}
}

bool rebalance_may_take(const struct rebalance *r,
			const struct choose_server *server)
{
	return r->has_from && !server->last_resort && server->free_slabs &&
	       choose_cost_ppm(server, 1) + REBALANCE_WIDE_PPM <= r->from_ppm;
}

bool rebalance_is_wide(const struct rebalance *r)
{
	return r->has_from && r->has_least &&
	       r->least_ppm + REBALANCE_WIDE_PPM <= r->from_ppm;
}

uint32_t rebalance_slabs(const struct rebalance *r, uint64_t seed)
{
	const struct choose_server *from = &r->from;
	uint64_t used, millionths;

	if (!rebalance_is_wide(r))
		return 0;
	used = from->total_slabs > from->free_slabs
		       ? from->total_slabs - from->free_slabs
		       : 0;
	/* What the client has there may be newer than what the server told. */
	if (used < from->own_slabs)
		used = from->own_slabs;
	/* Half of the difference, as the other server gets as much. */
	millionths = (uint64_t)(r->from_ppm - r->least_ppm) / 2 *
		     from->total_slabs / used * from->own_slabs /
		     REBALANCE_PART;
	return (uint32_t)((millionths + choose_mix(seed) % 1000000) / 1000000);
}
