/* How long a client of etcd rests after calls that failed: longer each time, up
 * to a limit, and at random, so that a thousand clients of an etcd that comes
 * back do not ask it at the same moment.  docs/pool.md has the figures. */
#include "clock.h"
#include "etcd/etcd.h"
#include "support.h"

#define FIRST_NS (250 * NS_PER_MS)
#define MOST_NS	 (5 * NS_PER_S)
/* Of a memory server's key (memserver/server/registration.c). */
#define LEASE_NS (9 * NS_PER_S)
#define DRAWS	 256

/* All within half of NS around it, and in all parts of that. */
static void assert_rests(unsigned failures, uint64_t ns)
{
	uint64_t least_ns = UINT64_MAX, most_ns = 0;

	for (int i = 0; i < DRAWS; i++) {
		uint64_t rest_ns = etcd_backoff_ns(failures);

		assert_in_range(rest_ns, ns / 2, ns + ns / 2);
		least_ns = rest_ns < least_ns ? rest_ns : least_ns;
		most_ns = rest_ns > most_ns ? rest_ns : most_ns;
	}
	/* Of 256 draws none is in the last quarter, or in the first one, by a
	 * chance of 10^-31. */
	assert_true(least_ns < ns - ns / 4);
	assert_true(most_ns > ns + ns / 4);
}

static void longer_each_time(void **state)
{
	unsigned failures = 0;

	(void)state;
	assert_rests(0, FIRST_NS);
	for (uint64_t ns = FIRST_NS; ns < MOST_NS; ns *= 2)
		assert_rests(++failures, ns);
	for (int i = 0; i < 70; i++)
		assert_rests(++failures, MOST_NS);
}

/* So that one failure does not end a lease that the next call would keep. */
static void much_less_than_a_lease(void **state)
{
	(void)state;
	for (int i = 0; i < DRAWS; i++)
		assert_true(etcd_backoff_ns(70) < LEASE_NS - NS_PER_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(longer_each_time),
		cmocka_unit_test(much_less_than_a_lease),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
