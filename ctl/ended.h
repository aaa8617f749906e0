/* How nbdkit came to its end, and why where that is known. */
#ifndef RSWAPCTL_ENDED_H
#define RSWAPCTL_ENDED_H

#include "error.h"

/* Where a process was no child of ours, so that nobody tells how it ended. */
#define ENDED_UNKNOWN (-1)

/* STATUS is waitpid's, or ENDED_UNKNOWN. */
void ended_explain(int status, struct error *why);

#endif
