/* Who has pages in swap. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "swapusers.h"

#define MIB (1024 * 1024)

static struct swapusers users;

static void add(pid_t pid, uint64_t mib)
{
	struct swapuser user = { .pid = pid, .bytes = mib * MIB };

	snprintf(user.name, sizeof user.name, "p%d", (int)pid);
	swapusers_add(&users, &user);
}

static int start(void **state)
{
	(void)state;
	users = (struct swapusers){ 0 };
	return 0;
}

static void test_few(void **state)
{
	(void)state;
	assert_string_equal(swapusers_format(&users).text, "");
	add(7, 3);
	add(8, 12);
	assert_string_equal(swapusers_format(&users).text,
			    "p8 (process 8, 12 MiB), p7 (process 7, 3 MiB)");
	assert_int_equal(users.n, 2);
	assert_int_equal(users.bytes, 15 * MIB);
}

/* In whatever order they come, the largest are named. */
static void test_largest(void **state)
{
	static const uint64_t mib[] = { 1, 9, 3, 7, 5, 2, 8, 4, 6 };

	(void)state;
	for (size_t i = 0; i < sizeof mib / sizeof mib[0]; i++)
		add((pid_t)(100 + mib[i]), mib[i]);
	assert_string_equal(swapusers_format(&users).text,
			    "p109 (process 109, 9 MiB), "
			    "p108 (process 108, 8 MiB), "
			    "p107 (process 107, 7 MiB), "
			    "p106 (process 106, 6 MiB), "
			    "p105 (process 105, 5 MiB) and 4 more");
	assert_int_equal(users.n, 9);
}

static void test_long_names_fit(void **state)
{
	(void)state;
	for (int i = 0; i < 9; i++) {
		struct swapuser user = { .pid = 4194303, .bytes = UINT64_MAX };

		memset(user.name, 'x', sizeof user.name - 1);
		swapusers_add(&users, &user);
	}
	assert_int_equal(strlen(swapusers_format(&users).text),
			 sizeof(struct swapusers_text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_few, start),
		cmocka_unit_test_setup(test_largest, start),
		cmocka_unit_test_setup(test_long_names_fit, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
