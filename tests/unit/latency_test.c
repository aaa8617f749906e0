#include "pages/latency.h"
#include "support.h"

/* Every time is in the bucket that says so. */
static void buckets_follow_each_other(void **state)
{
	uint64_t begin_ns = 0;

	(void)state;
	for (uint32_t i = 0; i < LATENCY_BUCKETS; i++) {
		uint64_t end_ns = latency_bucket_end_ns(i);

		assert_int_equal(latency_bucket(begin_ns), i);
		assert_int_equal(latency_bucket(end_ns - 1), i);
		if (i > 0 && i < LATENCY_BUCKETS - 1)
			assert_true((end_ns - begin_ns) * LATENCY_PARTS <=
				    begin_ns);
		begin_ns = end_ns;
	}
	assert_int_equal(begin_ns, UINT64_MAX);
	assert_int_equal(latency_bucket_end_ns(0), 1024);
	assert_int_equal(latency_bucket_end_ns(LATENCY_BUCKETS - 2),
			 UINT64_C(1) << LATENCY_MAX_BITS);
}

static void quantiles_are_near_the_times(void **state)
{
	static struct latency latency;
	struct latency_sum sum = { 0 };
	uint64_t ns;

	(void)state;
	assert_int_equal(latency_quantile_ns(&sum, 500), 0);
	for (uint64_t us = 1; us <= 1000; us++)
		latency_add(&latency, us * 1000);
	latency_sum_up(&sum, &latency);
	assert_int_equal(sum.count, 1000);
	assert_int_equal(sum.sum_ns, UINT64_C(1000) * 1001 / 2 * 1000);
	ns = latency_quantile_ns(&sum, 500);
	assert_in_range(ns, 490000, 510000);
	ns = latency_quantile_ns(&sum, 990);
	assert_in_range(ns, 980000, 1000000 + 1000000 / LATENCY_PARTS);
	assert_in_range(latency_quantile_ns(&sum, 1), 1, 2048);
}

/* One slow time of a hundred is the p99's neighbour and not the p50's. */
static void a_slow_time_shows_in_the_tail_only(void **state)
{
	static struct latency latency;
	struct latency_sum sum = { 0 };

	(void)state;
	for (int i = 0; i < 98; i++)
		latency_add(&latency, 10000);
	latency_add(&latency, 50000000);
	latency_add(&latency, 50000000);
	latency_sum_up(&sum, &latency);
	assert_in_range(latency_quantile_ns(&sum, 500), 8000, 12500);
	assert_in_range(latency_quantile_ns(&sum, 990), 40000000, 62500000);
}

static void what_was_before_does_not_count(void **state)
{
	static struct latency latency;
	struct latency_sum before = { 0 }, sum = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++)
		latency_add(&latency, 1000000);
	latency_sum_up(&before, &latency);
	latency_add(&latency, 2000);
	latency_sum_up(&sum, &latency);
	latency_subtract(&sum, &before);
	assert_int_equal(sum.count, 1);
	assert_int_equal(sum.sum_ns, 2000);
	assert_in_range(latency_quantile_ns(&sum, 990), 1500, 2500);
}

/* Longer than any request may take. */
static void endless_times_have_a_bucket(void **state)
{
	static struct latency latency;
	struct latency_sum sum = { 0 };

	(void)state;
	latency_add(&latency, UINT64_MAX / 2);
	latency_sum_up(&sum, &latency);
	assert_int_equal(sum.buckets[LATENCY_BUCKETS - 1], 1);
	assert_int_equal(latency_quantile_ns(&sum, 990),
			 UINT64_C(1) << LATENCY_MAX_BITS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buckets_follow_each_other),
		cmocka_unit_test(quantiles_are_near_the_times),
		cmocka_unit_test(a_slow_time_shows_in_the_tail_only),
		cmocka_unit_test(what_was_before_does_not_count),
		cmocka_unit_test(endless_times_have_a_bucket),
	};

	return cmocka_run_group_tests_name("latency", tests, NULL, NULL);
}
