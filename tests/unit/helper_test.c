/* The scheduling of a helper's thread, whatever its caller's is, and its stack.
 */
#include "support.h"

#include <cap-ng.h>
#include <inttypes.h>
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

static void *note_stack(void *arg)
{
	pthread_attr_t attr;

	pthread_getattr_np(pthread_self(), &attr);
	pthread_attr_getstacksize(&attr, arg);
	pthread_attr_destroy(&attr);
	return NULL;
}

static void has_a_small_stack(void **state)
{
	size_t bytes = 0;
	const struct helper helper = { .name = "test",
				       .main = note_stack,
				       .arg = &bytes,
				       .stack_bytes = 32 << 10 };
	pthread_t thread;

	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* a sanitizer needs more */
#endif
	assert_int_equal(helper_start_as(&thread, &helper), 0);
	pthread_join(thread, NULL);
	assert_in_range(bytes, 1,
			(size_t)sysconf(_SC_THREAD_STACK_MIN) + (40 << 10));
}

/* Of this thread; bit N is capability N (proc(5), CapEff). */
static uint64_t capabilities(void)
{
	FILE *f = fopen("/proc/thread-self/status", "re");
	char line[128];
	uint64_t set = 0;

	assert_non_null(f);
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "CapEff: %" SCNx64, &set) == 1)
			break;
	fclose(f);
	return set;
}

static void *note_capabilities(void *arg)
{
	*(uint64_t *)arg = capabilities();
	return NULL;
}

static uint64_t capabilities_of_helper(bool maps)
{
	uint64_t set = ~UINT64_C(0);
	const struct helper helper = { .name = "test",
				       .main = note_capabilities,
				       .arg = &set,
				       .maps = maps };
	pthread_t thread;

	assert_int_equal(helper_start_as(&thread, &helper), 0);
	pthread_join(thread, NULL);
	return set;
}

static void keeps_what_mapping_takes_at_most(void **state)
{
	uint64_t lock = capabilities() & UINT64_C(1) << CAP_IPC_LOCK;

	(void)state;
	assert_int_equal(capabilities_of_helper(true), lock);
	assert_int_equal(capabilities_of_helper(false), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves_realtime),
		cmocka_unit_test(keeps_what_mapping_takes_at_most),
		cmocka_unit_test(stays_idle),
		cmocka_unit_test(has_a_small_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
