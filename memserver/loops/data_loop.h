/* The data threads: a few, each with a libev loop for its TCP lanes. */
#ifndef RSWAP_DATA_LOOP_H
#define RSWAP_DATA_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "error.h"
#include "list.h"
#include "mail.h"

struct server;

/* Written by the loop's thread only, read by any. */
struct data_counters {
	_Atomic uint64_t reads;
	_Atomic uint64_t writes;
	_Atomic uint64_t read_bytes;
	_Atomic uint64_t write_bytes;
	_Atomic uint64_t errors;
};

struct data_loop {
	struct server *server;
	pthread_t thread;
	struct ev_loop *ev;
	struct mailbox box; /* lanes to take over */
	ev_async kick;	    /* some lane is to be closed */
	struct mail stop;
	struct list lanes;   /* the thread's own */
	unsigned lane_count; /* the main loop's: to share lanes out */
	/* apart, so that threads don't write to one cache line */
	_Alignas(64) struct data_counters counters;
};

struct data_loops {
	struct data_loop *loops;
	unsigned count;
};

/* Starts COUNT threads.  0 or a negative errno. */
int data_loops_start(struct server *server, unsigned count, struct error *why);

/* Ends the threads; every lane is gone.  What they had to tell is in the main
 * loop's mailbox.  Nothing to do where they never started. */
void data_loops_stop(struct server *server);

/* The loop with the fewest lanes.  Main loop. */
struct data_loop *data_loop_choose(struct data_loops *data);

/* The sums over all threads since their start.  Any thread. */
struct data_figures {
	uint64_t reads;
	uint64_t writes;
	uint64_t read_bytes;
	uint64_t write_bytes;
	uint64_t errors;
};
struct data_figures data_loops_figures(const struct data_loops *data);

/* For the one thread that writes COUNTER: cheaper than an atomic addition. */
static inline void counter_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(
		counter,
		atomic_load_explicit(counter, memory_order_relaxed) + n,
		memory_order_relaxed);
}

#endif
