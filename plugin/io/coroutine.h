/* Coroutines: requests that wait without a thread of their own.
 *
 * One thread runs many coroutines, one at a time.  A coroutine runs until it is
 * suspended in a wait (io/wait.h), and says what it waits for.  The thread then
 * does other work, and resumes the coroutine when the wait is over.  A switch
 * is a few instructions of libboost_context, without a system call
 * (docs/performance.md compares it with sigsetjmp).
 *
 *   free --start--> running --suspend--> suspended --resume--> running
 *    ^                 |
 *    +-----its end-----+
 *
 * Stacks are allocated and populated once, each with a guard page below.
 * Thread-local variables are those of the thread, so a coroutine stays on the
 * thread that started it.  The sanitizers are told of each switch.
 *
 * One thread at a time uses the coroutines of a pool.
 */
#ifndef RSWAP_COROUTINE_H
#define RSWAP_COROUTINE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"

struct coroutine;
struct lane;
struct waker;

/* What a suspended coroutine waits for. */
struct suspension {
	/* Whether the wait is over.  The thread asks before it resumes the
	 * coroutine.  NULL: only the time counts. */
	bool (*over)(void *arg);
	void *arg;
	uint64_t until_ns; /* CLOCK_MONOTONIC */
	/* Where the wait is for transfers: their lane.  Else NULL, and nothing
	 * wakes the thread when the wait may be over. */
	struct lane *lane;
};

struct coroutine_pool {
	uint32_t n;
	struct coroutine *coroutines; /* [n] */
	struct coroutine *free;	      /* last in, first out */
	uint8_t *stacks;	      /* pages_map_guarded */
	struct waker *waker;
};

/* N coroutines.  WAKER wakes the thread that runs them, and outlives the pool.
 * 0 or a negative errno. */
int coroutine_pool_create(struct coroutine_pool *pool, uint32_t n,
			  struct waker *waker, struct error *why);
/* No coroutine is suspended. */
void coroutine_pool_destroy(struct coroutine_pool *pool);
uint64_t coroutine_pool_bytes(const struct coroutine_pool *pool);

/* Runs RUN(ARG) in a free coroutine until the coroutine is suspended or ends.
 * Returns the coroutine where it is suspended.  NULL where it has ended.  The
 * caller knows that a coroutine is free (pool->free), and is in none. */
struct coroutine *coroutine_start(struct coroutine_pool *pool,
				  void (*run)(void *arg), void *arg);
/* Goes on with a suspended coroutine.  Returns as coroutine_start. */
struct coroutine *coroutine_resume(struct coroutine *coroutine);
/* The wait of a suspended coroutine. */
const struct suspension *coroutine_wait(const struct coroutine *coroutine);

/* Whether the caller is in a coroutine.  Any thread. */
bool coroutine_inside(void);
/* The waker of the coroutine's pool.  NULL outside of coroutines. */
struct waker *coroutine_waker(void);
/* Suspends the coroutine that calls.  Returns when it is resumed. */
void coroutine_suspend(const struct suspension *wait);

#endif
