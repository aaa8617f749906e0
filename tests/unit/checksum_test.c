#include "pages/checksum.h"

#include "pages/pagemap.h"
#include "support.h"

#define PAGES 1000

/* --- one for each page --- */

static void what_was_set_is_there(void **state)
{
	struct checksums c;
	struct error why;

	(void)state;
	assert_int_equal(checksums_create(&c, PAGES, &why), 0);
	for (uint64_t i = 0; i < PAGES; i++)
		assert_int_equal(checksums_get(&c, i), 0);
	for (uint64_t i = 0; i < PAGES; i++)
		checksums_set(&c, i, (uint32_t)(i * 0x9e3779b9u));
	for (uint64_t i = 0; i < PAGES; i++)
		assert_int_equal(checksums_get(&c, i),
				 (uint32_t)(i * 0x9e3779b9u));
	checksums_destroy(&c);
	assert_null(c.sums);
	checksums_destroy(&c);
}

static void too_many_pages_are_refused_in_words(void **state)
{
	struct checksums c = { 0 };
	struct error why = { "" };

	(void)state;
	assert_true(checksums_create(&c, UINT64_MAX / 8, &why) < 0);
	assert_contains(why.text, "checksums of");
	assert_null(c.sums);
}

struct handover {
	struct checksums *sums;
	int written; /* no atomic: the checksum orders it */
	int seen;
};

static void *read_after_sum(void *arg)
{
	struct handover *h = arg;

	while (checksums_get(h->sums, 3) == 0)
		;
	h->seen = h->written;
	return NULL;
}

static void who_sees_a_checksum_sees_what_was_before(void **state)
{
	struct checksums c;
	struct error why;
	struct handover h = { .sums = &c };
	pthread_t thread;

	(void)state;
	assert_int_equal(checksums_create(&c, PAGES, &why), 0);
	thread = thread_start(read_after_sum, &h);
	h.written = 7;
	checksums_set(&c, 3, 1);
	thread_end(thread);
	assert_int_equal(h.seen, 7);
	checksums_destroy(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_set_is_there),
		cmocka_unit_test(too_many_pages_are_refused_in_words),
		cmocka_unit_test(who_sees_a_checksum_sees_what_was_before),
	};

	return cmocka_run_group_tests_name("checksum", tests, NULL, NULL);
}
