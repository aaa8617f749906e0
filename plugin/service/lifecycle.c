#include "lifecycle.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "signals.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const int signals[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP };
static struct sigaction front_ends[COUNT(signals)];
static const struct lifecycle_ops *front_end; /* NULL before begin */
static pthread_t thread;
static sem_t wake;	   /* the thread */
static atomic_bool over;   /* a thread ends the process */
static atomic_bool forced; /* the thread does */

/* A signal sets ending and then reads clients; a client that goes changes
 * clients and then reads ending: so one of them sees the other. */
static atomic_bool ending;
static atomic_uint clients;
static _Atomic uint64_t asked_ns; /* the first signal, or 0 */

/* --- in a signal handler: nothing here but what is safe there --- */

struct line {
	char text[256];
	size_t n;
};

static void add(struct line *line, const char *text)
{
	while (*text && line->n < sizeof line->text)
		line->text[line->n++] = *text++;
}

static void add_number(struct line *line, unsigned number)
{
	char digits[12];
	size_t at = sizeof digits - 1;

	digits[at] = '\0';
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	add(line, digits + at);
}

/* Once, and past the queue of log lines.  This does not wait for a reader
 * either: log_start sees to standard error (common/log.h). */
static void tell(unsigned n)
{
	struct line line = { .n = 0 };

	add(&line, "nbdkit: rswap: asked to end while ");
	add_number(&line, n);
	add(&line, n == 1 ? " connection is" : " connections are");
	add(&line, " open, whose pages would be lost: waiting for swapoff and "
		   "rswapctl detach (or nbd-client -d); SIGTERM again ends at "
		   "once\n");
	(void)!write(STDERR_FILENO, line.text, line.n);
}

static void front_end_handles(int sig)
{
	for (size_t i = 0; i < COUNT(signals); i++) {
		if (signals[i] == sig)
			front_ends[i].sa_handler(sig);
	}
}

static void on_signal(int sig)
{
	int saved_errno = errno;
	bool again = atomic_exchange(&ending, true);
	bool force = again && sig != SIGHUP;
	unsigned n = atomic_load(&clients);

	if (!again)
		atomic_store(&asked_ns, clock_now_ns());
	if (n == 0)
		front_end_handles(sig);
	if (force)
		sem_post(&wake);
	else if (n > 0 && !again)
		tell(n);
	errno = saved_errno;
}

/* --- in threads --- */

static void *end_by_force(void *arg)
{
	(void)arg;
	while (sem_wait(&wake) < 0)
		;
	if (!atomic_exchange(&over, true)) {
		atomic_store(&forced, true);
		front_end->force();
	}
	return NULL;
}

static void take_signals(void)
{
	struct sigaction ours = { .sa_handler = on_signal,
				  .sa_flags = SA_RESTART };

	for (size_t i = 0; i < COUNT(signals); i++) {
		struct sigaction *theirs = &front_ends[i];

		sigaction(signals[i], NULL, theirs);
		/* What is ignored, or left to the kernel, stays so. */
		if (theirs->sa_handler != SIG_IGN &&
		    theirs->sa_handler != SIG_DFL)
			sigaction(signals[i], &ours, NULL);
	}
}

int lifecycle_begin(const struct lifecycle_ops *ops, struct error *why)
{
	int rc;

	sem_init(&wake, 0, 0);
	front_end = ops;
	rc = pthread_create(&thread, NULL, end_by_force, NULL);
	if (rc) {
		front_end = NULL;
		error_set(why, "cannot start a thread: %s", strerror(rc));
		return -rc;
	}
	take_signals();
	signals_ignore_stray();
	return 0;
}

void lifecycle_end(void)
{
	if (!front_end)
		return;
	while (atomic_exchange(&over, true))
		pause();
	for (size_t i = 0; i < COUNT(signals); i++)
		sigaction(signals[i], &front_ends[i], NULL);
	sem_post(&wake);
	pthread_join(thread, NULL);
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

void lifecycle_hold(void)
{
	while (atomic_load(&forced))
		pause();
}
