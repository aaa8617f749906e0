/* Whether a wait should spin before it sleeps: as long as spins pay.
 *
 * A spin fails when it ends before the awaited event comes: the network is
 * slower than the spin is long, or the thread that should answer has no
 * processor while this thread spins.  After some failures in a row, waits sleep
 * at once.  From time to time a wait spins again, to see whether spins pay
 * again.
 *
 * One thread at a time. */
#ifndef RSWAP_SPIN_H
#define RSWAP_SPIN_H

#include <stdbool.h>
#include <stdint.h>

#define SPIN_PATIENCE 4	 /* failed spins in a row */
#define SPIN_REST     64 /* waits without a spin, before the next spin */

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

/* After a wait that spun: whether the spin ended in time. */
static inline void spin_learn(struct spin *spin, bool in_time)
{
	if (in_time)
		spin->failures = 0;
	else if (spin->failures < SPIN_PATIENCE)
		spin->failures++;
}

#endif
