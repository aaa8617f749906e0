/* Waking the repair thread, and waiting for it: a leaf, so that everything
 * below the repair room may do either.
 *
 * The lock is held only for a few instructions, and no other lock is taken
 * under it.
 */
#ifndef RSWAP_WAKE_H
#define RSWAP_WAKE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct wake {
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t woken, passed;
	bool wake, stop;
	uint64_t passes; /* of the repair thread over all slabs */
};

void wake_init(struct wake *wake);
void wake_destroy(struct wake *wake);

/* The repair thread may have something to do.  Any thread; cheap. */
void wake_up(struct wake *wake);

/* Wakes the repair thread, and returns when a pass has ended, or at
 * DEADLINE_NS. That pass may have begun before the call.  After a second call,
 * a whole pass has run since the first call.  Any thread. */
void wake_wait_pass(struct wake *wake, uint64_t deadline_ns);

/* How many passes have ended.  Any thread. */
uint64_t wake_passes(struct wake *wake);

/* Has the repair thread end.  Any thread. */
void wake_stop(struct wake *wake);
bool wake_stopping(struct wake *wake);

/* The repair thread calls this when a pass is over.  Sleeps for LEAST_NS, and
 * then until another thread wakes it, or until NS have passed since the call.
 */
void wake_rest(struct wake *wake, uint64_t least_ns, uint64_t ns);

#endif
