/* Processes that rswapctl runs, and those that it ends. */
#include "daemon.h"
#include "ended.h"
#include "run.h"
#include "support.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "child.h"
#include "clock.h"

#define TOOL_NS	     (30 * NS_PER_S)
#define OUTPUT_BYTES 1000

/* Only for a front end that ends by itself. */
void ended_explain(const struct front *front, int status, struct error *why)
{
	(void)front, (void)status, (void)why;
	fail();
}

/* --- what a tool says --- */

static char output[OUTPUT_BYTES];

static void says(const char *program)
{
	const char *const argv[] = { "perl", "-e", program, NULL };
	struct error why;

	assert_int_equal(run_tool(argv, clock_now_ns() + TOOL_NS, output,
				  sizeof output, &why),
			 0);
}

static void all_of_a_short_output(void **state)
{
	(void)state;
	says("print 'no end of a line'");
	assert_string_equal(output, "no end of a line");
	says("print 'x' x 999");
	assert_int_equal(strlen(output), OUTPUT_BYTES - 1);
}

/* The lines of 97 bytes end with a number, so that the test sees which were
 * cut. */
static void whole_lines_of_a_long_output(void **state)
{
	size_t n;

	(void)state;
	says("print 'key:', 'x' x 89, $_, \"\\n\" for 100 .. 999");
	n = strlen(output);
	assert_true(n > 0);
	assert_int_equal(n % 97, 0);
	assert_memory_equal(output, "key:", 4);
	assert_string_equal(output + n - 4, "999\n");
}

static void nothing_of_one_long_line(void **state)
{
	(void)state;
	says("print 'x' x 5000");
	assert_string_equal(output, "");
	says("print 'x' x 5000, \"\\nlast\\n\"");
	assert_string_equal(output, "last\n");
}

/* --- whom a signal is sent to --- */

static pid_t sleeper(void)
{
	static const char *const argv[] = { "sleep", "1000", NULL };
	const struct child_spec spec = { .argv = argv, .output_fd = -1 };
	struct error why;
	pid_t pid = child_start(&spec, &why);

	assert_true(pid > 0);
	return pid;
}

static void a_process_with_another_start_gets_no_signal(void **state)
{
	pid_t pid = sleeper();
	uint64_t start = run_start_time(pid);
	uint64_t deadline_ns = clock_now_ns() + TOOL_NS;
	int status;

	(void)state;
	assert_true(start > 0);
	assert_true(daemon_stop(pid, start - 1, SIGTERM, deadline_ns));
	assert_true(daemon_kill(pid, start - 1));
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	assert_true(daemon_stop(pid, start, SIGTERM, deadline_ns));
	assert_int_equal(run_start_time(pid), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_a_short_output),
		cmocka_unit_test(whole_lines_of_a_long_output),
		cmocka_unit_test(nothing_of_one_long_line),
		cmocka_unit_test(a_process_with_another_start_gets_no_signal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
