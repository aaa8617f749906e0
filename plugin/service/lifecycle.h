/* When the process may end.  The page map is in this process.  If the process
 * ends while a swap device is attached, the pages are lost, and the programs
 * that need them are killed.
 *
 *   SERVING --signal, no client--------------------> over
 *   SERVING --signal, clients attached--> ENDING     (the log says so once)
 *   ENDING  --the last client went-----------------> over
 *   ENDING  --another SIGTERM, SIGINT or SIGQUIT---> over, by force
 *
 * ENDING serves the attached clients as before, and lets no other client in.
 * SIGHUP never ends the process by force: a terminal that closes sends several.
 *
 * SIGPWR says that the machine goes down, and that all processes are going to
 * be stopped.  From then on the process continues by itself, and serves
 * whatever still reads.
 *
 * "By force" does not go through the front end: nbdkit would wait for the next
 * request of each idle client.  The thread that takes the signals does it.
 *
 * Threads: any, for clients; the front end's main thread for begin and end.
 */
#ifndef RSWAP_LIFECYCLE_H
#define RSWAP_LIFECYCLE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

struct lifecycle_ops {
	/* Tells the front end to end.  Any thread. */
	void (*shut_down)(void);
	/* The first signal came while clients are attached.  Any thread.  NULL:
	 * the log says that the process waits for them. */
	void (*asked)(void);
	/* Ends the process, and does not return. */
	void (*force)(void);
};

/* Blocks SIGPWR and SIGCONT, and SIGTERM, SIGINT, SIGQUIT and SIGHUP where the
 * front end handles them or, if ALL is true, in any case, in this thread and in
 * those that it starts from now on.  So no handler interrupts a thread, and the
 * signals wait for the thread of begin.  After the front end has its handlers,
 * before any thread but the log's, which blocks all signals. */
void lifecycle_block_signals(bool all);
/* Starts the thread that takes these signals.  Signals that are not meant to
 * end a daemon are ignored from then on (common/signals.h).  0 or a negative
 * errno.
 */
int lifecycle_begin(const struct lifecycle_ops *ops, struct error *why);
/* The front end ends: gives the signals back.  Does not return if the process
 * is being ended by force already.  Without effect before begin. */
void lifecycle_end(void);

/* Counts a client.  False if the client may not be let in. */
bool lifecycle_client_opens(void);
/* The last call for a client that was let in. */
void lifecycle_client_closed(void);
unsigned lifecycle_clients(void);
/* When the first signal asked for the end (clock_now_ns), or 0.  Any thread. */
uint64_t lifecycle_asked_ns(void);

/* Whether the process is being ended by force.  A request that fails from then
 * on fails for that reason, and no answer does less harm to the client than an
 * error.  Any thread. */
bool lifecycle_is_forced(void);
/* For the thread of a request that has failed: does not return if the process
 * is being ended by force. */
void lifecycle_hold(void);

#endif
