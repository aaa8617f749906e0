/* What the memory server reads of the machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "host.h"

static const char meminfo[] = "MemTotal:       24560012 kB\n"
			      "MemAvailable:   23000000 kB\n"
			      "HugePages_Free:       12\n"
			      "Hugepagesize:       2048 kB\n";

static void finds_keys(void **state)
{
	uint64_t value = 0;

	(void)state;
	assert_true(host_meminfo_find(meminfo, "MemTotal:", &value));
	assert_int_equal(value, 24560012ull * 1024);
	assert_true(host_meminfo_find(meminfo, "HugePages_Free:", &value));
	assert_int_equal(value, 12);
	assert_true(host_meminfo_find(meminfo, "Hugepagesize:", &value));
	assert_int_equal(value, 2 << 20);
	assert_false(host_meminfo_find(meminfo, "Free:", &value));
	assert_false(host_meminfo_find("", "MemTotal:", &value));
	assert_false(host_meminfo_find("MemTotal: x", "MemTotal:", &value));
}

static void never_hands_out_everything(void **state)
{
	(void)state;
	assert_false(host_has_memory(1ull << 50));
}

static void knows_its_size(void **state)
{
	(void)state;
	assert_true(host_rss_bytes() > 100 << 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_keys),
		cmocka_unit_test(never_hands_out_everything),
		cmocka_unit_test(knows_its_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
