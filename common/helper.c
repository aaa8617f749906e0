#include "helper.h"

#include <cap-ng.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/prctl.h>

struct start {
	const char *name;
	void *(*main)(void *arg);
	void *arg;
	sem_t begun;
};

static void *helper_main(void *arg)
{
	struct start *start = arg;
	void *(*run)(void *) = start->main;
	void *run_arg = start->arg;

	/* By itself: pthread_setname_np writes to a file for another thread,
	 * which a process that is confined may not. */
	prctl(PR_SET_NAME, start->name, 0, 0, 0);
	/* Each thread has privileges of its own. */
	capng_clear(CAPNG_SELECT_CAPS);
	capng_apply(CAPNG_SELECT_CAPS);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
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
	if (bytes)
		pthread_attr_setstacksize(attr, bytes);
#else
	(void)attr;
	(void)bytes;
#endif
}

static int create(pthread_t *thread, struct start *start, size_t stack_bytes)
{
	sigset_t all, before;
	pthread_attr_t attr;
	int rc = pthread_attr_init(&attr);

	if (rc)
		return rc;
	leave_realtime(&attr);
	set_stack(&attr, stack_bytes);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(thread, &attr, helper_main, start);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return rc;
}

int helper_start_small(pthread_t *thread, const char *name, size_t stack_bytes,
		       void *(*main)(void *arg), void *arg)
{
	struct start start = { .name = name, .main = main, .arg = arg };
	int rc;

	sem_init(&start.begun, 0, 0);
	rc = create(thread, &start, stack_bytes);
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
	return helper_start_small(thread, name, 0, main, arg);
}
