/* Wakes a thread that runs many requests (loop/loop.h) and sleeps in poll(2).
 *
 * The thread says that it is about to sleep, looks once more whether there is
 * something to do, and then sleeps.  A thread that has changed something calls
 * waker_wake after the change.  Both accesses are sequentially consistent, so
 * one of the two threads sees the other.  While the thread is awake, waker_wake
 * is a load. */
#ifndef RSWAP_WAKER_H
#define RSWAP_WAKER_H

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct waker {
	int fd; /* eventfd, non-blocking; readable after a wake-up */
	atomic_bool asleep;
};

/* 0 or a negative errno. */
static inline int waker_create(struct waker *waker)
{
	waker->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	atomic_init(&waker->asleep, false);
	return waker->fd < 0 ? -errno : 0;
}

static inline void waker_destroy(struct waker *waker)
{
	close(waker->fd);
}

/* Any thread. */
static inline void waker_wake(struct waker *waker)
{
	if (atomic_load(&waker->asleep) &&
	    atomic_exchange(&waker->asleep, false))
		eventfd_write(waker->fd, 1);
}

/* The thread itself takes a wake-up that came, perhaps after it was awake
 * again: otherwise poll(2) would return at once from then on.  READY: whether
 * the fd was readable. */
static inline void waker_drain(struct waker *waker, bool ready)
{
	eventfd_t n;

	if (ready)
		eventfd_read(waker->fd, &n);
}

/* The thread itself: before it looks once more, and after it has slept.  READY:
 * whether the fd was readable. */
static inline void waker_before_sleep(struct waker *waker)
{
	atomic_store(&waker->asleep, true);
}

static inline void waker_after_sleep(struct waker *waker, bool ready)
{
	atomic_store(&waker->asleep, false);
	waker_drain(waker, ready);
}

#endif
