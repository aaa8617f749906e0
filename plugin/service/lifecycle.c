#include "lifecycle.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "events.h"
#include "log.h"
#include "signals.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static sigset_t signals;		      /* that are taken over */
static const struct lifecycle_ops *front_end; /* NULL before begin */
static pthread_t thread;
static atomic_bool closing; /* lifecycle_end waits for the thread */
static atomic_bool over;    /* a thread has begun to end the process */
static atomic_bool forced;  /* the process ends by force */

/* A signal sets ending and then reads clients.  A client that goes changes
 * clients and then reads ending.  So at least one of them sees the other. */
static atomic_bool ending;
static atomic_uint clients;
static _Atomic uint64_t asked_ns; /* the first signal, or 0 */

/* --- the machine goes down --- */

/* How long the process stands still if it is stopped. */
#define CONTINUE_NS (50 * NS_PER_MS)

static timer_t continuing;

/* A timer of the kernel's, which a stopped process has as well. */
static int make_timer(struct error *why)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL,
				  .sigev_signo = SIGCONT };
	int err;

	if (!timer_create(CLOCK_MONOTONIC, &event, &continuing))
		return 0;
	err = errno;
	error_set(why, "cannot make a timer: %s", strerror(err));
	return -err;
}

/* At the machine's end systemd-shutdown stops all processes, and then reads the
 * command line of each of them.  A command line may be swapped out, and then
 * systemd-shutdown waits for this process, which it has stopped.  So this
 * process continues by itself. */
static void outlive(void)
{
	const struct itimerspec every = {
		.it_interval = clock_timespec(CONTINUE_NS),
		.it_value = clock_timespec(CONTINUE_NS),
	};

	timer_settime(continuing, 0, &every, NULL);
	log_notice("the machine goes down: serving until the end");
}

/* --- the thread that takes the signals --- */

static void asked_to_end(int sig)
{
	bool again = atomic_exchange(&ending, true);
	unsigned n = atomic_load(&clients);

	if (!again) {
		atomic_store(&asked_ns, clock_now_ns());
		events_add(EVENT_ASKED_TO_END, "",
			   "while %u clients are connected", n);
	}
	if (n == 0)
		front_end->shut_down();
	if (again && sig != SIGHUP && !atomic_exchange(&over, true)) {
		atomic_store(&forced, true);
		front_end->force();
	}
	if (n > 0 && !again && front_end->asked)
		front_end->asked();
	else if (n > 0 && !again)
		log_notice("asked to end while %u connection%s open, whose "
			   "pages would be lost: waiting for swapoff and "
			   "rswapctl detach (or nbd-client -d); SIGTERM again "
			   "ends at once",
			   n, n == 1 ? " is" : "s are");
}

static void *take_signals(void *arg)
{
	int sig;

	(void)arg;
	while (sigwait(&signals, &sig) == 0 && !atomic_load(&closing)) {
		if (sig == SIGPWR)
			outlive();
		else if (sig != SIGCONT)
			asked_to_end(sig);
	}
	return NULL;
}

/* --- life --- */

void lifecycle_block_signals(bool all)
{
	static const int wanted[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP };

	sigemptyset(&signals);
	sigaddset(&signals, SIGPWR);
	sigaddset(&signals, SIGCONT);
	for (size_t i = 0; i < COUNT(wanted); i++) {
		struct sigaction theirs;

		/* A signal that is ignored, or has its default effect,
		 * keeps that where the front end has handlers. */
		sigaction(wanted[i], NULL, &theirs);
		if (all || (theirs.sa_handler != SIG_IGN &&
			    theirs.sa_handler != SIG_DFL))
			sigaddset(&signals, wanted[i]);
	}
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

int lifecycle_begin(const struct lifecycle_ops *ops, struct error *why)
{
	int rc = make_timer(why);

	if (rc)
		return rc;
	front_end = ops;
	rc = pthread_create(&thread, NULL, take_signals, NULL);
	if (rc) {
		front_end = NULL;
		timer_delete(continuing);
		error_set(why, "cannot start a thread: %s", strerror(rc));
		return -rc;
	}
	signals_ignore_stray();
	return 0;
}

void lifecycle_end(void)
{
	if (!front_end)
		return;
	while (atomic_exchange(&over, true))
		pause();
	atomic_store(&closing, true);
	pthread_kill(thread, SIGTERM);
	pthread_join(thread, NULL);
	timer_delete(continuing);
	pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
}

bool lifecycle_client_opens(void)
{
	atomic_fetch_add(&clients, 1);
	if (!atomic_load(&ending))
		return true;
	lifecycle_client_closed();
	return false;
}

void lifecycle_client_closed(void)
{
	if (atomic_fetch_sub(&clients, 1) == 1 && atomic_load(&ending))
		front_end->shut_down();
}

unsigned lifecycle_clients(void)
{
	return atomic_load(&clients);
}

uint64_t lifecycle_asked_ns(void)
{
	return atomic_load(&asked_ns);
}

bool lifecycle_is_forced(void)
{
	return atomic_load(&forced);
}

void lifecycle_hold(void)
{
	while (lifecycle_is_forced())
		pause();
}
