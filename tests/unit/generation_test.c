#include "pages/generation.h"

#include "pages/pagemap.h"
#include "support.h"

#define PAGES 1000

/* Numbers of 48 bits, all of which differ. */
static uint64_t spread(uint64_t i)
{
	return i * UINT64_C(0x9e3779b97f4b) & ((UINT64_C(1) << 48) - 1);
}

static void what_was_set_is_there(void **state)
{
	struct generations c;
	struct error why;

	(void)state;
	assert_int_equal(generations_create(&c, PAGES, &why), 0);
	for (uint64_t i = 0; i < PAGES; i++)
		assert_int_equal(generations_get(&c, i), 0);
	for (uint64_t i = 0; i < PAGES; i++)
		generations_set(&c, i, spread(i));
	for (uint64_t i = 0; i < PAGES; i++)
		assert_int_equal(generations_get(&c, i), spread(i));
	generations_destroy(&c);
	assert_null(c.of);
	generations_destroy(&c);
}

static void too_many_pages_are_refused_in_words(void **state)
{
	struct generations c = { 0 };
	struct error why = { "" };

	(void)state;
	assert_true(generations_create(&c, UINT64_MAX / 8, &why) < 0);
	assert_contains(why.text, "generations of");
	assert_null(c.of);
}

struct handover {
	struct generations *generations;
	int written; /* no atomic: the generation orders it */
	int seen;
};

static void *read_after_generation(void *arg)
{
	struct handover *h = arg;

	while (generations_get(h->generations, 3) == 0)
		;
	h->seen = h->written;
	return NULL;
}

static void who_sees_a_generation_sees_what_was_before(void **state)
{
	struct generations c;
	struct error why;
	struct handover h = { .generations = &c };
	pthread_t thread;

	(void)state;
	assert_int_equal(generations_create(&c, PAGES, &why), 0);
	thread = thread_start(read_after_generation, &h);
	h.written = 7;
	generations_set(&c, 3, 1);
	thread_end(thread);
	assert_int_equal(h.seen, 7);
	generations_destroy(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_set_is_there),
		cmocka_unit_test(too_many_pages_are_refused_in_words),
		cmocka_unit_test(who_sees_a_generation_sees_what_was_before),
	};

	return cmocka_run_group_tests_name("generation", tests, NULL, NULL);
}
