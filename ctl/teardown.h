/* The steps that end a swap device, for detach and for what attach undoes. Each
 * looks again at what stands on what it takes away, and refuses rather than
 * disconnect a device under its user.  The caller holds the name's lock. */
#ifndef RSWAPCTL_TEARDOWN_H
#define RSWAPCTL_TEARDOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "statedir.h"

/* What disconnecting, or stopping nbdkit, takes at most. */
#define TEARDOWN_STEP_NS (30 * NS_PER_S)
/* How long somebody is waited for who has the device open exclusively and is
 * not in the way for good: a tool that is about to end. */
#define TEARDOWN_CLAIM_NS (5 * NS_PER_S)

/* swapoff, if the device is swapped to.  Refused where memory and other swap
 * could not hold what comes back, unless FORCE; and where swap is on a device
 * that stands on this one.  Where nothing can come back, because nbdkit or its
 * connection is gone, this is not asked: *LOST_BYTES (else 0) tells how much
 * was swapped out then.  0 or -1. */
int teardown_swap(const struct state *state, bool force, uint64_t deadline_ns,
		  uint64_t *lost_bytes, struct error *why);

/* Disconnects the device, if it is connected and the connection is this name's.
 * Refused while anything uses the device: swap, what stands on it, a mount, or
 * whoever has it open exclusively, for which it waits until CLAIM_DEADLINE_NS.
 * From this look to the end nobody can begin to use it.  0 or -1. */
int teardown_device(const struct state *state, uint64_t claim_deadline_ns,
		    struct error *why);

/* Ends nbdkit, if it runs.  0 or -1. */
int teardown_nbdkit(const struct state *state, struct error *why);

#endif
