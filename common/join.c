#include "join.h"

#include "clock.h"

#ifdef __SANITIZE_THREAD__
/* ThreadSanitizer knows this join, but not pthread_clockjoin_np: after that it
 * would report races. */
bool join_until(pthread_t thread, uint64_t deadline_ns)
{
	struct timespec wall;

	clock_gettime(CLOCK_REALTIME, &wall);
	wall = clock_timespec((uint64_t)wall.tv_sec * NS_PER_S +
			      (uint64_t)wall.tv_nsec +
			      clock_left_ns(deadline_ns));
	return !pthread_timedjoin_np(thread, NULL, &wall);
}
#else
/* The wall clock may be set back while somebody waits by it. */
bool join_until(pthread_t thread, uint64_t deadline_ns)
{
	struct timespec until = clock_timespec(deadline_ns);

	return !pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until);
}
#endif
