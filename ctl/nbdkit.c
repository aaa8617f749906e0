#include "nbdkit.h"

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
#include "nbdexport.h"
#include "net.h"
#include "run.h"

/* nbdkit makes threads with the default stack.  A locked stack is locked as a
 * whole: 8 MiB for each request in flight. */
#define STACK_BYTES (256u << 10)

/* Between two looks whether nbdkit has its socket. */
#define RETRY_NS (20 * NS_PER_MS)
/* How long a killed nbdkit is waited for. */
#define KILL_NS (2 * NS_PER_S)

/* The plugin below the same prefix as this program: PREFIX/sbin/rswapctl,
 * PREFIX/lib/nbdkit/plugins. nbdkit itself does not look into every prefix.
 * NULL: no plugin is there, so it is in nbdkit's own directory. */
static const char *plugin_in_prefix(void)
{
	static const char below[] = "lib/nbdkit/plugins/nbdkit-rswap-plugin.so";
	static char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

	for (int up = 0; up < 2 && n > 0; up++) {
		while (n > 0 && path[--n] != '/')
			;
	}
	if (n < 0 || (size_t)n + 1 + sizeof below > sizeof path)
		return NULL;
	memcpy(path + n, "/", 1);
	memcpy(path + n + 1, below, sizeof below);
	return access(path, R_OK) == 0 ? path : NULL;
}

const char *nbdkit_default_plugin(void)
{
	const char *plugin = getenv("RSWAP_PLUGIN");

	if (plugin && *plugin)
		return plugin;
	plugin = plugin_in_prefix();
	return plugin ? plugin : "rswap";
}

/* Settings that nbdkit inherits from rswapctl.  The kernel may refuse each of
 * them (containers); the plugin logs which it lacks. */
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
	/* if nbdkit is killed, everything that is swapped out is lost */
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

pid_t nbdkit_start(const char *const argv[], const char *log, struct error *why)
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

/* Whether nbdkit has ended, whether or not it is a child of rswapctl.  Sets
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

/* Waits a little for the end of nbdkit. */
static void pause_while_alive(int pidfd)
{
	net_wait(pidfd, POLLIN, clock_now_ns() + RETRY_NS);
}

int nbdkit_wait_ready(pid_t pid, const char *socket, uint64_t deadline_ns,
		      struct error *why)
{
	int pidfd = pidfd_open(pid, 0);
	int status = ENDED_UNKNOWN;
	struct error ignored;
	int err;

	while ((err = nbdexport_greet(socket, deadline_ns, &ignored))) {
		if (has_ended(pid, &status))
			ended_explain(status, why);
		else if (run_interrupted())
			error_set(why, "interrupted");
		else if (!clock_left_ns(deadline_ns))
			error_set(why,
				  "nbdkit does not answer on %s "
				  "within its deadline",
				  socket);
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

bool nbdkit_stop(pid_t pid, uint64_t deadline_ns)
{
	int pidfd = pidfd_open(pid, 0);
	bool ended;

	send_signal(pid, pidfd, SIGTERM);
	ended = ends_by(pid, pidfd, deadline_ns);
	if (!ended) {
		send_signal(pid, pidfd, SIGKILL);
		ended = ends_by(pid, pidfd, clock_now_ns() + KILL_NS);
	}
	if (pidfd >= 0)
		close(pidfd);
	return ended;
}

void nbdkit_show_log(const char *log, const char *indent)
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
