/* The rate of a scrub, which another thread changes at any moment. */
#include "servers/core.h"
#include "support.h"

static void loaded(const volatile void *what);

/* scrub.c with a test's eye on everything that it loads. */
#undef atomic_load
#define atomic_load(p)                                                         \
	({                                                                     \
		__auto_type value =                                            \
			atomic_load_explicit((p), memory_order_seq_cst);       \
		loaded(p);                                                     \
		value;                                                         \
	})
#include "repair/scrub.c"
#undef atomic_load

static struct scrub scrubs;
static uint64_t next_rate; /* once a rate was loaded */

static void loaded(const volatile void *what)
{
	if (what == &scrubs.bytes_per_s)
		atomic_store(&scrubs.bytes_per_s, next_rate);
}

/* For how long a scrub at RATE rests after two pages. */
static uint64_t rest_ns(uint64_t rate)
{
	scrubs.due_ns = 0;
	atomic_store(&scrubs.bytes_per_s, rate);
	keep_rate(&scrubs, 2);
	return scrubs.due_ns;
}

static void a_read_takes_its_part_of_a_second(void **state)
{
	(void)state;
	next_rate = 4 * PAGE_BYTES;
	assert_int_equal(rest_ns(4 * PAGE_BYTES), NS_PER_S / 2);
	next_rate = 0;
	assert_int_equal(rest_ns(0), 0);
}

static void the_rate_may_become_no_limit_after_it_was_loaded(void **state)
{
	(void)state;
	next_rate = 0;
	assert_int_equal(rest_ns(4 * PAGE_BYTES), NS_PER_S / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_read_takes_its_part_of_a_second),
		cmocka_unit_test(
			the_rate_may_become_no_limit_after_it_was_loaded),
	};

	return cmocka_run_group_tests_name("scrub_rate", tests, NULL, NULL);
}
