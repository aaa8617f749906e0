/* The rate of copying, with a clock of the test's own. */
#include "clock.h"
#include "servers/core.h"
#include "support.h"

static uint64_t clock_ns;

static uint64_t test_now_ns(void)
{
	return clock_ns;
}

static void test_sleep_ns(uint64_t ns)
{
	clock_ns += ns;
}

#define clock_now_ns   test_now_ns
#define clock_sleep_ns test_sleep_ns
#include "repair/fill.c"
#undef clock_now_ns
#undef clock_sleep_ns

#define RATE_PAGES (8 * BATCH_PAGES) /* a second */

static struct engine engine;
static struct repair repair;

static int setup(void **state)
{
	(void)state;
	repair = (struct repair){ .copied_pages = 0 };
	engine.repair = &repair;
	engine.config.repair_bytes_per_s = RATE_PAGES * PAGE_BYTES;
	clock_ns = 1000 * NS_PER_S;
	return 0;
}

/* N batches, each of which takes TRANSFER_NS. */
static void copy(unsigned n, uint64_t transfer_ns)
{
	for (unsigned i = 0; i < n; i++) {
		clock_ns += transfer_ns;
		atomic_fetch_add(&repair.read_pages, BATCH_PAGES);
		keep_rate(&engine);
	}
}

static uint64_t copy_ns(unsigned n, uint64_t transfer_ns)
{
	uint64_t since_ns = clock_ns;

	copy(n, transfer_ns);
	return clock_ns - since_ns;
}

static void pages_take_their_part_of_a_second(void **state)
{
	(void)state;
	assert_int_equal(copy_ns(1, 0), NS_PER_S / 8);
	assert_int_equal(copy_ns(79, 0), 79 * NS_PER_S / 8);
}

static void transfers_count_as_part_of_it(void **state)
{
	uint64_t ns = copy_ns(80, NS_PER_S / 16);

	(void)state;
	/* the first one of a second comes after it began */
	assert_in_range(ns, 10 * NS_PER_S, 11 * NS_PER_S);
}

/* What was not copied while nothing was to do is not made up for. */
static void a_rest_gives_no_right_to_a_burst(void **state)
{
	(void)state;
	copy(80, 0);
	clock_ns += 100 * NS_PER_S;
	assert_int_equal(copy_ns(80, 0), 80 * NS_PER_S / 8);
}

static void no_rate_is_no_wait(void **state)
{
	(void)state;
	engine.config.repair_bytes_per_s = 0;
	assert_int_equal(copy_ns(80, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(pages_take_their_part_of_a_second,
				       setup),
		cmocka_unit_test_setup(transfers_count_as_part_of_it, setup),
		cmocka_unit_test_setup(a_rest_gives_no_right_to_a_burst, setup),
		cmocka_unit_test_setup(no_rate_is_no_wait, setup),
	};

	return cmocka_run_group_tests_name("repair_rate", tests, NULL, NULL);
}
