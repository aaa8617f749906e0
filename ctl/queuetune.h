/* The block queue of a swap device. */
#ifndef RSWAPCTL_QUEUETUNE_H
#define RSWAPCTL_QUEUETUNE_H

#include <stdbool.h>

#include "error.h"

/* Sets the queue of the device NAME (without "/dev/") for swap; RECORD keeps
 * what was there (settings.h).  False if the kernel refused a setting, with the
 * last one in WHY: the device works, but slower. */
bool queuetune_set(const char *name, const char *record, struct error *why);

#endif
