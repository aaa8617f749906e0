#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "ended.h"
#include "net.h"
#include "run.h"

/* nbdkit makes threads with the default stack.  A locked stack is locked as a
 * whole: 8 MiB for each request in flight. */
#define STACK_BYTES (256u << 10)

/* Between two looks whether the front end has its socket. */
#define RETRY_NS (20 * NS_PER_MS)
/* How long a killed front end is waited for. */
#define KILL_NS (2 * NS_PER_S)

/* Settings that a front end inherits from rswapctl.  The kernel may refuse each
 * of them (containers); the front end logs which it lacks. */
struct inherited {
	struct rlimit stack, memlock;
	char oom_score_adj[16];
};

static void write_oom_score_adj(const char *text)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		fprintf(stderr, "rswapctl: oom_score_adj: %s\n",
			strerror(errno));
	close(fd);
}

/* posix_spawn cannot set these in the child, so rswapctl has them until
 * give_back.  Of the stack only the soft limit, which glibc goes by: the hard
 * one could not be raised again everywhere.  The main thread's own stack does
 * not grow meanwhile. */
static void set_inherited(struct inherited *was)
{
	struct rlimit stack, unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	FILE *f = fopen("/proc/self/oom_score_adj", "re");

	if (!f || !fgets(was->oom_score_adj, sizeof was->oom_score_adj, f))
		was->oom_score_adj[0] = '\0';
	if (f)
		fclose(f);
	getrlimit(RLIMIT_STACK, &was->stack);
	getrlimit(RLIMIT_MEMLOCK, &was->memlock);
	stack = (struct rlimit){ STACK_BYTES, was->stack.rlim_max };
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	/* if it is killed, everything that is swapped out is lost */
	write_oom_score_adj("-1000");
	/* each arena of glibc's is 64 MiB of address space to be locked */
	setenv("MALLOC_ARENA_MAX", "1", 1);
	setrlimit(RLIMIT_STACK, &stack);
}

static void give_back(const struct inherited *was)
{
	setrlimit(RLIMIT_STACK, &was->stack);
	setrlimit(RLIMIT_MEMLOCK, &was->memlock);
	if (was->oom_score_adj[0])
		write_oom_score_adj(was->oom_score_adj);
}

pid_t daemon_start(const char *const argv[], const char *log, struct error *why)
{
	const struct child_spec spec = {
		.argv = argv,
		.output_fd = -1,
		.log = log,
		.daemon = true,
	};
	struct inherited was;
	pid_t pid;

	set_inherited(&was);
	pid = child_start(&spec, why);
	give_back(&was);
	return pid;
}

/* Whether the process has ended, whether or not it is a child of rswapctl. Sets
 * STATUS if it was a child, in the first call only. */
static bool has_ended(pid_t pid, int *status)
{
	if (waitpid(pid, status, WNOHANG) == pid)
		return true;
	if (run_alive(pid))
		return false;
	/* it may have ended between the two calls */
	waitpid(pid, status, WNOHANG);
	return true;
}

/* Waits a little for the end of the process. */
static void pause_while_alive(int pidfd)
{
	net_wait(pidfd, POLLIN, clock_now_ns() + RETRY_NS);
}

int daemon_wait_ready(const struct front *front, pid_t pid,
		      const struct driver_link *link, uint64_t deadline_ns,
		      struct error *why)
{
	int pidfd = pidfd_open(pid, 0);
	int status = ENDED_UNKNOWN;
	int err;

	while ((err = front->driver->greet(link, deadline_ns))) {
		if (has_ended(pid, &status))
			ended_explain(front, status, why);
		else if (run_interrupted())
			error_set(why, "interrupted");
		else if (!clock_left_ns(deadline_ns))
			error_set(why, "%s does not serve within its deadline",
				  front->program);
		else {
			pause_while_alive(pidfd);
			continue;
		}
		break;
	}
	if (pidfd >= 0)
		close(pidfd);
	return err;
}

/* PIDFD is -1 if the kernel gave none: then the pid has to do. */
static void send_signal(pid_t pid, int pidfd, int sig)
{
	if (pidfd >= 0)
		pidfd_send_signal(pidfd, sig, NULL, 0);
	else
		kill(pid, sig);
}

static bool ends_by(pid_t pid, int pidfd, uint64_t deadline_ns)
{
	int ignored;

	while (!has_ended(pid, &ignored)) {
		if (!clock_left_ns(deadline_ns))
			return false;
		pause_while_alive(pidfd);
	}
	return true;
}

bool daemon_stop(pid_t pid, uint64_t start, int sig, uint64_t deadline_ns)
{
	int pidfd = pidfd_open(pid, 0);
	bool ended = true;

	/* compared after the open: PIDFD is this process for good */
	if (run_start_time(pid) == start) {
		send_signal(pid, pidfd, sig);
		ended = ends_by(pid, pidfd, deadline_ns);
	}
	if (pidfd >= 0)
		close(pidfd);
	return ended;
}

bool daemon_kill(pid_t pid, uint64_t start)
{
	return daemon_stop(pid, start, SIGKILL, clock_now_ns() + KILL_NS);
}

void daemon_show_log(const char *log, const char *indent)
{
	enum { LINES = 10, BYTES = 4096 };
	char text[BYTES + 1];
	FILE *f = fopen(log, "re");
	const char *from;
	size_t n;

	if (!f)
		return;
	if (fseek(f, -BYTES, SEEK_END) < 0)
		rewind(f);
	n = fread(text, 1, BYTES, f);
	fclose(f);
	text[n] = '\0';
	from = text + n;
	for (int lines = 0; from > text; from--) {
		if (from[-1] == '\n' && from < text + n && ++lines == LINES)
			break;
	}
	while (*from) {
		int length = (int)strcspn(from, "\n");

		fprintf(stderr, "%s%.*s\n", indent, length, from);
		from += length;
		from += *from == '\n';
	}
}
