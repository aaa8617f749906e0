/* The queue of log lines and the thread that writes them: log_start, log_stop.
 *
 * The queue is an array of slots in static memory.  A slot has a turn, a number
 * that says who may use it: slot I of N is empty for line L (L % N == I) if its
 * turn is L, and has line L if its turn is L + 1.  The writer empties the slot
 * and makes its turn L + N. A thread with a line takes the next number by one
 * compare-and-swap.  There is no lock: a real-time thread would wait for the
 * lock while the ordinary thread that holds it waits for a processor.
 *
 * The order of writing: the content of the pipe, a line of the queue, the
 * content of the pipe (that line, because the sink writes to standard error),
 * and so on. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "helper.h"
#include "join.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#include <sanitizer/common_interface_defs.h>
/* A report is the last thing that a process writes: not into our pipe. */
#define REPORTS_GO_TO(fd) __sanitizer_set_report_fd((void *)(intptr_t)(fd))
#else
#define REPORTS_GO_TO(fd) ((void)(fd))
#endif

#define SLOTS 256u

/* How long log_stop waits for the reader. */
#define STOP_S 1

/* How many reads of the pipe are passed on before the next line of the queue.
 */
#define PASS_ON_READS 16

/* How long a process that aborts waits for the reader of its last words. */
#define LAST_WORDS_S 1

struct slot {
	_Atomic uint32_t turn;
	uint8_t level;
	char line[LOG_LINE_BYTES];
};

static struct {
	struct slot slots[SLOTS];
	_Atomic uint32_t next_in;
	uint32_t next_out;	  /* the writer's */
	_Atomic uint64_t dropped; /* lines, ever */
	uint64_t told;		  /* of these; the writer's */

	atomic_bool on; /* lines go into the queue */
	atomic_bool stop;
	pthread_t writer;
	struct sigaction on_abort; /* as it was */

	int wake_fd; /* an eventfd: there are lines; once made it stays open */
	int pipe_fd; /* what programs write to standard error */
	int real_fd; /* the real standard error */
} queue = { .wake_fd = -1 };

/* --- the queue --- */

static bool put(enum log_level level, const char *line)
{
	uint32_t number = atomic_load(&queue.next_in);
	struct slot *slot;

	for (;;) {
		int32_t ahead;

		slot = &queue.slots[number % SLOTS];
		ahead = (int32_t)(atomic_load(&slot->turn) - number);
		if (ahead < 0)
			return false; /* full */
		if (ahead > 0)
			number = atomic_load(&queue.next_in);
		else if (atomic_compare_exchange_weak(&queue.next_in, &number,
						      number + 1))
			break;
	}
	slot->level = (uint8_t)level;
	strncpy(slot->line, line, sizeof slot->line - 1);
	atomic_store(&slot->turn, number + 1);
	return true;
}

static void wake_writer(void)
{
	static const uint64_t one = 1;

	(void)!write(queue.wake_fd, &one, sizeof one);
}

uint64_t log_dropped(void)
{
	return atomic_load(&queue.dropped);
}

bool log_queue_put(enum log_level level, const char *line)
{
	if (!atomic_load(&queue.on))
		return false;
	if (put(level, line))
		wake_writer();
	else
		atomic_fetch_add(&queue.dropped, 1);
	return true;
}

/* Writes the oldest line.  False if there is none, or the thread that took its
 * slot has not filled it yet. */
static bool write_one(void)
{
	struct slot *slot = &queue.slots[queue.next_out % SLOTS];
	enum log_level level;
	char line[LOG_LINE_BYTES];

	if (atomic_load(&slot->turn) != queue.next_out + 1)
		return false;
	level = slot->level;
	memcpy(line, slot->line, sizeof line);
	atomic_store(&slot->turn, queue.next_out + SLOTS);
	queue.next_out++;
	log_write(level, line);
	return true;
}

static void tell_dropped(void)
{
	uint64_t dropped = atomic_load(&queue.dropped);
	uint64_t n = dropped - queue.told;
	char line[LOG_LINE_BYTES];

	if (!n)
		return;
	queue.told = dropped;
	snprintf(line, sizeof line,
		 "%llu log lines were dropped, as nobody read them in time",
		 (unsigned long long)n);
	log_write(LOG_LEVEL_ERROR, line);
}

/* --- standard error --- */

/* Writes to the real standard error; waits for the reader.  Text that cannot be
 * written is lost. */
static void write_out(const char *text, size_t bytes)
{
	while (bytes > 0) {
		ssize_t n = write(queue.real_fd, text, bytes);
		struct pollfd room = { .fd = queue.real_fd, .events = POLLOUT };

		if (n > 0) {
			text += n;
			bytes -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			/* another program made it non-blocking */
			poll(&room, 1, -1);
		} else if (n == 0 || errno != EINTR) {
			return;
		}
	}
}

/* Passes on the content of the pipe.  True if there may be more. */
static bool pass_on(void)
{
	char text[2048];

	for (int i = 0; i < PASS_ON_READS; i++) {
		ssize_t n = read(queue.pipe_fd, text, sizeof text);

		if (n <= 0)
			return false;
		write_out(text, (size_t)n);
	}
	return true;
}

/* The message of a failed assertion is in the pipe, which no thread empties
 * after the process has ended. */
static void on_abort(int sig)
{
	signal(SIGALRM, SIG_DFL); /* if there is no reader */
	alarm(LAST_WORDS_S);
	while (pass_on())
		;
	alarm(0);
	sigaction(sig, &queue.on_abort, NULL);
	raise(sig); /* on return */
}

/* --- the writer --- */

static void write_all(void)
{
	bool more;

	do {
		more = pass_on();
		more |= write_one();
	} while (more);
	tell_dropped();
	pass_on();
}

static void *writer_main(void *arg)
{
	struct pollfd fds[2] = { { .fd = queue.wake_fd, .events = POLLIN },
				 { .fd = queue.pipe_fd, .events = POLLIN } };
	uint64_t count;

	(void)arg;
	while (!atomic_load(&queue.stop)) {
		poll(fds, 2, -1);
		if (fds[1].revents & POLLHUP)
			fds[1].fd = -1; /* standard error was closed */
		(void)!read(queue.wake_fd, &count, sizeof count);
		write_all();
	}
	write_all();
	return NULL;
}

/* --- life --- */

static void empty_slots(void)
{
	for (uint32_t i = 0; i < SLOTS; i++)
		atomic_store(&queue.slots[i].turn, i);
	atomic_store(&queue.next_in, 0);
	queue.next_out = 0;
	atomic_store(&queue.stop, false);
}

/* If standard error is closed, text that is written there is lost, as it was
 * before. */
static int open_real(void)
{
	int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

	if (fd < 0 && errno == EBADF)
		fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	return fd;
}

/* 0 or an errno; PIPE_IN is what becomes standard error. */
static int open_files(int *pipe_in)
{
	int fds[2], err;

	queue.real_fd = open_real();
	if (queue.real_fd < 0)
		return errno;
	/* A thread may be about to wake the writer when log_stop has ended, so
	 * the descriptor stays open. */
	if (queue.wake_fd < 0)
		queue.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue.wake_fd < 0 || pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
		err = errno;
		close(queue.real_fd);
		return err;
	}
	queue.pipe_fd = fds[0];
	*pipe_in = fds[1];
	return 0;
}

static void close_files(void)
{
	close(queue.pipe_fd);
	close(queue.real_fd);
}

int log_start(struct error *why)
{
	struct sigaction last_words = { .sa_handler = on_abort };
	int pipe_in = -1, rc;

	if (atomic_load(&queue.on))
		return 0;
	empty_slots();
	rc = open_files(&pipe_in);
	if (rc) {
		error_set(why, "a pipe for the log: %s", strerror(rc));
		return -rc;
	}
	rc = helper_start(&queue.writer, "rswap-log", writer_main, NULL);
	if (rc) {
		close(pipe_in);
		close_files();
		error_set(why, "a thread for the log: %s", strerror(rc));
		return -rc;
	}
	REPORTS_GO_TO(queue.real_fd);
	dup2(pipe_in, STDERR_FILENO);
	close(pipe_in);
	sigaction(SIGABRT, &last_words, &queue.on_abort);
	atomic_store(&queue.on, true);
	return 0;
}

bool log_stop(void)
{
	if (!atomic_load(&queue.on))
		return true;
	atomic_store(&queue.stop, true);
	wake_writer();
	if (!join_until(queue.writer, clock_now_ns() + STOP_S * NS_PER_S))
		return false;
	atomic_store(&queue.on, false);
	sigaction(SIGABRT, &queue.on_abort, NULL);
	REPORTS_GO_TO(STDERR_FILENO);
	dup2(queue.real_fd, STDERR_FILENO);
	/* Lines that came while the writer ended; this thread is the writer
	 * now. */
	write_all();
	close_files();
	return true;
}
