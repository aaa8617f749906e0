/* Ending a swap device: also what attach --foreground does at its end. */
#ifndef RSWAPCTL_DETACH_H
#define RSWAPCTL_DETACH_H

#include <stdbool.h>
#include <stdint.h>

#include "reason.h"
#include "statedir.h"

/* How long swapoff may take unless told otherwise: it reads every page back. */
#define DETACH_DEFAULT_S 900

/* swapoff, disconnect, stop nbdkit, remove the state directory, in that order:
 * nothing is taken away before what stands on it is gone.  FORCE goes on where
 * memory and other swap could not hold what comes back.  0, or -1 with
 * everything left as it was before the step that failed. */
int detach_state(const struct state *state, bool force, uint64_t deadline_ns,
		 struct reason *why);

#endif
