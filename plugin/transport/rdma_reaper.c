#include "rdma_reaper.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "join.h"
#include "rdma.h"

#define END_NS (2 * NS_PER_S)

/* The lock is a leaf, and guards all of this. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t thread;
	unsigned users;
	bool ending;
	struct rdma_link *first; /* by `next` */
	unsigned left;		 /* taken, and not freed yet */
} reaper = { .lock = PTHREAD_MUTEX_INITIALIZER,
	     .changed = PTHREAD_COND_INITIALIZER };

static void reap(struct rdma_link *link)
{
	if (link->id)
		rdma_destroy_id(link->id);
	if (link->cm_events)
		rdma_destroy_event_channel(link->cm_events);
	free(link);
}

static void *reaper_main(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&reaper.lock);
	while (reaper.first || !reaper.ending) {
		struct rdma_link *link = reaper.first;

		if (!link) {
			pthread_cond_wait(&reaper.changed, &reaper.lock);
			continue;
		}
		reaper.first = link->next;
		pthread_mutex_unlock(&reaper.lock);
		reap(link);
		pthread_mutex_lock(&reaper.lock);
		reaper.left--;
		pthread_cond_broadcast(&reaper.changed);
	}
	pthread_mutex_unlock(&reaper.lock);
	return NULL;
}

int rdma_reaper_get(struct error *why)
{
	int rc = 0;

	pthread_mutex_lock(&reaper.lock);
	if (!reaper.users) {
		reaper.ending = false;
		rc = pthread_create(&reaper.thread, NULL, reaper_main, NULL);
	}
	if (!rc)
		reaper.users++;
	pthread_mutex_unlock(&reaper.lock);
	if (rc)
		error_set(why, "a thread: %s", strerror(rc));
	return -rc;
}

void rdma_reaper_put(void)
{
	bool last;

	pthread_mutex_lock(&reaper.lock);
	last = --reaper.users == 0;
	reaper.ending = last;
	pthread_cond_broadcast(&reaper.changed);
	pthread_mutex_unlock(&reaper.lock);
	if (!last)
		return;
	if (!join_until(reaper.thread, clock_now_ns() + END_NS))
		pthread_detach(reaper.thread);
}

void rdma_reaper_take(struct rdma_link *link)
{
	pthread_mutex_lock(&reaper.lock);
	link->next = reaper.first;
	reaper.first = link;
	reaper.left++;
	pthread_cond_broadcast(&reaper.changed);
	pthread_mutex_unlock(&reaper.lock);
}

bool rdma_reaper_wait(uint64_t deadline_ns)
{
	struct timespec until = clock_timespec(deadline_ns);
	bool done;

	pthread_mutex_lock(&reaper.lock);
	while (reaper.left &&
	       pthread_cond_clockwait(&reaper.changed, &reaper.lock,
				      CLOCK_MONOTONIC, &until) != ETIMEDOUT)
		;
	done = !reaper.left;
	pthread_mutex_unlock(&reaper.lock);
	return done;
}
