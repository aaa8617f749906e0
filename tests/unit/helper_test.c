/* The scheduling of a helper's thread, whatever its caller's is. */
#include "support.h"

#include <cap-ng.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helper.h"

static void *note_policy(void *arg)
{
	*(int *)arg = sched_getscheduler(0);
	return NULL;
}

/* The exit status of a process of its own that has POLICY, then drops all
 * privileges if UNPRIVILEGED, and starts a helper: the helper's policy, or 100
 * where it was not started. */
static int policy_of_helper(int policy, int priority, bool unprivileged)
{
	const struct sched_param param = { .sched_priority = priority };
	const struct rlimit none = { 0, 0 };
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		pthread_t thread;
		int found = 100;

		if (sched_setscheduler(0, policy, &param))
			_exit(101);
		if (unprivileged) {
			setrlimit(RLIMIT_NICE, &none);
			capng_clear(CAPNG_SELECT_CAPS);
			capng_apply(CAPNG_SELECT_CAPS);
		}
		if (!helper_start(&thread, "test", note_policy, &found))
			pthread_join(thread, NULL);
		_exit(found);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void leaves_realtime(void **state)
{
	int found = policy_of_helper(SCHED_RR, 1, false);

	(void)state;
	if (found == 101)
		skip(); /* no privilege to have real-time priority */
	assert_int_equal(found, SCHED_OTHER);
}

static void stays_idle(void **state)
{
	(void)state;
	assert_int_equal(policy_of_helper(SCHED_IDLE, 0, true), SCHED_IDLE);
	assert_int_equal(policy_of_helper(SCHED_BATCH, 0, true), SCHED_BATCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves_realtime),
		cmocka_unit_test(stays_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
