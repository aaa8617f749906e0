/* Time and deadlines: nanoseconds of CLOCK_MONOTONIC, as uint64_t.  A deadline
 * is a point on that clock.  Any thread. */
#ifndef RSWAP_CLOCK_H
#define RSWAP_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_US 1000ull
#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

static inline uint64_t clock_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* The time of the last timer tick, up to 10 ms ago: for a deadline that is
 * seconds away.  Needs no system call if the vDSO cannot read the clock source
 * (HPET, the ACPI timer), where clock_now_ns does.  Do not use it for the time
 * that is left: after a wait that ended at its deadline, it may show time left.
 */
static inline uint64_t clock_tick_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* The time that is left until DEADLINE_NS; 0 after it. */
static inline uint64_t clock_left_ns(uint64_t deadline_ns)
{
	uint64_t now_ns = clock_now_ns();

	return deadline_ns > now_ns ? deadline_ns - now_ns : 0;
}

/* The same as a timeout for poll(2): rounded up, so that a wait never ends
 * before its deadline. */
static inline int clock_left_ms(uint64_t deadline_ns)
{
	uint64_t ms = (clock_left_ns(deadline_ns) + NS_PER_MS - 1) / NS_PER_MS;

	return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

static inline struct timespec clock_timespec(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / NS_PER_S),
				  .tv_nsec = (long)(ns % NS_PER_S) };
}

/* A condition whose timed waits are on this clock. */
static inline void clock_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

static inline void clock_sleep_ns(uint64_t ns)
{
	struct timespec pause = clock_timespec(ns);

	nanosleep(&pause, NULL);
}

#endif
