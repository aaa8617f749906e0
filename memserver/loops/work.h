/* A thread for slow work, so that no event loop has to wait.  The thread does
 * one piece of work after the other, in the order of submission, urgent work
 * first.
 *
 * The server has two such threads: one prepares slabs and gives them back
 * (populating, locking, registering), one destroys queue pairs. */
#ifndef RSWAP_WORK_H
#define RSWAP_WORK_H

#include <pthread.h>
#include <stdbool.h>

#include "error.h"
#include "mail.h"

/* One piece of work, embedded in a struct of the submitter.  The struct belongs
 * to the queue from workq_submit until `done` runs.  Without `done` it belongs
 * to the queue until `run` returns, and `run` may free it. */
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
	struct work **urgent_end; /* the end of the urgent work at the front */
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
/* The same, before all work that is not urgent. */
void workq_submit_urgent(struct workq *queue, struct work *work);

/* Does the next queued piece of work at once; for work that is running.  False
 * when no work is queued.  The queue's thread. */
bool workq_do_next(struct workq *queue);

/* Does the queued work, then ends the thread and waits for its end.  The mail
 * for `done` is in the mailbox afterwards.  No thread submits any more. */
void workq_stop(struct workq *queue);

#endif
