/* swapoff(8) of a device, while somebody looks at it: what comes back has to
 * have a place, as swapoff does not check for one.  With too little memory the
 * machine would thrash, and the kernel would end processes. */
#ifndef RSWAPCTL_SWAPOFF_H
#define RSWAPCTL_SWAPOFF_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "swapinfo.h"

struct swapoff_order {
	const char *device;
	bool lost;  /* no page can come back, so memory does not matter */
	bool force; /* begins where there may be no place for all pages */
	uint64_t deadline_ns;
};

/* Whether memory and other swap can hold what is swapped out, with something
 * left for the rest of the machine.  If not, WHY tells the figures. */
bool swapoff_fits(const char *device, const struct swap_usage *swap,
		  struct error *why);

/* Refuses what does not fit, unless forced to.  Then runs swapoff, and shows on
 * standard output how much is back: on a terminal in one line that changes,
 * else in a line for each tenth.  If memory runs out meanwhile, or at the
 * deadline, or on a signal (run.h), swapoff is stopped: swap stays on, and what
 * is back is back.  0 or -1. */
int swapoff_run(const struct swapoff_order *order, struct error *why);

#endif
