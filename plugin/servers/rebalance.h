/* Rebalancing: whether a client should move slabs from one of its servers to
 * others because that one is much fuller, and how many.  From figures alone, as
 * choose.h, and by the same cost, so that what one of the two does is not
 * undone by the other.
 *
 * Clients do not know of each other's moves until the servers report again.  So
 * each moves only its part: if the server has too many slabs by N, and a tenth
 * of its slabs is the client's, the client moves a tenth of N, and of that only
 * a part at a time.  Fractions are rounded by chance.  So it makes no
 * difference whether ten clients use the server or ten thousand.
 */
#ifndef RSWAP_REBALANCE_H
#define RSWAP_REBALANCE_H

#include "choose.h"

/* How much more a server must cost than another before slabs are moved, in
 * millionths of a server's memory.  Less would move slabs for what is noise. */
#define REBALANCE_WIDE_PPM 20000
/* Of what is to be moved, one in so many is moved before the next report. */
#define REBALANCE_PART 4

/* A decision under way.  Begins with all members 0. */
struct rebalance {
	/* The server that costs most of those with slabs of the client, and
	 * what the cheapest server costs.  Only where HAS_... is set. */
	struct choose_server from;
	uint32_t from_ppm, least_ppm;
	bool has_from, has_least;
};

/* Offers a server that is not asked for its slabs anyway. */
void rebalance_offer(struct rebalance *r, const struct choose_server *server);
/* Whether R->from is so much fuller than another server that it should give
 * slabs. */
bool rebalance_is_wide(const struct rebalance *r);
/* How many slabs to move from R->from until the next report: 0 where no server
 * is cheap enough. */
uint32_t rebalance_slabs(const struct rebalance *r, uint64_t seed);
/* Whether SERVER, that was offered, may take a slab from R->from. */
bool rebalance_may_take(const struct rebalance *r,
			const struct choose_server *server);

#endif
