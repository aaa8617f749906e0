/* Ending a swap device, for detach and for the end of attach --foreground. */
#ifndef RSWAPCTL_DETACH_H
#define RSWAPCTL_DETACH_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

/* How long swapoff may take unless told otherwise: it reads every page back. */
#define DETACH_DEFAULT_S 900

struct detach_request {
	bool force; /* also where memory could not hold the pages that come back
		     */
	bool if_dead;	      /* not where a front end serves the device */
	uint64_t deadline_ns; /* of swapoff */
};

struct detach_outcome {
	bool was_gone;	     /* there was nothing of this name */
	bool lives;	     /* if_dead: a front end serves it, so it stays */
	uint64_t lost_bytes; /* were swapped out, and could not come back */
};

/* swapoff, disconnect, stop the front end, remove the state directory, in that
 * order: each step removes something on which nothing stands any more.  Takes
 * the name's lock.  0; or -1, and then the steps before the one that failed are
 * done. */
int detach_name(const char *name, const struct detach_request *request,
		struct detach_outcome *outcome, struct error *why);

#endif
