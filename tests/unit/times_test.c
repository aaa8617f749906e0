/* The defaults of plugin, memory server and rswapctl fit each other. */
#include "support.h"
#include "times.h"

static void a_request_outlasts_the_grace_time(void **state)
{
	(void)state;
	assert_true(TIMES_TIMEOUT_S >= times_least_timeout_s(TIMES_GRACE_S));
	/* the plugin gives the server up before the request ends, and takes
	 * the session up again until then */
	assert_true(TIMES_GRACE_S + TIMES_GRACE_EXTRA_S + TIMES_ANSWER_MAX_S <=
		    TIMES_TIMEOUT_S);
	/* a server that hangs is asked again while it still has the session */
	assert_true(3 * TIMES_ANSWER_MAX_S <= TIMES_GRACE_S);
}

/* A client has the time of one answer to read TOKEN, and the same to join. */
static void a_token_outlasts_a_join(void **state)
{
	(void)state;
	assert_true(TIMES_TOKEN_S >= 2 * TIMES_ANSWER_MAX_S);
}

static void the_kernel_outlasts_a_request(void **state)
{
	uint64_t kernel_s = times_kernel_timeout_s(TIMES_TIMEOUT_S);

	(void)state;
	assert_true(kernel_s > TIMES_TIMEOUT_S + TIMES_ANSWER_MAX_S);
	/* and nobody takes the machine for hung before */
	assert_true(kernel_s < TIMES_HUNG_TASK_S);
}

static void repair_begins_before_a_server_is_lost(void **state)
{
	(void)state;
	assert_true(TIMES_REPAIR_AFTER_S < TIMES_GRACE_S);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_outlasts_the_grace_time),
		cmocka_unit_test(a_token_outlasts_a_join),
		cmocka_unit_test(the_kernel_outlasts_a_request),
		cmocka_unit_test(repair_begins_before_a_server_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
