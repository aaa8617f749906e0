/* Whether a device gives back what was written to it.  It writes over all of
 * the device. */
#ifndef RSWAPCTL_SELFTEST_H
#define RSWAPCTL_SELFTEST_H

#include <stdint.h>

#include "error.h"

struct nbd_handle;

/* Prints a line for each step.  0; or -1, also on a signal (run.h), and then
 * WHY names the step. */
int selftest_run(struct nbd_handle *nbd, uint64_t size_bytes,
		 struct error *why);

#endif
