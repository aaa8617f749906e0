/* Extents of pages that change while they are looked at. */
#include "engine.h"
#include "support.h"

#define PAGES 64u

static void looked_at(uint64_t page);

/* request.c with a test's eye on every page that it looks at. */
static inline enum page_state see(const struct pagemap *map, uint64_t page)
{
	enum page_state state = pagemap_get(map, page);

	looked_at(page);
	return state;
}

#define pagemap_get see
#include "io/request.c"
#undef pagemap_get

static struct engine engine;

/* What becomes of a page that was just looked at; NULL: nothing. */
static void (*change)(uint64_t page);
static unsigned seen[PAGES];

static void looked_at(uint64_t page)
{
	if (!change)
		return;
	seen[page]++;
	change(page);
}

static void set(uint64_t page, uint64_t n, enum page_state state)
{
	pagemap_set(&engine.pages, page, n, state);
}

static int start(void **state)
{
	struct error why;

	(void)state;
	change = NULL;
	memset(seen, 0, sizeof seen);
	return pagemap_create(&engine.pages, PAGES, &why);
}

static int stop(void **state)
{
	(void)state;
	pagemap_destroy(&engine.pages);
	return 0;
}

/* The extent at FROM of at most N pages is PAGES_THERE pages that are absent,
 * or not; and each of them was looked at, and none twice. */
static void assert_extent(uint64_t from, uint64_t n, uint64_t pages_there,
			  bool absent)
{
	bool got_absent = !absent;
	uint64_t bytes = engine_extent(&engine, n * PAGE_BYTES,
				       from * PAGE_BYTES, &got_absent);

	assert_int_equal(bytes, pages_there * PAGE_BYTES);
	assert_int_equal(got_absent, absent);
	for (uint64_t i = 0; i < pages_there; i++)
		assert_int_equal(seen[from + i], 1);
	for (uint64_t i = 0; i < PAGES; i++)
		assert_true(seen[i] <= 1);
}

static void flip(uint64_t page)
{
	set(page, 1,
	    pagemap_get(&engine.pages, page) == PAGE_ABSENT ? PAGE_PRESENT
							    : PAGE_ABSENT);
}

static void a_page_that_is_written_meanwhile_was_absent(void **state)
{
	(void)state;
	change = flip;
	assert_extent(5, 1, 1, true);
}

static void a_page_that_is_trimmed_meanwhile_was_not(void **state)
{
	(void)state;
	set(5, 1, PAGE_PRESENT);
	change = flip;
	assert_extent(5, 1, 1, false);
}

static void pages_count_as_they_were_when_looked_at(void **state)
{
	(void)state;
	set(10, 4, PAGE_PRESENT);
	change = flip;
	assert_extent(0, PAGES, 10, true);
	memset(seen, 0, sizeof seen);
	/* As they all changed, and page 10 as well. */
	assert_extent(0, 8, 8, false);
	memset(seen, 0, sizeof seen);
	assert_extent(10, PAGES - 10, 1, true);
}

static void write_the_first(uint64_t page)
{
	(void)page;
	set(0, 1, PAGE_PRESENT);
}

static void trim_all(uint64_t page)
{
	(void)page;
	set(0, PAGES, PAGE_ABSENT);
}

static void a_change_behind_is_of_no_matter(void **state)
{
	(void)state;
	change = write_the_first;
	assert_extent(0, PAGES, PAGES, true);
}

static void a_change_ahead_ends_the_extent(void **state)
{
	(void)state;
	set(0, PAGES, PAGE_PRESENT);
	change = trim_all;
	assert_extent(0, PAGES, 1, false);
}

/* --- the same with threads: a matter of luck, and for ThreadSanitizer --- */

#define ROUNDS 100000

static atomic_bool done;
static atomic_uint flips;

static void *flip_pages(void *arg)
{
	uint64_t seed = *(uint64_t *)arg;

	while (!atomic_load_explicit(&done, memory_order_relaxed)) {
		flip(random_next(&seed) % 4);
		atomic_fetch_add_explicit(&flips, 1, memory_order_relaxed);
	}
	return NULL;
}

static void an_extent_is_whole_pages_and_no_more_than_asked(void **state)
{
	uint64_t seed = random_seed(), flip_seed = random_next(&seed);
	unsigned wrong = 0;
	pthread_t thread;

	(void)state;
	atomic_store(&done, false);
	atomic_store(&flips, 0);
	thread = thread_start(flip_pages, &flip_seed);
	/* Until the other thread has done its shard as well. */
	for (int i = 0; i < ROUNDS || atomic_load(&flips) < ROUNDS; i++) {
		uint64_t page = random_next(&seed) % 4;
		uint64_t most = (random_next(&seed) % 4 + 1) * PAGE_BYTES;
		bool absent;
		uint64_t bytes = engine_extent(&engine, most, page * PAGE_BYTES,
					       &absent);

		wrong += bytes == 0 || bytes > most || bytes % PAGE_BYTES;
	}
	atomic_store(&done, true);
	thread_end(thread);
	assert_int_equal(wrong, 0);
}

#define with_map(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_map(a_page_that_is_written_meanwhile_was_absent),
		with_map(a_page_that_is_trimmed_meanwhile_was_not),
		with_map(pages_count_as_they_were_when_looked_at),
		with_map(a_change_behind_is_of_no_matter),
		with_map(a_change_ahead_ends_the_extent),
		with_map(an_extent_is_whole_pages_and_no_more_than_asked),
	};

	return cmocka_run_group_tests_name("extents", tests, NULL, NULL);
}
