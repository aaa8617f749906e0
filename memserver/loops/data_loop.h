/* The data threads.  Each runs a libev loop that moves bytes for some of the
 * connections.  The loops do not know what a member is. */
#ifndef RSWAP_DATA_LOOP_H
#define RSWAP_DATA_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/queue.h>

#include "error.h"
#include "mail.h"
#include "shares.h"

/* Written by the loop's thread only, read by any thread. */
struct data_counters {
	_Atomic uint64_t reads;
	_Atomic uint64_t writes;
	_Atomic uint64_t read_bytes;
	_Atomic uint64_t write_bytes;
	_Atomic uint64_t errors;
};

/* Embedded in each connection that a loop serves. */
struct data_member {
	TAILQ_ENTRY(data_member) entry;
	struct share_member share;
};

struct data_loop {
	struct mailbox *main_box; /* the main loop's */
	pthread_t thread;
	struct ev_loop *ev;
	struct mailbox box; /* connections to take over */
	ev_async kick;	    /* the main loop wants something of a member */
	void (*kicked)(struct data_loop *loop); /* on the loop's thread */
	struct mail stop;
	/* Only the loop's thread uses these two. */
	TAILQ_HEAD(, data_member) members;
	struct shares shares;
	/* How many members the main loop has given to this loop.  Only the main
	 * loop uses it. */
	unsigned member_count;
	/* A cache line of its own, so that threads do not share one. */
	_Alignas(64) struct data_counters counters;
};

struct data_loops {
	struct data_loop *loops;
	unsigned count;
};

/* Starts COUNT threads.  They send mail to MAIN_BOX, call KICKED when
 * data_loop.kick is sent, and RUN for members that take turns (shares.h).  0 or
 * a negative errno. */
int data_loops_start(struct data_loops *data, unsigned count,
		     struct mailbox *main_box,
		     void (*kicked)(struct data_loop *loop),
		     size_t (*run)(struct share_member *member, size_t most),
		     struct error *why);

/* Ends the threads.  No loop has a member any more.  The mail of the threads is
 * in the main loop's mailbox.  Does nothing when no thread was started. */
void data_loops_stop(struct data_loops *data);

/* The loop with the fewest members.  Main loop. */
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

/* Adds to a COUNTER that only the calling thread writes.  An atomic addition
 * would cost more. */
static inline void counter_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(
		counter,
		atomic_load_explicit(counter, memory_order_relaxed) + n,
		memory_order_relaxed);
}

#endif
