/* How a front end ended, and why if that is known. */
#ifndef RSWAPCTL_ENDED_H
#define RSWAPCTL_ENDED_H

#include "error.h"
#include "front.h"

/* For a process that is no child of rswapctl: its exit status is unknown. */
#define ENDED_UNKNOWN (-1)

/* STATUS is waitpid's, or ENDED_UNKNOWN. */
void ended_explain(const struct front *front, int status, struct error *why);

#endif
