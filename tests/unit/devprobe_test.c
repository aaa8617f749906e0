/* Reading a page of a device that hangs: nobody waits for the process that
 * reads, which cannot be ended. */
#include "devprobe.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

#define WAIT_MS 60000
#define HANGS	"/dev/zero"
#define READS	"/dev/null"

/* --- the kernel's side --- */

static bool device_hangs; /* what is opened next */
static pid_t test_pid, last_fork;
static int forks;

pid_t __real_fork(void);
pid_t __wrap_fork(void);
pid_t __wrap_fork(void)
{
	forks++;
	last_fork = __real_fork();
	return last_fork;
}

/* Neither device takes O_DIRECT. */
int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
	device_hangs = !strcmp(path, HANGS);
	return __real_open(path, flags & ~O_DIRECT, 0);
}

ssize_t __wrap_pread(int fd, void *to, size_t n, off_t offset);
ssize_t __wrap_pread(int fd, void *to, size_t n, off_t offset)
{
	(void)fd, (void)to, (void)offset;
	/* where the test fails, it leaves nobody who hangs */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (device_hangs && getppid() == test_pid)
		pause();
	return (ssize_t)n;
}

/* The kernel ends no process that waits for a device. */
int __real_kill(pid_t pid, int sig);
int __wrap_kill(pid_t pid, int sig);
int __wrap_kill(pid_t pid, int sig)
{
	(void)pid, (void)sig;
	return 0;
}

/* The five seconds of a probe are over at the next look. */
static bool at_once;

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	static time_t ahead_s;
	int rc = __real_clock_gettime(clock, now);

	if (at_once)
		ahead_s += 10;
	now->tv_sec += ahead_s;
	return rc;
}

static enum devprobe probe(const char *device)
{
	enum devprobe result;

	at_once = !strcmp(device, HANGS);
	result = devprobe_read(device);
	at_once = false;
	return result;
}

/* The device comes back: its reader ends. */
static void end_reader(pid_t pid)
{
	siginfo_t info;

	assert_int_equal(__real_kill(pid, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

static bool is_reaped(pid_t pid)
{
	return waitpid(pid, NULL, WNOHANG) < 0 && errno == ECHILD;
}

/* --- tests --- */

static void a_device_that_reads(void **state)
{
	(void)state;
	assert_int_equal(probe(READS), DEVPROBE_READS);
	assert_true(is_reaped(last_fork));
	assert_int_equal(probe("/no-such-device"), DEVPROBE_UNKNOWN);
}

/* Neither the lock of a name, nor a pipe to the shell that runs rswapctl.  The
 * lock has the lower number, and so is closed first. */
static void a_reader_that_hangs_keeps_nothing_open(void **state)
{
	FILE *file = tmpfile();
	struct pollfd end = { .events = POLLIN };
	int lock_fd, again_fd, pipe_fds[2];
	char path[64];

	(void)state;
	assert_non_null(file);
	lock_fd = fileno(file);
	snprintf(path, sizeof path, "/proc/self/fd/%d", lock_fd);
	again_fd = __real_open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(lock_fd, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_true(lock_fd < pipe_fds[1]);
	assert_int_equal(probe(HANGS), DEVPROBE_UNKNOWN);

	close(pipe_fds[1]);
	end.fd = pipe_fds[0];
	assert_int_equal(poll(&end, 1, WAIT_MS), 1);
	assert_true(end.revents & POLLHUP);
	fclose(file);
	assert_int_equal(flock(again_fd, LOCK_EX | LOCK_NB), 0);

	close(again_fd);
	close(pipe_fds[0]);
	end_reader(last_fork);
}

static void no_second_reader_while_one_hangs(void **state)
{
	pid_t reader;

	(void)state;
	assert_int_equal(probe(HANGS), DEVPROBE_UNKNOWN);
	reader = last_fork;
	forks = 0;
	for (int i = 0; i < 20; i++)
		assert_int_equal(probe(HANGS), DEVPROBE_UNKNOWN);
	assert_int_equal(forks, 0);

	/* other devices are as they were */
	assert_int_equal(probe(READS), DEVPROBE_READS);
	assert_int_equal(forks, 1);

	end_reader(reader);
	assert_int_equal(probe(READS), DEVPROBE_READS);
	assert_true(is_reaped(reader));
	assert_int_equal(probe(HANGS), DEVPROBE_UNKNOWN);
	assert_int_equal(forks, 3);
	end_reader(last_fork);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_that_reads),
		cmocka_unit_test(a_reader_that_hangs_keeps_nothing_open),
		cmocka_unit_test(no_second_reader_while_one_hangs),
	};

	test_pid = getpid();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
