#include "helper.h"

#include <cap-ng.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

struct start {
	const struct helper *helper;
	sem_t begun;
};

/* Each thread has privileges of its own.  Where the limit of locked memory
 * could not be raised, a mapping that is locked takes a privilege. */
static void give_up_capabilities(bool maps)
{
	bool lock =
		maps && capng_have_capability(CAPNG_EFFECTIVE, CAP_IPC_LOCK);

	capng_clear(CAPNG_SELECT_CAPS);
	if (lock)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED,
			     CAP_IPC_LOCK);
	capng_apply(CAPNG_SELECT_CAPS);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static void *helper_main(void *arg)
{
	struct start *start = arg;
	void *(*run)(void *) = start->helper->main;
	void *run_arg = start->helper->arg;

	/* By itself: pthread_setname_np writes to a file for another thread,
	 * which a process that is confined may not. */
	prctl(PR_SET_NAME, start->helper->name, 0, 0, 0);
	give_up_capabilities(start->helper->maps);
	sem_post(&start->begun);
	return run(run_arg);
}

/* Back from real-time priority, and from nothing else: who was started under
 * SCHED_IDLE and has no privilege may not leave it (sched(7)). */
static void leave_realtime(pthread_attr_t *attr)
{
	struct sched_param param = { .sched_priority = 0 };
	int policy = sched_getscheduler(0);

	if (policy != SCHED_FIFO && policy != SCHED_RR)
		return;
	pthread_attr_setinheritsched(attr, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(attr, SCHED_OTHER);
	pthread_attr_setschedparam(attr, &param);
}

/* A sanitizer needs more than most threads do. */
static void set_stack(pthread_attr_t *attr, size_t bytes)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	long least_bytes = sysconf(_SC_THREAD_STACK_MIN);

	if (bytes && least_bytes > 0 && bytes < (size_t)least_bytes)
		bytes = (size_t)least_bytes;
	if (bytes)
		pthread_attr_setstacksize(attr, bytes);
#else
	(void)attr;
	(void)bytes;
#endif
}

static int create(pthread_t *thread, struct start *start)
{
	sigset_t all, before;
	pthread_attr_t attr;
	int rc = pthread_attr_init(&attr);

	if (rc)
		return rc;
	leave_realtime(&attr);
	set_stack(&attr, start->helper->stack_bytes);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(thread, &attr, helper_main, start);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return rc;
}

int helper_start_as(pthread_t *thread, const struct helper *helper)
{
	struct start start = { .helper = helper };
	int rc;

	sem_init(&start.begun, 0, 0);
	rc = create(thread, &start);
	if (!rc) {
		/* no handler interrupts this forever */
		while (sem_wait(&start.begun))
			;
	}
	sem_destroy(&start.begun);
	return rc;
}

int helper_start(pthread_t *thread, const char *name, void *(*main)(void *arg),
		 void *arg)
{
	const struct helper helper = { .name = name, .main = main, .arg = arg };

	return helper_start_as(thread, &helper);
}
