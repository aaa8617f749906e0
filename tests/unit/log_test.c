/* Log lines, with a real pipe as standard error, that nobody reads until the
 * test does.  What would wait for a reader here waits for ever: then ctest ends
 * the test. */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"

#define THREADS	    4
#define THEIR_LINES 2000

/* What came out at the other end of standard error. */
static char text[4 << 20];
static size_t text_bytes;
static int terminal = -1, reader_fd;

/* Standard error becomes a pipe. */
static int divert(void **state)
{
	int fds[2];

	(void)state;
	fflush(stderr);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	terminal = dup(STDERR_FILENO);
	dup2(fds[1], STDERR_FILENO);
	close(fds[1]);
	reader_fd = fds[0];
	fcntl(reader_fd, F_SETFL, O_NONBLOCK);
	text_bytes = 0;
	text[0] = '\0';
	return 0;
}

/* What there is to read now. */
static void take(void)
{
	ssize_t n;

	while ((n = read(reader_fd, text + text_bytes,
			 sizeof text - 1 - text_bytes)) > 0)
		text_bytes += (size_t)n;
	text[text_bytes] = '\0';
}

static int restore(void **state)
{
	(void)state;
	take(); /* so that a test which failed can be stopped */
	log_stop();
	dup2(terminal, STDERR_FILENO);
	close(terminal);
	close(reader_fd);
	return 0;
}

/* Fills the pipe to the last byte. */
static void fill_pipe(void)
{
	int flags = fcntl(STDERR_FILENO, F_GETFL);
	char newlines[4096];

	memset(newlines, '\n', sizeof newlines);
	fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK);
	while (write(STDERR_FILENO, newlines, sizeof newlines) > 0)
		;
	while (write(STDERR_FILENO, newlines, 1) > 0)
		;
	fcntl(STDERR_FILENO, F_SETFL, flags);
}

/* Reads until NEEDLE was read. */
static void read_until(const char *needle)
{
	uint64_t deadline_ns = after_ms(LONG_MS);
	struct pollfd readable = { .fd = reader_fd, .events = POLLIN };

	for (take(); !strstr(text, needle); take()) {
		if (clock_left_ns(deadline_ns) == 0)
			assert_contains(text, needle);
		poll(&readable, 1, clock_left_ms(deadline_ns));
	}
}

static unsigned count(const char *needle)
{
	unsigned n = 0;

	for (const char *at = text; (at = strstr(at, needle)); at++)
		n++;
	return n;
}

static void start(void)
{
	struct error why;

	assert_int_equal(log_start(&why), 0);
}

/* A limit that stands in nobody's way. */
static struct log_limit no_limit = { .lines = UINT32_MAX };

static void line_before_the_start_is_written_at_once(void **state)
{
	(void)state;
	log_error("cannot start: %d", 7);
	take();
	assert_string_equal(text, "rswap: cannot start: 7\n");
}

static void stop_writes_what_is_queued(void **state)
{
	(void)state;
	start();
	for (int i = 0; i < 100; i++)
		log_limited(&no_limit, LOG_LEVEL_NOTICE, "line %d.", i);
	fprintf(stderr, "from a library\n");
	assert_true(log_stop());
	take();
	assert_int_equal(count("rswap: line "), 100);
	assert_true(strstr(text, "line 7.") < strstr(text, "line 8."));
	assert_contains(text, "from a library\n");
	/* and then lines are written at once again */
	log_error("the last");
	take();
	assert_contains(text, "rswap: the last\n");
}

static void *log_many(void *arg)
{
	for (int i = 0; i < THEIR_LINES; i++) {
		log_limited(&no_limit, LOG_LEVEL_ERROR, "line of %s",
			    (const char *)arg);
		fprintf(stderr, "words of a library\n");
	}
	return NULL;
}

/* The fault: the thread that heals a session waited for its log line. */
static void nobody_waits_for_a_reader(void **state)
{
	static const char *const names[THREADS] = { "a", "b", "c", "d" };
	pthread_t threads[THREADS];
	unsigned long long dropped = 0;

	(void)state;
	fill_pipe();
	start();
	for (int i = 0; i < THREADS; i++)
		threads[i] = thread_start(log_many, (void *)names[i]);
	for (int i = 0; i < THREADS; i++)
		thread_end(threads[i]);

	/* The reader is back: what was dropped is counted. */
	read_until(" log lines were dropped");
	log_error("after all");
	read_until("after all\n");
	assert_true(log_stop());
	take();
	for (const char *at = text; (at = strstr(at, " log lines were dr"));
	     at++) {
		const char *number = at;

		while (number[-1] >= '0' && number[-1] <= '9')
			number--;
		dropped += strtoull(number, NULL, 10);
	}
	assert_true(dropped > 0);
	assert_int_equal(dropped + count("rswap: line of "),
			 THREADS * THEIR_LINES);
}

static void stop_does_not_wait_for_ever(void **state)
{
	(void)state;
	fill_pipe();
	start();
	log_error("nobody reads this");
	assert_false(log_stop());
	log_error("nor this");
	/* A reader after all. */
	read_until("nor this");
	assert_true(log_stop());
}

static void starts_again(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		start();
		log_limited(&no_limit, LOG_LEVEL_ERROR, "round %d", i);
		assert_true(log_stop());
	}
	take();
	assert_string_equal(text, "rswap: round 0\nrswap: round 1\n"
				  "rswap: round 2\n");
}

/* Of the thread of that name, or -1. */
static int policy_of(const char *name)
{
	DIR *tasks = opendir("/proc/self/task");
	char path[300], comm[32];
	struct dirent *task;
	int policy = -1;

	while ((task = readdir(tasks))) {
		FILE *file;

		snprintf(path, sizeof path, "/proc/self/task/%s/comm",
			 task->d_name);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fgets(comm, sizeof comm, file) && !strcmp(comm, name))
			policy = sched_getscheduler(atoi(task->d_name));
		fclose(file);
	}
	closedir(tasks);
	return policy;
}

static void writer_is_no_real_time_thread(void **state)
{
	struct sched_param param = { .sched_priority = 1 };
	int policy;

	(void)state;
	if (sched_setscheduler(0, SCHED_RR, &param))
		skip();
	start();
	policy = policy_of("rswap-log\n");
	param.sched_priority = 0;
	sched_setscheduler(0, SCHED_OTHER, &param);
	assert_int_equal(policy, SCHED_OTHER);
	assert_true(log_stop());
}

/* How a process ends that aborts with words on standard error. */
static int abort_with_words(void)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		start();
		fprintf(stderr, "an assertion failed\n");
		abort();
	}
	waitpid(child, &status, 0);
	return status;
}

static void last_words_are_passed_on(void **state)
{
	int status = abort_with_words();

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	take();
	assert_string_equal(text, "an assertion failed\n");
}

static void abort_does_not_wait_for_ever(void **state)
{
	(void)state;
#ifdef __SANITIZE_THREAD__
	/* It complains of a thread after a fork, into the full pipe. */
	skip();
#endif
	fill_pipe();
	assert_true(WIFSIGNALED(abort_with_words()));
}

static void say_it(int n)
{
	log_error("here %d", n);
}

static void every_place_has_a_limit(void **state)
{
	(void)state;
	for (int i = 0; i < 1000; i++)
		say_it(i);
	log_error("another place");
	take();
	/* at the turn of a period once more, on a slow machine */
	assert_in_range(count("rswap: here "), LOG_LIMIT_LINES,
			2 * LOG_LIMIT_LINES);
	assert_contains(text, "another place");
}

static void limit_tells_what_it_left_out(void **state)
{
	struct log_limit limit = { .lines = 2, .period_ms = 3600000 };

	(void)state;
	for (int i = 0; i < 5; i++)
		log_limited(&limit, LOG_LEVEL_ERROR, "line %d", i);
	limit.began_ns -= 3600000 * NS_PER_MS; /* an hour later */
	log_limited(&limit, LOG_LEVEL_ERROR, "line 5");
	log_limited(&limit, LOG_LEVEL_ERROR, "line 6");
	take();
	assert_string_equal(text, "rswap: line 0\nrswap: line 1\n"
				  "rswap: line 5 (after 3 lines left out)\n"
				  "rswap: line 6\n");
}

static void long_line_keeps_the_count(void **state)
{
	struct log_limit limit = { .lines = 1, .period_ms = 3600000 };
	char much[2 * LOG_LINE_BYTES];

	(void)state;
	memset(much, 'x', sizeof much);
	much[sizeof much - 1] = '\0';
	for (int i = 0; i < 3; i++)
		log_limited(&limit, LOG_LEVEL_ERROR, "%s", much);
	limit.began_ns -= 3600000 * NS_PER_MS;
	text_bytes = 0;
	take();
	text_bytes = 0;
	log_limited(&limit, LOG_LEVEL_ERROR, "%s", much);
	take();
	assert_contains(text, "x (after 2 lines left out)\n");
	assert_int_equal(strlen(text),
			 strlen("rswap: \n") + LOG_LINE_BYTES - 1);
}

static void errno_stays(void **state)
{
	(void)state;
	errno = ENOSPC;
	log_error("cannot write: %m");
	assert_int_equal(errno, ENOSPC);
	take();
	assert_string_equal(text, "rswap: cannot write: No space left on "
				  "device\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, divert, restore)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(line_before_the_start_is_written_at_once),
		TEST(stop_writes_what_is_queued),
		TEST(nobody_waits_for_a_reader),
		TEST(stop_does_not_wait_for_ever),
		TEST(starts_again),
		TEST(writer_is_no_real_time_thread),
		TEST(last_words_are_passed_on),
		TEST(abort_does_not_wait_for_ever),
		TEST(every_place_has_a_limit),
		TEST(limit_tells_what_it_left_out),
		TEST(long_line_keeps_the_count),
		TEST(errno_stays),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
