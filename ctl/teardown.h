/* The steps that end a swap device, for detach and for the undoing of attach.
 * Each step checks again that its object is unused, and refuses rather than
 * disconnect a device under its user.  The caller holds the name's lock. */
#ifndef RSWAPCTL_TEARDOWN_H
#define RSWAPCTL_TEARDOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "statedir.h"

/* How long disconnecting, or stopping nbdkit, may take. */
#define TEARDOWN_STEP_NS (30 * NS_PER_S)
/* How long to wait for a program that has the device open exclusively: it may
 * be a tool that is about to end. */
#define TEARDOWN_CLAIM_NS (5 * NS_PER_S)

/* swapoff, if the device is swapped to.  Refuses if memory and other swap could
 * not hold the pages, unless FORCE; and if swap is on a device that stands on
 * this one.  If nbdkit or its connection is gone, no page can come back: then
 * memory does not matter, and *LOST_BYTES (else 0) tells how much was swapped
 * out.  0 or -1. */
int teardown_swap(const struct state *state, bool force, uint64_t deadline_ns,
		  uint64_t *lost_bytes, struct error *why);

/* Disconnects the device, if it is connected and the connection is this name's.
 * Refuses while swap, a holder or a mount uses the device.  Waits until
 * CLAIM_DEADLINE_NS for a program that has the device open exclusively.  From
 * the check to the end no program can begin to use the device.  0 or -1. */
int teardown_device(const struct state *state, uint64_t claim_deadline_ns,
		    struct error *why);

/* Ends nbdkit, if it runs.  0 or -1. */
int teardown_nbdkit(const struct state *state, struct error *why);

#endif
