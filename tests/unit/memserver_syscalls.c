/* The filter of system calls: what a process that was taken over would want is
 * refused, in every thread, and what the memory server does is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"
#include "syscalls.h"

/* Exit status of a process under the filter, in which no assertion can end the
 * test.  FINE is not that of a program which execve started all the same. */
enum { FINE = 77, FAULT = 1, NO_FILTER = 2 };

static char page[4096] __attribute__((aligned(4096)));
static char *const no_words[] = { NULL };

/* --- what is refused --- */

struct call {
	const char *name;
	long number;
	long argument[4];
};

#define AT(p) ((long)(intptr_t)(p))

static const struct call refused[] = {
	{ "execve", SYS_execve, { AT("/bin/true"), AT(no_words) } },
	{ "execveat",
	  SYS_execveat,
	  { AT_FDCWD, AT("/bin/true"), AT(no_words) } },
	{ "fork", SYS_clone, { SIGCHLD } },
	{ "clone3", SYS_clone3, { AT(page), 64 } },
	{ "ptrace", SYS_ptrace, { PTRACE_TRACEME } },
	{ "process_vm_readv", SYS_process_vm_readv, { 1 } },
	{ "open for writing",
	  SYS_openat,
	  { AT_FDCWD, AT("/dev/null"), O_WRONLY } },
	{ "open for both", SYS_openat, { AT_FDCWD, AT("/dev/null"), O_RDWR } },
	{ "open that truncates",
	  SYS_openat,
	  { AT_FDCWD, AT("/dev/null"), O_RDONLY | O_TRUNC } },
	{ "open that makes",
	  SYS_openat,
	  { AT_FDCWD, AT("/dev/null"), O_RDONLY | O_CREAT } },
	{ "openat2", SYS_openat2, { AT_FDCWD, AT("/dev/null") } },
	{ "rename", SYS_renameat2, { AT_FDCWD, AT("/none"), AT_FDCWD } },
	{ "link", SYS_linkat, { AT_FDCWD, AT("/none"), AT_FDCWD } },
	{ "chmod", SYS_fchmodat, { AT_FDCWD, AT("/none"), 0 } },
	{ "TCP socket", SYS_socket, { AF_INET, SOCK_STREAM } },
	{ "raw socket", SYS_socket, { AF_PACKET, SOCK_RAW } },
	{ "connect", SYS_connect, { -1 } },
	{ "listen", SYS_listen, { -1 } },
	{ "connecting by data", SYS_sendto, { -1, AT(page), 1, MSG_FASTOPEN } },
	{ "connecting by a message",
	  SYS_sendmsg,
	  { -1, AT(page), MSG_FASTOPEN } },
	{ "code from memory",
	  SYS_mmap,
	  { 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS } },
	{ "data made code",
	  SYS_mprotect,
	  { AT(page), 4096, PROT_READ | PROT_EXEC } },
	{ "kill", SYS_kill, { 1, 0 } },
	{ "a signal to another's thread", SYS_tgkill, { 1, 1, 0 } },
	{ "new limits", SYS_prlimit64, { 0, RLIMIT_CORE, AT(page), 0 } },
	{ "dumpable", SYS_prctl, { PR_SET_DUMPABLE, 1 } },
	{ "setuid", SYS_setuid, { 0 } },
	{ "terminal", SYS_ioctl, { 0, TIOCSTI, AT(page) } },
	{ "signals by a file", SYS_fcntl, { 0, F_SETOWN, 1 } },
	{ "mount", SYS_mount, { AT("/none"), AT("/none"), AT("none") } },
	{ "unshare", SYS_unshare, { 0 } },
	{ "io_uring", SYS_io_uring_setup, { 0 } },
	{ "bpf", SYS_bpf, { -1 } },
};

static long make(const struct call *call)
{
	const long *a = call->argument;

	errno = 0;
	return syscall(call->number, a[0], a[1], a[2], a[3], -1, 0);
}

static int try_refused(void)
{
	int verdict = FINE;

	for (size_t i = 0; i < COUNT(refused); i++) {
		if (make(&refused[i]) == -1 && errno == ENOSYS)
			continue;
		printf("%s: %s\n", refused[i].name, strerror(errno));
		verdict = FAULT;
	}
	fflush(stdout);
	return verdict;
}

/* --- what is allowed --- */

static bool read_file(const char *path)
{
	char text[64];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool fine = fd >= 0 && read(fd, text, sizeof text) > 0;

	if (fd >= 0)
		close(fd);
	return fine;
}

static bool use_memory(void)
{
	size_t bytes = 4u << 20;
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *heap = malloc(bytes);

	if (p == MAP_FAILED || !heap || mlock(p, 4096) || munlock(p, 4096) ||
	    madvise(p, bytes, MADV_DONTNEED) || munmap(p, bytes))
		return false;
	memset(heap, 1, bytes);
	free(heap);
	return true;
}

static bool use_sockets(void)
{
	int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return manager >= 0 && close(manager) == 0;
}

static int try_allowed(void)
{
	bool fine =
		read_file("/proc/self/statm") && use_memory() && use_sockets();

	return fine ? FINE : FAULT;
}

/* Under the filter a socket that listens connects to TARGET, unless the filter
 * knows of the way. */
static int listener, target;

static int try_connect_by_data(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	socklen_t length = sizeof to;
	ssize_t sent;

	if (getsockname(target, (struct sockaddr *)&to, &length))
		return FAULT;
	shutdown(listener, SHUT_RD);
	sent = sendto(listener, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL,
		      (struct sockaddr *)&to, sizeof to);
	return sent < 0 && errno == ENOSYS ? FINE : FAULT;
}

static int listening_socket(void)
{
	struct sockaddr_in own = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static int try_abort(void)
{
	abort();
}

/* --- in a process of its own --- */

static atomic_bool filtered;
static int (*in_thread)(void);

static void *older_thread(void *arg)
{
	while (!atomic_load(&filtered))
		sched_yield();
	*(int *)arg = in_thread();
	return NULL;
}

static bool connects;

/* ATTEMPT in the thread that loads the filter, or in one that is older. */
static int attempt_filtered(int (*attempt)(void), bool older)
{
	pthread_t thread;
	struct error why;
	int verdict = FAULT;

	in_thread = attempt;
	if (older && pthread_create(&thread, NULL, older_thread, &verdict))
		return FAULT;
	if (syscalls_restrict(connects, &why)) {
		printf("%s\n", why.text);
		fflush(stdout);
		return NO_FILTER;
	}
	atomic_store(&filtered, true);
	if (!older)
		return attempt();
	return pthread_join(thread, NULL) ? FAULT : verdict;
}

/* How the process ended, as by waitpid. */
static int end_of(int (*attempt)(void), bool older)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(attempt_filtered(attempt, older));
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_FILTER)
		fail_msg("no filter");
	return status;
}

static void assert_fine(int (*attempt)(void), bool older)
{
	int status = end_of(attempt, older);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), FINE);
}

static void skip_if_sanitized(void **state)
{
	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip(); /* a sanitizer's own calls are not allowed */
#endif
}

static void other_calls_are_refused(void **state)
{
	skip_if_sanitized(state);
	assert_fine(try_refused, false);
}

static void in_older_threads_too(void **state)
{
	skip_if_sanitized(state);
	assert_fine(try_refused, true);
}

static void its_own_calls_are_not(void **state)
{
	skip_if_sanitized(state);
	assert_fine(try_allowed, false);
	assert_fine(try_allowed, true);
}

static void a_listener_connects_nowhere(void **state)
{
	skip_if_sanitized(state);
	listener = listening_socket();
	target = listening_socket();
	assert_fine(try_connect_by_data, false);
	close(listener);
	close(target);
}

static int try_connect(void)
{
	int four = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int six = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (four < 0 || (six < 0 && errno != EAFNOSUPPORT))
		return FAULT;
	/* neither is a socket's */
	if (connect(-1, NULL, 0) == 0 || errno != EBADF ||
	    sendmmsg(-1, NULL, 0, 0) >= 0 || errno != EBADF ||
	    sendmmsg(-1, NULL, 0, MSG_FASTOPEN) >= 0 || errno != ENOSYS)
		return FAULT;
	/* and no more than that */
	if (socket(AF_PACKET, SOCK_RAW, 0) >= 0 || errno != ENOSYS ||
	    listen(-1, 1) == 0 || errno != ENOSYS)
		return FAULT;
	return FINE;
}

static void one_with_a_pool_connects(void **state)
{
	skip_if_sanitized(state);
	connects = true;
	assert_fine(try_connect, true);
	assert_fine(try_allowed, false);
	connects = false;
}

/* A failed assertion still ends the process. */
static void it_can_abort(void **state)
{
	int status;

	skip_if_sanitized(state);
	status = end_of(try_abort, false);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(other_calls_are_refused),
		cmocka_unit_test(in_older_threads_too),
		cmocka_unit_test(its_own_calls_are_not),
		cmocka_unit_test(a_listener_connects_nowhere),
		cmocka_unit_test(one_with_a_pool_connects),
		cmocka_unit_test(it_can_abort),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
