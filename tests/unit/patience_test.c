/* plugin/loop/patience.c: where a loop polls before it sleeps. */
#include "loop/patience.h"
#include "support.h"

#include <stdlib.h>
#include <unistd.h>

#define MAX_NS	 UINT64_C(200000)
#define SHORT_NS UINT64_C(40000)
#define AGES_NS	 UINT64_C(5000000000)

static struct patience p;
static uint64_t now_ns;

/* Of the machine, as the kernel tells it. */
static void set_running(const char *loadavg)
{
	assert_int_equal(ftruncate(p.running_fd, 0), 0);
	assert_int_equal(pwrite(p.running_fd, loadavg, strlen(loadavg), 0),
			 strlen(loadavg));
	now_ns += PATIENCE_LOOK_NS;
}

static int begin(void **state)
{
	char path[] = "/tmp/rswap-test.XXXXXX";

	(void)state;
	patience_create(&p, MAX_NS);
	assert_true(p.running_fd >= 0);
	patience_destroy(&p);
	p.running_fd = mkstemp(path);
	assert_true(p.running_fd >= 0);
	unlink(path);
	p.processors = 4;
	now_ns = AGES_NS;
	set_running("0.20 0.18 0.12 4/80 11206\n");
	return 0;
}

static int end(void **state)
{
	(void)state;
	patience_destroy(&p);
	return 0;
}

/* A wait of TOOK_NS.  How long it may poll. */
static uint64_t wait_for(enum patience_wait wait, uint64_t took_ns)
{
	uint64_t limit_ns = patience_begin(&p, wait, now_ns);
	bool found = limit_ns && took_ns <= limit_ns;

	now_ns += took_ns;
	patience_end(&p, wait, took_ns,
		     !limit_ns ? 0
		     : found   ? took_ns
			       : limit_ns,
		     found);
	return limit_ns;
}

/* The limit of the last of many waits, which are rare, so that polling never
 * takes most of the time. */
static uint64_t wait_often(enum patience_wait wait, uint64_t took_ns)
{
	uint64_t limit_ns = 0;

	for (int i = 0; i < 100; i++) {
		limit_ns = wait_for(wait, took_ns);
		now_ns += 10 * took_ns;
	}
	return limit_ns;
}

static void a_wait_that_is_short_is_polled_for_twice_as_long(void **state)
{
	uint64_t limit_ns;

	(void)state;
	assert_int_equal(patience_begin(&p, WAIT_FOR_SERVER, now_ns), 0);
	limit_ns = wait_often(WAIT_FOR_SERVER, SHORT_NS);
	assert_in_range(limit_ns, SHORT_NS * 19 / 10, SHORT_NS * 21 / 10);
}

static void long_waits_are_slept(void **state)
{
	(void)state;
	assert_int_equal(wait_often(WAIT_FOR_SERVER, MAX_NS), 0);
	wait_often(WAIT_FOR_SERVER, SHORT_NS);
	assert_int_equal(wait_often(WAIT_FOR_SERVER, AGES_NS), 0);
}

static void a_long_wait_is_soon_forgotten(void **state)
{
	(void)state;
	wait_often(WAIT_FOR_SERVER, SHORT_NS);
	wait_for(WAIT_FOR_SERVER, AGES_NS);
	for (int i = 0; i < 10; i++)
		wait_for(WAIT_FOR_SERVER, SHORT_NS);
	assert_int_not_equal(wait_for(WAIT_FOR_SERVER, SHORT_NS), 0);
}

static void each_kind_of_wait_learns_alone(void **state)
{
	(void)state;
	wait_often(WAIT_FOR_SERVER, SHORT_NS);
	assert_int_equal(wait_often(WAIT_FOR_CLIENT, AGES_NS), 0);
	assert_int_not_equal(wait_for(WAIT_FOR_SERVER, SHORT_NS), 0);
}

static void no_wait_is_polled_while_others_want_the_processors(void **state)
{
	(void)state;
	wait_often(WAIT_FOR_SERVER, SHORT_NS);
	set_running("0.20 0.18 0.12 5/80 11206\n");
	assert_int_equal(wait_for(WAIT_FOR_SERVER, SHORT_NS), 0);
	set_running("0.20 0.18 0.12 4/80 11206\n");
	assert_int_not_equal(wait_for(WAIT_FOR_SERVER, SHORT_NS), 0);
	/* Nor where the kernel does not tell. */
	set_running("");
	assert_int_equal(wait_for(WAIT_FOR_SERVER, SHORT_NS), 0);
	set_running("0.20 0.18");
	assert_int_equal(wait_for(WAIT_FOR_SERVER, SHORT_NS), 0);
}

static void a_loop_does_not_poll_all_the_time(void **state)
{
	uint64_t polled_ns = 0, begin_ns;

	(void)state;
	wait_often(WAIT_FOR_SERVER, SHORT_NS);
	begin_ns = now_ns;
	while (now_ns - begin_ns < 10 * PATIENCE_WINDOW_NS)
		polled_ns += wait_for(WAIT_FOR_SERVER, SHORT_NS) ? SHORT_NS : 0;
	/* The first window may have begun before. */
	assert_in_range(polled_ns, 9 * PATIENCE_SPENT_NS,
			11 * (PATIENCE_SPENT_NS + SHORT_NS));
}

/* Waits that seem short, but end only after the thread sleeps: who should
 * answer has no processor while it polls. */
static void polling_that_never_pays_is_rare(void **state)
{
	unsigned polls = 0;

	(void)state;
	wait_often(WAIT_FOR_SERVER, SHORT_NS);
	for (int i = 0; i < 1000; i++) {
		uint64_t limit_ns = patience_begin(&p, WAIT_FOR_SERVER, now_ns);

		polls += limit_ns > 0;
		patience_end(&p, WAIT_FOR_SERVER, SHORT_NS, limit_ns, false);
		now_ns += AGES_NS;
	}
	assert_in_range(polls, 5, 1000 / SPIN_REST + SPIN_PATIENCE);
}

static void none_is_polled_where_that_is_not_asked_for(void **state)
{
	(void)state;
	p.max_ns = 0;
	assert_int_equal(wait_often(WAIT_FOR_SERVER, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_wait_that_is_short_is_polled_for_twice_as_long, begin,
			end),
		cmocka_unit_test_setup_teardown(long_waits_are_slept, begin,
						end),
		cmocka_unit_test_setup_teardown(a_long_wait_is_soon_forgotten,
						begin, end),
		cmocka_unit_test_setup_teardown(each_kind_of_wait_learns_alone,
						begin, end),
		cmocka_unit_test_setup_teardown(
			no_wait_is_polled_while_others_want_the_processors,
			begin, end),
		cmocka_unit_test_setup_teardown(
			a_loop_does_not_poll_all_the_time, begin, end),
		cmocka_unit_test_setup_teardown(polling_that_never_pays_is_rare,
						begin, end),
		cmocka_unit_test_setup_teardown(
			none_is_polled_where_that_is_not_asked_for, begin, end),
	};

	return cmocka_run_group_tests_name("patience", tests, NULL, NULL);
}
