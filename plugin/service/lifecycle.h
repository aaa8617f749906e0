/* When the process may end.  The pages are in its page map: an end while a swap
 * device is attached loses them, and takes their programs down, too.
 *
 *   SERVING --signal, no client--------------------> over
 *   SERVING --signal, clients attached--> ENDING     (says so in one line)
 *   ENDING  --the last client went-----------------> over
 *   ENDING  --another SIGTERM, SIGINT or SIGQUIT---> over, by force
 *
 * ENDING serves the attached clients as before, and lets no other client in.  A
 * SIGHUP never ends it by force: a terminal that closes sends several.
 *
 * By force means: by a thread that waits for nothing else, and past the front
 * end, which would wait for what idle clients send next (nbdkit does).
 *
 * Threads: any, for clients; the front end's main thread for begin and end.
 */
#ifndef RSWAP_LIFECYCLE_H
#define RSWAP_LIFECYCLE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

struct lifecycle_ops {
	/* Tells the front end to end, from a thread. */
	void (*shut_down)(void);
	/* Ends the process, and does not return. */
	void (*force)(void);
};

/* Blocks SIGTERM, SIGINT, SIGQUIT and SIGHUP where the front end handles them,
 * in this thread and in those that it starts from now on.  So no handler
 * interrupts a thread, and the signals wait for the thread of begin.  After the
 * front end has its handlers, before any thread. */
void lifecycle_block_signals(void);
/* Starts the thread that takes these signals.  Signals that are not meant to
 * end a daemon are ignored from then on (common/signals.h).  0 or a negative
 * errno.
 */
int lifecycle_begin(const struct lifecycle_ops *ops, struct error *why);
/* The front end ends: gives the signals back.  Does not return where the
 * process is being ended by force already.  Without effect before begin. */
void lifecycle_end(void);

/* Counts a client; false where the client may not be let in. */
bool lifecycle_client_opens(void);
/* Discounts a client, after everything else is done for it. */
void lifecycle_client_closed(void);
unsigned lifecycle_clients(void);
/* When the first signal asked for the end (clock_now_ns), or 0.  Any thread. */
uint64_t lifecycle_asked_ns(void);

/* For a request that has failed: does not return where the process is being
 * ended by force.  That is why it failed, and its client is better off without
 * an answer than with an error. */
void lifecycle_hold(void);

#endif
