/* Whether a wait should spin before it sleeps: as long as spins pay.
 *
 * A spin that ends without what it waited for was for nothing: the network is
 * slower than the spin is long, or who should answer has no processor while
 * this one spins.  After some of those in a shard index a wait sleeps at once,
 * and only now and then one spins again to see whether that has changed.
 *
 * One thread at a time. */
#ifndef RSWAP_SPIN_H
#define RSWAP_SPIN_H

#include <stdbool.h>
#include <stdint.h>

#define SPIN_PATIENCE 4	 /* spins for nothing, in a shard index */
#define SPIN_REST     64 /* waits without one, until the next is tried */

struct spin {
	uint8_t failures;
	uint8_t rested;
};

/* Before a wait: whether to spin. */
static inline bool spin_pays(struct spin *spin)
{
	if (spin->failures < SPIN_PATIENCE)
		return true;
	if (++spin->rested < SPIN_REST)
		return false;
	spin->rested = 0;
	return true;
}

/* After one that spun: whether it ended in time. */
static inline void spin_learn(struct spin *spin, bool in_time)
{
	if (in_time)
		spin->failures = 0;
	else if (spin->failures < SPIN_PATIENCE)
		spin->failures++;
}

#endif
