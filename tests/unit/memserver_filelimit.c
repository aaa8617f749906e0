/* What a process may open has to fit what its options promise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "filelimit.h"
#include "links/link_set.h"
#include "links/rdma.h"
#include "support.h"

static struct config config = { .max_sessions = 256, .threads = 8 };
static struct rlimit before;

static int setup(void **state)
{
	(void)state;
	return getrlimit(RLIMIT_NOFILE, &before);
}

static int teardown(void **state)
{
	(void)state;
	return setrlimit(RLIMIT_NOFILE, &before);
}

static void allow(rlim_t files)
{
	struct rlimit limit = { .rlim_cur = files,
				.rlim_max = before.rlim_max };

	if (files > before.rlim_max)
		skip();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void refuses_what_does_not_fit(void **state)
{
	struct error why = { "" };
	uint64_t lanes;

	(void)state;
	allow(1024);
	assert_false(filelimit_check(&config, &lanes, &why));
	assert_contains(why.text, "--max-sessions=256");
	assert_contains(why.text, "1024");
	assert_contains(why.text, "LimitNOFILE=");
	config.max_sessions = 8;
	assert_true(filelimit_check(&config, &lanes, &why));
	assert_in_range(lanes, 8 * FILELIMIT_TCP_LINKS, 1024);
	config.max_sessions = 256;
}

/* Lanes of RDMA have no descriptor. */
static void counts_what_is_served(void **state)
{
	struct error why = { "" };
	uint64_t lanes;

	(void)state;
	allow(1200);
	assert_false(filelimit_check(&config, &lanes, &why));
	config.only = &rdma_link_ops;
	assert_true(filelimit_check(&config, &lanes, &why));
	config.only = NULL;
}

/* LimitNOFILE of the unit, and the default options. */
static void the_unit_allows_all(void **state)
{
	struct error why = { "" };
	uint64_t lanes;

	(void)state;
	allow(131072);
	assert_true(filelimit_check(&config, &lanes, &why));
	assert_true(lanes >= 256 * LINK_SET_MAX);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(refuses_what_does_not_fit),
		TEST(counts_what_is_served),
		TEST(the_unit_allows_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
