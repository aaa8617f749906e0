/* common/concurrency.c: lanes and threads fit each other. */
#include "concurrency.h"
#include "support.h"

static void lanes_are_the_fewest_that_give_each_write_one(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 192; n++) {
		unsigned lanes = concurrency_lanes(n);

		assert_true(concurrency_writes(lanes) >= n);
		assert_true(lanes == 1 || concurrency_writes(lanes - 1) < n);
	}
	assert_int_equal(concurrency_lanes(1), 1);
	assert_int_equal(concurrency_lanes(16), 21);
	assert_int_equal(concurrency_lanes(32), 42);
	assert_int_equal(concurrency_lanes(10000), CONCURRENCY_LANES_MAX);
}

static void reads_keep_a_quarter(void **state)
{
	(void)state;
	assert_int_equal(concurrency_writes(1), 1);
	assert_int_equal(concurrency_writes(2), 1);
	assert_int_equal(concurrency_writes(3), 2);
	assert_int_equal(concurrency_writes(4), 3);
	assert_int_equal(concurrency_writes(16), 12);
	assert_int_equal(concurrency_writes(256), 192);
}

static void threads_of_all_connections_make_the_requests(void **state)
{
	(void)state;
	for (unsigned requests = 1; requests <= 64; requests++) {
		for (unsigned c = 1; c <= CONCURRENCY_CONNECTIONS_MAX; c++)
			assert_true(concurrency_threads(requests, c) * c >=
				    requests);
	}
	assert_int_equal(concurrency_threads(32, 1), 32);
	assert_int_equal(concurrency_threads(32, 2), 16);
	assert_int_equal(concurrency_threads(33, 2), 17);
	/* and no connection has hardly any */
	assert_int_equal(concurrency_threads(32, 16), 4);
}

static void more_processors_have_more_requests_up_to_a_limit(void **state)
{
	const uint64_t memory_bytes = UINT64_C(16) << 30;

	(void)state;
	assert_int_equal(concurrency_requests(0, memory_bytes), 16);
	assert_int_equal(concurrency_requests(1, memory_bytes), 16);
	assert_int_equal(concurrency_requests(2, memory_bytes), 32);
	assert_int_equal(concurrency_requests(3, memory_bytes), 32);
	assert_int_equal(concurrency_requests(-1U, memory_bytes), 32);
}

static void a_small_machine_has_fewer(void **state)
{
	(void)state;
	assert_int_equal(concurrency_requests(2, UINT64_C(256) << 20), 32);
	assert_int_equal(concurrency_requests(2, UINT64_C(100) << 20), 12);
	assert_int_equal(concurrency_requests(1, UINT64_C(100) << 20), 12);
	assert_int_equal(concurrency_requests(2, UINT64_C(1) << 20), 4);
	assert_int_equal(concurrency_requests(1, UINT64_MAX), 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lanes_are_the_fewest_that_give_each_write_one),
		cmocka_unit_test(reads_keep_a_quarter),
		cmocka_unit_test(threads_of_all_connections_make_the_requests),
		cmocka_unit_test(
			more_processors_have_more_requests_up_to_a_limit),
		cmocka_unit_test(a_small_machine_has_fewer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
