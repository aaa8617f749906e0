/* The model and the values of the torture tool: each kind of wrong page is fed
 * to them, and each right one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "latency.h"
#include "model.h"
#include "value.h"

#define SEED 77u

static struct model *m;
static char may[400];

static int setup(void **state)
{
	(void)state;
	m = model_create(8, 64);
	return m ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	model_free(m);
	return 0;
}

/* Requests of page 3; slots are free for the taking. */
static uint64_t begin_write(unsigned slot)
{
	uint64_t began = model_begin(m, slot);

	model_write_begin(m, 3, began, began);
	return began;
}

static void end_write(unsigned slot, uint64_t began, bool acked)
{
	model_write_end(m, 3, began, acked);
	model_finish(m, slot);
}

static uint64_t write_page(bool acked)
{
	uint64_t began = begin_write(0);

	end_write(0, began, acked);
	return began;
}

static bool end_read(unsigned slot, uint64_t began, uint64_t stamp)
{
	bool ok = model_read_end(m, 3, began, stamp, may, sizeof may);

	model_finish(m, slot);
	return ok;
}

static bool reads(uint64_t stamp)
{
	return end_read(1, model_begin(m, 1), stamp);
}

/* --- what is right --- */

static void test_zeros_at_first(void **state)
{
	(void)state;
	assert_true(reads(0));
	assert_false(reads(5));
	assert_string_equal(may, "zeros");
}

static void test_acknowledged(void **state)
{
	uint64_t first = write_page(true), second = write_page(true);

	(void)state;
	assert_true(reads(second));
	assert_false(reads(first)); /* overwritten */
	assert_false(reads(0));	    /* zeros for a written page */
	assert_false(reads(second + 100));
	assert_true(reads(second));
}

static void test_trim(void **state)
{
	uint64_t first = write_page(true);
	uint64_t began = model_begin(m, 0);

	(void)state;
	model_write_begin(m, 3, began, 0);
	assert_true(reads(first));
	assert_true(reads(0));
	end_write(0, began, true);
	assert_true(reads(0));
	assert_false(reads(first));
}

static void test_in_flight(void **state)
{
	uint64_t first = write_page(true);
	uint64_t second = begin_write(0);

	(void)state;
	/* either, and back again, while it is under way */
	assert_true(reads(second));
	assert_true(reads(first));
	assert_true(reads(second));
	end_write(0, second, true);
	assert_false(reads(first));
}

/* A read that began before the acknowledgement may bring the old value, though
 * it ends after; one that began after may not. */
static void test_read_over_an_acknowledgement(void **state)
{
	uint64_t first = write_page(true);
	uint64_t second = begin_write(0);
	uint64_t early = model_begin(m, 1), late;

	(void)state;
	end_write(0, second, true);
	late = model_begin(m, 2);
	assert_true(end_read(1, early, first));
	assert_false(end_read(2, late, first));
}

static void test_written_while_read(void **state)
{
	uint64_t early = model_begin(m, 1);
	uint64_t first = write_page(true), second = write_page(true);

	(void)state;
	assert_true(model_read_end(m, 3, early, 0, may, sizeof may));
	assert_true(model_read_end(m, 3, early, first, may, sizeof may));
	assert_true(end_read(1, early, second));
	assert_false(reads(first));
}

/* --- writes of one page at the same time --- */

static void test_concurrent_writes(void **state)
{
	uint64_t a = begin_write(0), b = begin_write(2);

	(void)state;
	end_write(0, a, true);
	assert_true(reads(b)); /* settles nothing: b is in flight */
	end_write(2, b, true);
	/* the first read settles it */
	assert_true(reads(a));
	assert_true(reads(a));
	assert_false(reads(b));
	assert_string_not_equal(may, "");
}

static void test_concurrent_writes_leave_nothing_older(void **state)
{
	uint64_t old = write_page(true);
	uint64_t a = begin_write(0), b = begin_write(2);

	(void)state;
	end_write(0, a, true);
	assert_false(reads(old));
	end_write(2, b, true);
	assert_false(reads(old));
	assert_true(reads(b));
	assert_false(reads(a));
}

static void test_next_write_settles(void **state)
{
	uint64_t a = begin_write(0), b = begin_write(2), c;

	(void)state;
	end_write(0, a, true);
	end_write(2, b, true);
	c = write_page(true);
	assert_false(reads(a));
	assert_false(reads(b));
	assert_true(reads(c));
}

/* A read during a write settles nothing. */
static void test_read_during_write_settles_nothing(void **state)
{
	uint64_t a = begin_write(0), early = model_begin(m, 1);

	(void)state;
	end_write(0, a, false);
	assert_true(end_read(1, early, 0));
	assert_true(reads(a)); /* may have come later */
	assert_false(reads(0));
}

/* --- writes that failed --- */

static void test_failed_write(void **state)
{
	uint64_t first = write_page(true), failed = write_page(false);

	(void)state;
	assert_false(reads(0));
	assert_true(reads(failed));
	assert_false(reads(first)); /* it was the new one */
	assert_true(reads(failed));
}

static void test_failed_write_without_effect(void **state)
{
	uint64_t first = write_page(true), failed = write_page(false);

	(void)state;
	assert_true(reads(first));
	assert_false(reads(failed)); /* it came late */
}

static void test_failed_then_acknowledged(void **state)
{
	uint64_t failed = write_page(false), good = write_page(true);

	(void)state;
	assert_false(reads(failed));
	assert_false(reads(0));
	assert_true(reads(good));
}

static void test_many_failures_are_not_judged(void **state)
{
	uint64_t first = write_page(true), last = 0;

	(void)state;
	for (int i = 0; i < 500; i++)
		last = write_page(false);
	assert_true(model_blind(m) > 0);
	assert_true(reads(last));
	assert_false(reads(first)); /* settled again */
	for (int i = 0; i < 500; i++)
		write_page(false);
	last = write_page(true);
	assert_false(reads(first)); /* and so again */
	assert_true(reads(last));
}

/* With all slots in flight on one page, and reads that pin what is over. */
static void test_all_slots(void **state)
{
	uint64_t began[MODEL_SLOTS_MAX], pinned = model_begin(m, 63);

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < MODEL_SLOTS_MAX - 1; i++)
			began[i] = begin_write(i);
		for (unsigned i = 0; i < MODEL_SLOTS_MAX - 1; i++)
			end_write(i, began[i], i % 2);
	}
	assert_true(end_read(63, pinned, 0));
	assert_true(reads(began[5]));
	assert_false(reads(began[6]));
}

static void test_pages_are_apart(void **state)
{
	uint64_t stamp, first = write_page(true);

	(void)state;
	assert_true(
		model_read_end(m, 2, model_begin(m, 1), 0, may, sizeof may));
	assert_int_equal(model_may(m, 2, &stamp), 1);
	assert_int_equal(stamp, 0);
	assert_int_equal(model_may(m, 3, &stamp), 1);
	assert_int_equal(stamp, first);
}

/* --- values --- */

static char page[PAGE], other[PAGE];

static void test_value(void **state)
{
	struct found f;

	(void)state;
	value_fill(page, 5, 9, SEED);
	f = value_find(page, 5, SEED);
	assert_int_equal(f.kind, FOUND_STAMP);
	assert_int_equal(f.stamp, 9);
	value_fill(page, 5, 0, SEED);
	f = value_find(page, 5, SEED);
	assert_int_equal(f.kind, FOUND_STAMP);
	assert_int_equal(f.stamp, 0);
}

static void test_foreign(void **state)
{
	struct found f;
	char text[200];

	(void)state;
	value_fill(page, 6, 9, SEED);
	f = value_find(page, 5, SEED);
	assert_int_equal(f.kind, FOUND_FOREIGN);
	assert_string_equal(value_describe(&f, text, sizeof text),
			    "page 6 stamp 9");
}

static void test_torn(void **state)
{
	struct found f;
	char text[200];

	(void)state;
	value_fill(page, 5, 9, SEED);
	value_fill(other, 5, 8, SEED);
	memcpy(page + 1024, other + 1024, 1024);
	f = value_find(page, 5, SEED);
	assert_int_equal(f.kind, FOUND_TORN);
	assert_string_equal(value_describe(&f, text, sizeof text),
			    "torn: AABBAAAA, A is stamp 9, B is stamp 8");
	value_fill(page, 5, 9, SEED);
	memset(page + 3584, 0, 512); /* the rest is zeros */
	f = value_find(page, 5, SEED);
	assert_int_equal(f.kind, FOUND_TORN);
	assert_int_equal(f.other, 0);
	memset(page, 0, 512);
	f = value_find(page, 5, SEED);
	assert_int_equal(f.kind, FOUND_TORN);
}

/* Each byte counts; and what another run wrote is nothing of ours. */
static void test_garbage(void **state)
{
	struct found f;

	(void)state;
	for (unsigned i = 0; i < PAGE; i += 61) {
		value_fill(page, 5, 9, SEED);
		page[i] ^= 1;
		f = value_find(page, 5, SEED);
		assert_int_not_equal(f.kind, FOUND_STAMP);
	}
	value_fill(page, 5, 9, SEED + 1);
	f = value_find(page, 5, SEED);
	assert_int_equal(f.kind, FOUND_GARBAGE);
	memset(page, 0xa5, PAGE); /* what a read that does nothing leaves */
	f = value_find(page, 5, SEED);
	assert_int_equal(f.kind, FOUND_GARBAGE);
	value_fill(page, 5, 0, SEED);
	page[4000] = 1;
	f = value_find(page, 5, SEED);
	assert_int_equal(f.kind, FOUND_TORN);
}

static void test_latency(void **state)
{
	static struct latency l, taken;

	(void)state;
	assert_int_equal(latency_us(&l, 99), 0);
	for (unsigned i = 0; i < 98; i++)
		latency_add(&l, 100000);
	latency_add(&l, 5000000);
	latency_add(&l, UINT64_C(7000000000));
	assert_in_range(latency_us(&l, 50), 93, 100);
	assert_in_range(latency_us(&l, 99), 4600, 5000);
	assert_in_range(latency_us(&l, 100), 6500000, 7000000);
	assert_int_equal(l.max_ns / 1000, 7000000);
	latency_take(&l, &taken);
	assert_int_equal(latency_count(&taken), 100);
	assert_int_equal(latency_count(&l), 0);
}

/* --- threads --- */

/* A page that is right, under a lock: no reader may complain. */
static uint64_t holds;
static pthread_mutex_t holds_lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic int complaints;

static void *use(void *arg)
{
	unsigned slot = (unsigned)(uintptr_t)arg;
	char text[400];

	for (unsigned i = 0; i < 5000; i++) {
		uint64_t began = model_begin(m, slot), got;

		if ((i + slot) % 2) {
			model_write_begin(m, 3, began, began);
			pthread_mutex_lock(&holds_lock);
			holds = began;
			pthread_mutex_unlock(&holds_lock);
			model_write_end(m, 3, began, i % 8 != 1);
		} else {
			pthread_mutex_lock(&holds_lock);
			got = holds;
			pthread_mutex_unlock(&holds_lock);
			if (!model_read_end(m, 3, began, got, text,
					    sizeof text))
				complaints++;
		}
		model_finish(m, slot);
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[8];

	(void)state;
	for (uintptr_t i = 0; i < 8; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, use, (void *)i), 0);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(complaints, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_zeros_at_first),
		TEST(test_acknowledged),
		TEST(test_trim),
		TEST(test_in_flight),
		TEST(test_read_over_an_acknowledgement),
		TEST(test_written_while_read),
		TEST(test_concurrent_writes),
		TEST(test_concurrent_writes_leave_nothing_older),
		TEST(test_next_write_settles),
		TEST(test_read_during_write_settles_nothing),
		TEST(test_failed_write),
		TEST(test_failed_write_without_effect),
		TEST(test_failed_then_acknowledged),
		TEST(test_many_failures_are_not_judged),
		TEST(test_all_slots),
		TEST(test_pages_are_apart),
		TEST(test_threads),
		cmocka_unit_test(test_value),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_torn),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_latency),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
