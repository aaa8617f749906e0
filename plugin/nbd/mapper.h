/* Memory that is mapped while the process serves: buffers of large requests,
 * and what each client's connection needs.
 *
 * After mlockall(2) the pages of a new mapping are allocated before mmap(2)
 * returns.  Where the machine is short of memory this waits until some is free,
 * and what has to be written to swap before comes to this very device.
 * munmap(2) waits for a thread of the process that is in mmap(2).  So the loop
 * does neither (and a thread that does meanwhile, such as one that connects to
 * a server, waits too). An ordinary thread does both (common/helper.h), and
 * only the client that wants the memory waits for it.
 *
 *   NONE --mapper_ask--> QUEUED --> MAPPING --> OVER --mapper_take--> NONE
 *
 * The thread makes one mapping at a time, in the order in which they were asked
 * for.  Before each one it unmaps all that was put before that mapping was
 * asked for.  So memory that was put may be asked for again at once: there is
 * never more than was asked for and not put.
 *
 * The loop's thread, unless said otherwise. */
#ifndef RSWAP_NBD_MAPPER_H
#define RSWAP_NBD_MAPPER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "clock.h"
#include "error.h"
#include "loop/loop.h"

/* How long to wait for a mapping, with those before it.  Then it fails. */
#define MAPPER_WAIT_NS (10 * NS_PER_S)

enum mapping_state {
	MAPPING_NONE,
	MAPPING_QUEUED,
	MAPPING_MAPPING,
	MAPPING_OVER,
};

/* A mapping that is asked for.  The owner's; zeros at first. */
struct mapping {
	enum mapping_state state;
	uint64_t bytes;
	uint64_t asked_ns;
	void *memory; /* OVER; NULL: it failed */
	struct mapping *next;
};

/* In the memory that is to be unmapped. */
struct unmapping {
	struct unmapping *next;
	uint64_t bytes;
};

struct mapper {
	struct loop_source source; /* the first member; an eventfd */
	struct loop *loop;
	pthread_t thread;
	sem_t work; /* for the thread */
	atomic_bool ending;

	/* What the thread is to map.  The loop sets it; the thread sets it to 0
	 * after it has set made. */
	_Atomic uint64_t wanted_bytes;
	void *made;
	/* What the thread is to unmap: the loop adds to it, and the thread
	 * takes all. */
	_Atomic(struct unmapping *) unmappings;

	/* the loop's */
	struct mapping *first, **last; /* QUEUED */
	struct mapping *current; /* MAPPING; NULL: none, or it is forgotten */
	uint64_t busy_bytes;	 /* what the thread is mapping, or 0 */
};

/* Starts the thread.  It tells LOOP of mappings that are over.  0 or a negative
 * errno. */
int mapper_start(struct mapper *mapper, struct loop *loop, struct error *why);
/* Ends the thread.  False where it does not end within seconds, because the
 * kernel has no memory for what it maps: it may still use MAPPER. */
bool mapper_stop(struct mapper *mapper);

/* Asks for BYTES.  MAPPING is NONE. */
void mapper_ask(struct mapper *mapper, struct mapping *mapping, uint64_t bytes);
/* 0 where *MEMORY is mapped: zeros, and the caller's until mapper_put.
 * -EINPROGRESS: not yet; a turn of the loop follows when it is.  -ENOMEM: there
 * is no memory, or not in time.  MAPPING is not NONE. */
int mapper_take(struct mapper *mapper, struct mapping *mapping, void **memory);
/* Nobody takes MAPPING any more, in any state. */
void mapper_forget(struct mapper *mapper, struct mapping *mapping);

/* Gives MEMORY of BYTES back, which has its bytes as they were asked for. */
void mapper_put(struct mapper *mapper, void *memory, uint64_t bytes);

#endif
