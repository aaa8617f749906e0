/* How many queues a ublk device has (plugin/ublk/options.c). */
#include "support.h"
#include "ublk/options.h"

#include <sched.h>

#define WORDS_MAX 8

static unsigned processors;

int __wrap_sched_getaffinity(pid_t pid, size_t bytes, cpu_set_t *set);

int __wrap_sched_getaffinity(pid_t pid, size_t bytes, cpu_set_t *set)
{
	(void)pid;
	memset(set, 0, bytes);
	for (unsigned i = 0; i < processors; i++)
		CPU_SET(i, set);
	return 0;
}

/* The number of queues; 0 where the command line is refused. */
static unsigned queues_of(const char *option, const char *lanes)
{
	char program[] = "rswap-ublk", server[] = "127.0.0.1",
	     size[] = "size=1G", first[32], second[32];
	char *argv[WORDS_MAX] = { program, first, server, size, second };
	struct config config = { 0 };
	struct cmdline_error why = { "" };
	struct options options = { 0 };
	enum cmdline_verdict verdict;

	snprintf(first, sizeof first, "%s", option);
	snprintf(second, sizeof second, "%s", lanes);
	verdict = options_parse(5, argv, &options, &config, &why);
	config_free(&config);
	if (verdict == CMDLINE_RUN)
		return options.queues;
	assert_contains(why.text, option);
	assert_contains(why.text, lanes);
	return 0;
}

static void each_queue_has_a_lane_for_reads(void **state)
{
	(void)state;
	processors = 4;
	assert_int_equal(queues_of("--queues=21", "lanes=42"), 21);
	assert_int_equal(queues_of("--queues=22", "lanes=42"), 0);
	assert_int_equal(queues_of("--queues=21", "lanes=43"), 21);
	assert_int_equal(queues_of("--queues=64", "lanes=128"), 64);
	assert_int_equal(queues_of("--queues=2", "lanes=3"), 0);
	assert_int_equal(queues_of("--queues=1", "lanes=1"), 1);
}

static void the_default_fits_the_lanes(void **state)
{
	(void)state;
	processors = 1;
	assert_int_equal(queues_of("--queues=auto", "lanes=42"), 1);
	processors = 64;
	assert_int_equal(queues_of("--queues=auto", "lanes=42"), 4);
	assert_int_equal(queues_of("--queues=auto", "lanes=8"), 4);
	assert_int_equal(queues_of("--queues=auto", "lanes=5"), 2);
	assert_int_equal(queues_of("--queues=auto", "lanes=1"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_queue_has_a_lane_for_reads),
		cmocka_unit_test(the_default_fits_the_lanes),
	};

	return cmocka_run_group_tests_name("ublk_options", tests, NULL, NULL);
}
