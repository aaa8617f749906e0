/* How long a loop looks for work before it sleeps.
 *
 * A thread that sleeps has to be woken, which takes some 5 us, and much longer
 * where the processor has halted, above all in a virtual machine.  A thread
 * that polls instead finds its work at once, and keeps a processor busy
 * meanwhile. So a loop polls only where all of this holds:
 *
 *   - waits of this kind are short.  How long they take is learned.  There are
 *     two kinds: for memory servers, and for the next request of a client.
 *   - polling pays (transport/spin.h).
 *   - no other thread of the machine wants the processor: no more threads can
 *     run than there are processors.  A look every PATIENCE_LOOK_NS tells.
 *   - it has not polled for most of the time lately: a real-time thread that
 *     never sleeps is stopped by the kernel (sched_rt_runtime_us).
 *
 * The loop's thread. */
#ifndef RSWAP_PATIENCE_H
#define RSWAP_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "transport/spin.h"

/* A good max_ns: what a few microseconds of work for each side of a network
 * take, and many times what it takes to wake a thread. */
#define PATIENCE_MAX_NS UINT64_C(200000)

#define PATIENCE_LOOK_NS UINT64_C(10000000)

/* Of each PATIENCE_WINDOW_NS at most PATIENCE_SPENT_NS are polled away. */
#define PATIENCE_WINDOW_NS UINT64_C(100000000)
#define PATIENCE_SPENT_NS  UINT64_C(70000000)

enum patience_wait { WAIT_FOR_CLIENT, WAIT_FOR_SERVER, PATIENCE_WAITS };

struct patience {
	uint64_t max_ns; /* of one wait; 0: never polls */
	struct {
		struct spin spin;
		uint64_t usual_ns;
	} waits[PATIENCE_WAITS];

	int running_fd; /* /proc/loadavg, or -1 */
	long processors;
	bool spare; /* at the last look */
	uint64_t looked_ns;

	uint64_t window_ns; /* when it began */
	uint64_t spent_ns;  /* since then */
};

/* MAX_NS: how long to poll at most. */
void patience_create(struct patience *patience, uint64_t max_ns);
void patience_destroy(struct patience *patience);

/* Before a wait that begins at NOW_NS: how long to poll.  0: not at all. */
uint64_t patience_begin(struct patience *patience, enum patience_wait wait,
			uint64_t now_ns);
/* After the wait, which took TOOK_NS, polling or asleep.  POLLED_NS: how long
 * it polled, 0 where it did not.  FOUND: it found something while it polled. */
void patience_end(struct patience *patience, enum patience_wait wait,
		  uint64_t took_ns, uint64_t polled_ns, bool found);

#endif
