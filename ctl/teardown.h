/* The steps that end a swap device, for detach and for the undoing of attach.
 * Each step checks again that its object is unused, and refuses rather than
 * disconnect a device under its user.  The caller holds the name's lock. */
#ifndef RSWAPCTL_TEARDOWN_H
#define RSWAPCTL_TEARDOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "statedir.h"

/* How long disconnecting, or stopping the front end, may take. */
#define TEARDOWN_STEP_NS (30 * NS_PER_S)
/* How long to wait for a program that has the device open exclusively: it may
 * be a tool that is about to end. */
#define TEARDOWN_CLAIM_NS (5 * NS_PER_S)

/* Has systemd wait NS for what follows, where this process is a unit's. */
void teardown_ask_for_time(uint64_t ns);

/* swapoff, if the device is swapped to (swapoff.h: with progress, and stopped
 * if memory runs out).  Refuses if memory and other swap could not hold the
 * pages, unless FORCE; if swap is on a device that stands on this one; and
 * where the kernel can't end the swap.  If the front end or its connection is
 * gone, no page can come back: then memory does not matter, and *LOST_BYTES
 * (else 0) tells how much was swapped out.  0 or -1. */
int teardown_swap(const struct state *state, bool force, uint64_t deadline_ns,
		  uint64_t *lost_bytes, struct error *why);

/* Disconnects the device, if it is connected and this name's.  Refuses while
 * swap, a holder or a mount uses the device.  Waits until CLAIM_DEADLINE_NS for
 * a program that has the device open exclusively.  From the check to the end no
 * program can begin to use the device.  A device that ends with its front end
 * is only checked here.  0 or -1. */
int teardown_device(const struct state *state, uint64_t claim_deadline_ns,
		    struct error *why);

/* Ends the front end, if it runs, and deletes what one that was killed has left
 * of its device.  Where the front end still has a device that is in use, the
 * front end goes on until it is not, and is not killed.  0 or -1. */
int teardown_front(const struct state *state, struct error *why);

/* Removes the state directory.  With the last one the kernel's memory settings
 * are put back. */
void teardown_directory(const struct state *state);

#endif
