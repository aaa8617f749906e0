/* Programs that rswapctl starts: what it says when one cannot start. */
#include "child.h"
#include "support.h"

#include <string.h>
#include <sys/wait.h>

static const char *const found[] = { "true", NULL };
static const char *const missing[] = { "rswap-no-such-program", NULL };

static pid_t start(const char *const *argv, const char *log, struct error *why)
{
	const struct child_spec spec = {
		.argv = argv,
		.output_fd = -1,
		.log = log,
		.daemon = true,
	};

	why->text[0] = '\0';
	return child_start(&spec, why);
}

static void a_log_that_cannot_be_opened(void **state)
{
	struct error why;

	(void)state;
	assert_int_equal(start(found, "/no-such-directory/log", &why), -1);
	assert_non_null(strstr(why.text, "/no-such-directory/log"));
	assert_null(strstr(why.text, "not installed"));
}

static void a_program_that_is_missing(void **state)
{
	struct error why;

	(void)state;
	assert_int_equal(start(missing, "/dev/null", &why), -1);
	assert_string_equal(why.text, "rswap-no-such-program: not installed");
}

static void a_program_that_starts(void **state)
{
	struct error why;
	int status;
	pid_t pid = start(found, "/dev/null", &why);

	(void)state;
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_log_that_cannot_be_opened),
		cmocka_unit_test(a_program_that_is_missing),
		cmocka_unit_test(a_program_that_starts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
