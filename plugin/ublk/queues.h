/* The queues of a ublk device, each with a loop on a thread of its own.  The
 * main thread. */
#ifndef RSWAP_UBLK_QUEUES_H
#define RSWAP_UBLK_QUEUES_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "control.h"
#include "engine.h"
#include "error.h"
#include "loop/loop.h"
#include "queue.h"

/* One of them may write while the other one reads. */
#define QUEUES_LANES_MIN 2u

struct queues_config {
	struct engine *engine;
	const struct control *control; /* after control_add */
	uint64_t size_bytes;
	/* Called in each turn of a loop, as loop_config.turn. */
	void (*turn)(uint32_t in_flight);
	/* A queue takes no requests any more.  Its thread calls this. */
	void (*ended)(void);
	/* As queue_config.refused. */
	void (*refused)(void);
};

struct queues_thread {
	struct queues *queues;
	uint16_t number;
	struct loop loop;
	struct queue queue;
	pthread_t thread;
	bool started;
	sem_t fetched; /* or failed, with rc and why */
	int rc;
	struct error why;
};

/* Lives as long as the process: a late transfer may still wake a loop. */
struct queues {
	struct queues_config config;
	struct queues_thread *threads; /* [control->queues] */
	atomic_uint n_ended;
};

/* Starts all threads, and returns when all queues have fetched.  0 or a
 * negative errno: the threads that were started still run. */
int queues_start(struct queues *queues, const struct queues_config *config,
		 struct error *why);
/* Whether a queue has ended. */
bool queues_any_ended(const struct queues *queues);
/* Waits until all threads have ended.  After control_stop, or before
 * control_start with NOW: no requests come, and their loops are told to end. */
void queues_end(struct queues *queues, bool now);

uint64_t queues_memory_bytes(const struct queues *queues);

#endif
