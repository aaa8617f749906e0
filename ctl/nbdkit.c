#include "nbdkit.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "ended.h"
#include "net.h"
#include "run.h"

/* nbdkit makes threads with the default stack, and a locked one is locked from
 * top to bottom: 8 MiB of it for each request in flight. */
#define STACK_BYTES (256u << 10)

/* Beside this program, where the prefix of both is one that nbdkit does not
 * look into: PREFIX/sbin/rswapctl, PREFIX/lib/nbdkit/plugins.  NULL: not there,
 * so nbdkit has it. */
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

/* What may be refused (containers); the plugin tells what it is short of. */
static void set_limits(void)
{
	struct rlimit stack = { STACK_BYTES, STACK_BYTES };
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	setrlimit(RLIMIT_STACK, &stack);
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	/* if nbdkit is killed, everything that is swapped out is lost */
	if (fd >= 0) {
		if (write(fd, "-1000", 5) < 0)
			fprintf(stderr, "rswapctl: oom_score_adj: %s\n",
				strerror(errno));
		close(fd);
	}
	/* each arena of glibc's is 64 MiB of address space to be locked */
	setenv("MALLOC_ARENA_MAX", "1", 1);
}

/* In the child: never returns. */
static void exec_nbdkit(char *const argv[], const char *log, int fail_fd)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	ssize_t n;

	/* out of reach of the terminal's Ctrl-C and hang-up */
	setsid();
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	dup2(null_fd, STDIN_FILENO);
	if (log) {
		int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
			      0600);

		dup2(null_fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
	}
	if (chdir("/") == 0)
		set_limits();
	execvp(argv[0], argv);
	n = write(fail_fd, &errno, sizeof errno);
	_exit(n < 0 ? 126 : 127);
}

pid_t nbdkit_start(char *const argv[], const char *log, struct error *why)
{
	int fail[2];
	int err = 0;
	pid_t pid;

	if (pipe2(fail, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		error_set(why, "nbdkit can't be started: %s", strerror(errno));
		return -1;
	}
	if (pid == 0)
		exec_nbdkit(argv, log, fail[1]);
	close(fail[1]);
	if (read(fail[0], &err, sizeof err) != sizeof err)
		err = 0;
	close(fail[0]);
	if (err) {
		waitpid(pid, NULL, 0);
		error_set(why, "nbdkit: %s",
			  err == ENOENT ? "not installed" : strerror(err));
		return -1;
	}
	return pid;
}

/* Takes the greeting, and says good-bye as the protocol wants it, so that
 * nbdkit has nothing to complain of. */
static int greet(int fd, uint64_t deadline_ns)
{
	struct {
		uint64_t magic, option_magic;
		uint16_t flags;
	} __attribute__((packed)) greeting;
	struct {
		uint32_t flags;
		uint64_t magic;
		uint32_t option, bytes;
	} __attribute__((packed)) leave = {
		.flags = htobe32(1),			 /* fixed newstyle */
		.magic = htobe64(0x49484156454f5054ull), /* IHAVEOPT */
		.option = htobe32(2),			 /* ABORT */
	};
	uint8_t ack[20];
	int err = net_recv_all(fd, &greeting, sizeof greeting, deadline_ns);

	if (err)
		return err;
	if (be64toh(greeting.magic) != 0x4e42444d41474943ull) /* NBDMAGIC */
		return -EPROTO;
	err = net_send_all(fd, &leave, sizeof leave, deadline_ns);
	/* an old server may just hang up */
	if (!err)
		net_recv_all(fd, ack, sizeof ack, deadline_ns);
	return err;
}

/* Whether nbdkit has ended; also when it isn't our child.  STATUS is set where
 * it was one, once: keep it. */
static bool has_ended(pid_t pid, int *status)
{
	if (waitpid(pid, status, WNOHANG) == pid)
		return true;
	if (run_alive(pid))
		return false;
	/* it may have ended between the two looks */
	waitpid(pid, status, WNOHANG);
	return true;
}

/* Waits on a socket on which nothing has been sent yet, while nbdkit lives. */
static int wait_greeting(pid_t pid, int fd, uint64_t deadline_ns, int *status)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (poll(&p, 1, 100) <= 0) {
		if (has_ended(pid, status) || run_interrupted() ||
		    !clock_left_ns(deadline_ns))
			return -ETIMEDOUT;
	}
	return greet(fd, deadline_ns);
}

int nbdkit_wait_ready(pid_t pid, const char *socket, uint64_t deadline_ns,
		      struct error *why)
{
	int status = ENDED_UNKNOWN;

	for (;;) {
		struct error ignored;
		int fd = net_connect_unix(socket, &ignored);
		int err = fd;

		if (fd >= 0) {
			err = wait_greeting(pid, fd, deadline_ns, &status);
			close(fd);
		}
		if (!err)
			return 0;
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
			run_pause(20);
			continue;
		}
		return -1;
	}
}

bool nbdkit_stop(pid_t pid, uint64_t deadline_ns)
{
	int ignored;

	kill(pid, SIGTERM);
	while (!has_ended(pid, &ignored) && clock_left_ns(deadline_ns))
		run_pause(20);
	if (has_ended(pid, &ignored))
		return true;
	kill(pid, SIGKILL);
	for (int i = 0; i < 100 && !has_ended(pid, &ignored); i++)
		run_pause(20);
	return has_ended(pid, &ignored);
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
