#include "pages/pagemap.h"
#include "support.h"

#define PAGES 1000

static struct pagemap map;

static int make_map(void **state)
{
	struct error why;

	(void)state;
	return pagemap_create(&map, PAGES, &why);
}

static int end_map(void **state)
{
	(void)state;
	pagemap_destroy(&map);
	return 0;
}

static void all_pages_begin_absent(void **state)
{
	(void)state;
	assert_int_equal(map.pages, PAGES);
	for (uint64_t i = 0; i < PAGES; i++)
		assert_int_equal(pagemap_get(&map, i), PAGE_ABSENT);
}

static void set_tells_how_many_became_or_ceased_to_be_present(void **state)
{
	(void)state;
	assert_int_equal(pagemap_set(&map, 10, 5, PAGE_PRESENT), 5);
	assert_int_equal(pagemap_set(&map, 12, 5, PAGE_PRESENT), 2);
	assert_int_equal(pagemap_set(&map, 10, 7, PAGE_PRESENT), 0);
	assert_int_equal(pagemap_set(&map, 0, PAGES, PAGE_ABSENT), -7);
	assert_int_equal(pagemap_set(&map, 0, PAGES, PAGE_ABSENT), 0);
}

static void set_touches_only_its_range(void **state)
{
	(void)state;
	pagemap_set(&map, 10, 5, PAGE_PRESENT);
	for (uint64_t i = 0; i < PAGES; i++)
		assert_int_equal(pagemap_get(&map, i), i >= 10 && i < 15
							       ? PAGE_PRESENT
							       : PAGE_ABSENT);
}

static void only_present_pages_are_lost(void **state)
{
	(void)state;
	pagemap_set(&map, 10, 5, PAGE_PRESENT);
	assert_int_equal(pagemap_lose(&map, 0, 12), 2);
	assert_int_equal(pagemap_get(&map, 9), PAGE_ABSENT);
	assert_int_equal(pagemap_get(&map, 10), PAGE_LOST);
	assert_int_equal(pagemap_get(&map, 11), PAGE_LOST);
	assert_int_equal(pagemap_get(&map, 12), PAGE_PRESENT);
	assert_int_equal(pagemap_lose(&map, 0, 12), 0);
	assert_int_equal(atomic_load(&map.lost), 2);
}

static void a_lost_page_comes_back_by_a_write_or_a_trim(void **state)
{
	(void)state;
	pagemap_set(&map, 0, 4, PAGE_PRESENT);
	pagemap_lose(&map, 0, 4);
	assert_int_equal(pagemap_set(&map, 0, 1, PAGE_PRESENT), 1);
	assert_int_equal(atomic_load(&map.lost), 3);
	assert_int_equal(pagemap_set(&map, 1, 2, PAGE_ABSENT), 0);
	assert_int_equal(atomic_load(&map.lost), 1);
	assert_int_equal(pagemap_get(&map, 0), PAGE_PRESENT);
	assert_int_equal(pagemap_get(&map, 1), PAGE_ABSENT);
	assert_int_equal(pagemap_get(&map, 3), PAGE_LOST);
}

static void nothing_set_is_nothing_changed(void **state)
{
	(void)state;
	assert_int_equal(pagemap_set(&map, 5, 0, PAGE_PRESENT), 0);
	assert_int_equal(pagemap_get(&map, 5), PAGE_ABSENT);
}

/* --- looks --- */

/* 32 is where a byte's sequence comes round. */
static void any_number_of_changes_is_seen(void **state)
{
	static const unsigned numbers[] = {
		1, 2, 31, 32, 33, 64, 96, 32 * 256
	};

	(void)state;
	pagemap_set(&map, 70, 1, PAGE_PRESENT);
	for (size_t i = 0; i < COUNT(numbers); i++) {
		struct page_version version = pagemap_version(&map, 70);

		assert_true(pagemap_unchanged(&map, 70, version, false));
		for (unsigned j = 0; j < numbers[i]; j++)
			pagemap_set(&map, 70, 1, PAGE_PRESENT);
		assert_false(pagemap_unchanged(&map, 70, version, false));
	}
}

static void who_owns_a_page_may_leave_that_out(void **state)
{
	struct page_version version = pagemap_version(&map, 3);

	(void)state;
	assert_int_equal(pagemap_lock(&map, 3, 0), 0);
	assert_true(page_version_locked(pagemap_version(&map, 3)));
	assert_false(pagemap_unchanged(&map, 3, version, false));
	assert_true(pagemap_unchanged(&map, 3, version, true));
	pagemap_set(&map, 3, 1, PAGE_LOST);
	assert_false(pagemap_unchanged(&map, 3, version, true));
	pagemap_unlock(&map, 3);
}

/* Of another group it is seen nothing. */
static void changes_elsewhere_are_no_changes(void **state)
{
	struct page_version version = pagemap_version(&map, PAGE_GROUP_PAGES);

	(void)state;
	for (int i = 0; i < 100; i++) {
		pagemap_set(&map, 0, PAGE_GROUP_PAGES, PAGE_PRESENT);
		pagemap_set(&map, 2 * PAGE_GROUP_PAGES, 10, PAGE_PRESENT);
	}
	assert_true(pagemap_unchanged(&map, PAGE_GROUP_PAGES, version, false));
}

/* The last page is in a group that is not full. */
static void the_last_group_is_there(void **state)
{
	struct page_version version = pagemap_version(&map, PAGES - 1);

	(void)state;
	for (int i = 0; i < 32; i++)
		pagemap_set(&map, PAGES - 1, 1, PAGE_PRESENT);
	assert_false(pagemap_unchanged(&map, PAGES - 1, version, false));
	/* A byte a page, and 8 for a group. */
	assert_true(map.memory_bytes >= PAGES + PAGES / PAGE_GROUP_PAGES * 8);
	assert_true(map.memory_bytes <= (PAGES + PAGE_GROUP_PAGES) /
						PAGE_GROUP_PAGES *
						(PAGE_GROUP_PAGES + 8));
}

/* --- several threads on the same pages --- */

#define THREADS 4
#define ROUNDS	300000
#define FEW	4 /* pages, so that they meet */

struct changer {
	pthread_barrier_t *begin;
	uint64_t seed;
	int64_t present; /* the sum of what it was told */
};

static void *change_pages(void *arg)
{
	struct changer *c = arg;

	pthread_barrier_wait(c->begin);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t page = random_next(&c->seed) % FEW;
		uint64_t n = random_next(&c->seed) % (FEW - page) + 1;

		switch (random_next(&c->seed) % 3) {
		case 0:
			c->present += pagemap_set(&map, page, n, PAGE_PRESENT);
			break;
		case 1:
			c->present += pagemap_set(&map, page, n, PAGE_ABSENT);
			break;
		case 2:
			c->present -= pagemap_lose(&map, page, n);
			break;
		}
	}
	return NULL;
}

static int64_t count_state(enum page_state wanted)
{
	int64_t n = 0;

	for (uint64_t i = 0; i < PAGES; i++)
		n += pagemap_get(&map, i) == wanted;
	return n;
}

static void what_all_threads_are_told_sums_up(void **state)
{
	struct changer changers[THREADS] = { 0 };
	pthread_t threads[THREADS];
	uint64_t seed = random_seed();
	pthread_barrier_t begin;
	int64_t present = 0;

	(void)state;
	pthread_barrier_init(&begin, NULL, THREADS);
	for (int i = 0; i < THREADS; i++) {
		changers[i].begin = &begin;
		changers[i].seed = random_next(&seed);
		threads[i] = thread_start(change_pages, &changers[i]);
	}
	for (int i = 0; i < THREADS; i++) {
		thread_end(threads[i]);
		present += changers[i].present;
	}
	pthread_barrier_destroy(&begin);
	assert_int_equal(count_state(PAGE_PRESENT), present);
	assert_int_equal(count_state(PAGE_LOST), atomic_load(&map.lost));
}

/* A page whose bytes are one number: writers own it, as transfer_write's
 * callers do, and others trim it whenever they like. */
#define WRITERS 3

static _Atomic uint64_t bytes_of_the_page;
static _Atomic bool ended;

static void *write_the_page(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS / 10; i++) {
		if (pagemap_lock(&map, 5, after_ms(LONG_MS)))
			break;
		atomic_fetch_add_explicit(&bytes_of_the_page, 1,
					  memory_order_relaxed);
		pagemap_set(&map, 5, 1, PAGE_PRESENT);
		pagemap_unlock(&map, 5);
	}
	return NULL;
}

static void *trim_the_page(void *arg)
{
	(void)arg;
	while (!atomic_load(&ended)) {
		pagemap_set(&map, 5, 1, PAGE_ABSENT);
		pagemap_set(&map, 6, 1, PAGE_PRESENT);
	}
	return NULL;
}

/* How often two looks were the same though the bytes were not. */
static void *read_the_page(void *arg)
{
	unsigned *wrong = arg;

	while (!atomic_load(&ended)) {
		struct page_version version = pagemap_version(&map, 5);
		uint64_t first = atomic_load_explicit(&bytes_of_the_page,
						      memory_order_relaxed);
		uint64_t last;

		/* Long enough for any number of writes. */
		for (uint64_t n = first % 500; n > 0; n--)
			(void)pagemap_get(&map, 900);
		last = atomic_load_explicit(&bytes_of_the_page,
					    memory_order_acquire);
		if (!page_version_locked(version) &&
		    pagemap_unchanged(&map, 5, version, false))
			*wrong += first != last;
	}
	return NULL;
}

static void a_look_is_never_deceived(void **state)
{
	pthread_t writers[WRITERS], reader, trimmer;
	unsigned wrong = 0;

	(void)state;
	atomic_store(&ended, false);
	reader = thread_start(read_the_page, &wrong);
	trimmer = thread_start(trim_the_page, NULL);
	for (int i = 0; i < WRITERS; i++)
		writers[i] = thread_start(write_the_page, NULL);
	for (int i = 0; i < WRITERS; i++)
		thread_end(writers[i]);
	atomic_store(&ended, true);
	thread_end(reader);
	thread_end(trimmer);
	assert_int_equal(wrong, 0);
	for (uint64_t i = 0; i < PAGES / PAGE_GROUP_PAGES; i++)
		assert_int_equal(map.wraps[i] & PAGE_WRAP_MASK, 0);
}

#define with_map(test) cmocka_unit_test_setup_teardown(test, make_map, end_map)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_map(all_pages_begin_absent),
		with_map(set_tells_how_many_became_or_ceased_to_be_present),
		with_map(set_touches_only_its_range),
		with_map(only_present_pages_are_lost),
		with_map(a_lost_page_comes_back_by_a_write_or_a_trim),
		with_map(nothing_set_is_nothing_changed),
		with_map(any_number_of_changes_is_seen),
		with_map(who_owns_a_page_may_leave_that_out),
		with_map(changes_elsewhere_are_no_changes),
		with_map(the_last_group_is_there),
		with_map(what_all_threads_are_told_sums_up),
		with_map(a_look_is_never_deceived),
	};

	return cmocka_run_group_tests_name("pagemap", tests, NULL, NULL);
}
