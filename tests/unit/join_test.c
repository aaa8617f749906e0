/* common/join.c: a thread's end is waited for until a deadline, whatever the
 * wall clock does meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <semaphore.h>

#include <cmocka.h>

#include "clock.h"
#include "join.h"
#include "support.h"

/* The wall clock is so much ahead, and is then set right: who waits by it waits
 * so much longer. */
static time_t ahead_s;

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	int rc = __real_clock_gettime(clock, now);

	if (clock == CLOCK_REALTIME)
		now->tv_sec += ahead_s;
	return rc;
}

static sem_t may_end;

static void *wait_to_end(void *arg)
{
	sem_wait(&may_end);
	return arg;
}

static void goes_on_after_its_deadline(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, wait_to_end, NULL), 0);
	assert_false(join_until(thread, 0));
	assert_false(join_until(thread, after_ms(50)));
	sem_post(&may_end);
	assert_true(join_until(thread, after_ms(LONG_MS)));
}

static void does_not_wait_by_the_wall_clock(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, wait_to_end, NULL), 0);
	ahead_s = 24 * 3600;
	assert_false(join_until(thread, after_ms(50)));
	ahead_s = 0;
	sem_post(&may_end);
	assert_true(join_until(thread, after_ms(LONG_MS)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(goes_on_after_its_deadline),
		cmocka_unit_test(does_not_wait_by_the_wall_clock),
	};

	sem_init(&may_end, 0, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
