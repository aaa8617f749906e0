/* A thread that does what may take long, so that no event loop has to: one
 * piece of work after the other, in the order of submission, urgent ones
 * first.
 *
 * The server has two: one prepares slabs and gives them back (populating,
 * locking, registering), one destroys queue pairs. */
#ifndef RSWAP_WORK_H
#define RSWAP_WORK_H

#include <pthread.h>
#include <stdbool.h>

#include "error.h"
#include "mail.h"

/* Embedded in what is to be done.  Belongs to the queue from workq_submit
 * until `done` runs, or until `run` returns where there is no `done`: then
 * `run` may free it. */
struct work {
	struct mail mail;
	struct work *next;
	void (*run)(struct work *work);	 /* on the queue's thread */
	void (*done)(struct work *work); /* on the main loop, or NULL */
	struct workq *queue;
};

/* `lock` protects the list and `stop`, and is a leaf. */
struct workq {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct work *first;
	struct work **end;
	struct work **urgent_end; /* where the urgent ones at the front end */
	bool stop;
	struct mailbox *done_box;
	pthread_t thread;
};

/* Starts the thread, called NAME (at most 15 characters). DONE_BOX is the main
 * loop's.  0 or a negative errno. */
int workq_start(struct workq *queue, const char *name, struct mailbox *done_box,
		struct error *why);

/* Any thread.  Allocates nothing. */
void workq_submit(struct workq *queue, struct work *work);
/* The same, before everything that is not urgent. */
void workq_submit_urgent(struct workq *queue, struct work *work);

/* For work that runs, to do the next queued piece at once: true, or false where
 * nothing is queued.  The queue's thread. */
bool workq_do_next(struct workq *queue);

/* Does what is queued, then ends the thread and waits for it.  What `done`
 * has to be told is in the mailbox afterwards.  Nobody submits any more. */
void workq_stop(struct workq *queue);

#endif
