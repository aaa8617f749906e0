#include "wake.h"

#include <errno.h>

#include "clock.h"

void wake_init(struct wake *wake)
{
	*wake = (struct wake){ 0 };
	pthread_mutex_init(&wake->lock, NULL);
	clock_cond_init(&wake->woken);
	clock_cond_init(&wake->passed);
}

void wake_destroy(struct wake *wake)
{
	pthread_cond_destroy(&wake->passed);
	pthread_cond_destroy(&wake->woken);
	pthread_mutex_destroy(&wake->lock);
}

void wake_up(struct wake *wake)
{
	pthread_mutex_lock(&wake->lock);
	wake->wake = true;
	pthread_cond_signal(&wake->woken);
	pthread_mutex_unlock(&wake->lock);
}

void wake_wait_pass(struct wake *wake, uint64_t deadline_ns)
{
	struct timespec until = clock_timespec(deadline_ns);
	uint64_t passes;
	int rc = 0;

	pthread_mutex_lock(&wake->lock);
	passes = wake->passes;
	wake->wake = true;
	pthread_cond_signal(&wake->woken);
	while (wake->passes == passes && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&wake->passed, &wake->lock, &until);
	pthread_mutex_unlock(&wake->lock);
}

uint64_t wake_passes(struct wake *wake)
{
	uint64_t passes;

	pthread_mutex_lock(&wake->lock);
	passes = wake->passes;
	pthread_mutex_unlock(&wake->lock);
	return passes;
}

void wake_stop(struct wake *wake)
{
	pthread_mutex_lock(&wake->lock);
	wake->stop = true;
	pthread_cond_signal(&wake->woken);
	pthread_mutex_unlock(&wake->lock);
}

bool wake_stopping(struct wake *wake)
{
	bool stop;

	pthread_mutex_lock(&wake->lock);
	stop = wake->stop;
	pthread_mutex_unlock(&wake->lock);
	return stop;
}

void wake_rest(struct wake *wake, uint64_t least_ns, uint64_t ns)
{
	struct timespec until = clock_timespec(clock_now_ns() + ns);
	int rc = 0;

	pthread_mutex_lock(&wake->lock);
	wake->passes++;
	pthread_cond_broadcast(&wake->passed);
	pthread_mutex_unlock(&wake->lock);
	clock_sleep_ns(least_ns);
	pthread_mutex_lock(&wake->lock);
	while (!wake->wake && !wake->stop && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&wake->woken, &wake->lock, &until);
	wake->wake = false;
	pthread_mutex_unlock(&wake->lock);
}
