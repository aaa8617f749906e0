#include "run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "net.h"

/* How often a wait looks whether a signal came. */
#define LOOK_MS 100
/* How long a killed tool is waited for. */
#define KILL_NS NS_PER_S

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
	interrupted = sig;
}

static void catch_signal(int sig)
{
	/* no SA_RESTART: a signal has to end a wait */
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(sig, &action, NULL);
}

void run_catch_signals(void)
{
	catch_signal(SIGINT);
	catch_signal(SIGTERM);
	catch_signal(SIGHUP);
}

void run_catch_stop(void)
{
	catch_signal(SIGCONT);
}

bool run_interrupted(void)
{
	return interrupted != 0;
}

void run_forget_signals(void)
{
	interrupted = 0;
}

void run_pause(unsigned ms)
{
	struct timespec t = clock_timespec(ms * NS_PER_MS);

	nanosleep(&t, NULL);
}

char *run_last_line(char *text)
{
	size_t end = strlen(text);
	char *line;

	while (end && (text[end - 1] == '\n' || text[end - 1] == ' '))
		end--;
	text[end] = '\0';
	line = strrchr(text, '\n');
	return line ? line + 1 : text;
}

bool run_find(const char *name, char *where, size_t size)
{
	const char *path = getenv("PATH");

	while (path && *path) {
		size_t length = strcspn(path, ":");
		int n = snprintf(where, size, "%.*s/%s", (int)length, path,
				 name);

		if (n > 0 && (size_t)n < size && access(where, X_OK) == 0)
			return true;
		path += length;
		path += *path == ':';
	}
	return false;
}

/* Starts the tool; *OUT_FD is the end to read its output from. */
static pid_t start_tool(const char *const argv[], int *out_fd,
			struct error *why)
{
	struct child_spec spec = { .argv = argv };
	int out[2];
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0) {
		error_set(why, "%s: can't be started: %s", argv[0],
			  strerror(errno));
		return -1;
	}
	spec.output_fd = out[1];
	pid = child_start(&spec, why);
	close(out[1]);
	if (pid < 0) {
		close(out[0]);
		return -1;
	}
	*out_fd = out[0];
	fcntl(*out_fd, F_SETFL, O_NONBLOCK);
	return pid;
}

/* The end of the output, if all of it does not fit. */
struct tail {
	char *text;
	size_t size, have;
	bool is_cut;
};

static void tail_add(struct tail *tail, const char *bytes, size_t n)
{
	if (!tail->text)
		return;
	for (size_t i = 0; i < n; i++) {
		if (tail->have == tail->size - 1) {
			size_t half = tail->size / 2;

			memmove(tail->text, tail->text + half,
				tail->have - half);
			tail->have -= half;
			tail->is_cut = true;
		}
		tail->text[tail->have++] = bytes[i];
	}
	tail->text[tail->have] = '\0';
}

/* What is left of the line in which the output was cut means nothing: half a
 * key is not seen as one (redact.h). */
static void tail_end(struct tail *tail)
{
	const char *end = tail->is_cut ? strchr(tail->text, '\n') : NULL;

	if (end)
		memmove(tail->text, end + 1, strlen(end + 1) + 1);
	else if (tail->is_cut)
		*tail->text = '\0';
}

/* False at the end of the output. */
static bool drain(int fd, struct tail *tail)
{
	char bytes[1024];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof bytes)) > 0)
		tail_add(tail, bytes, (size_t)n);
	return n < 0;
}

/* A tool that runs. */
struct tool {
	const char *name;
	pid_t pid;
	int pidfd; /* -1: its end is seen a little later */
	int out_fd;
	uint64_t deadline_ns;
	const struct run_watch *watch; /* or NULL */
};

/* Why the tool has to be killed, if it has to. */
static bool has_to_end(const struct tool *tool, struct error *why)
{
	if (!interrupted && clock_left_ns(tool->deadline_ns))
		return tool->watch &&
		       !tool->watch->look(tool->watch->about, why);
	error_set(why, "%s: %s", tool->name,
		  interrupted ? "interrupted" : "not done within its deadline");
	return true;
}

/* Waits for the tool's end rather than for the end of its output: a process
 * that the tool left running may hold the output open. */
static bool wait_tool(const struct tool *tool, struct tail *tail, int *status,
		      struct error *why)
{
	struct pollfd fds[2] = { { .fd = tool->pidfd, .events = POLLIN },
				 { .fd = tool->out_fd, .events = POLLIN } };

	for (;;) {
		pid_t done = waitpid(tool->pid, status, WNOHANG);

		if (!drain(tool->out_fd, tail))
			fds[1].fd = -1;
		if (done == tool->pid)
			return true;
		if (has_to_end(tool, why))
			return false;
		/* not longer: a signal may come right before */
		poll(fds, 2, LOOK_MS);
	}
}

/* Not for ever: a process that waits in the kernel (mkswap on a dead device)
 * dies only when the kernel's wait ends. */
static void kill_tool(pid_t pid, int pidfd)
{
	kill(pid, SIGKILL);
	net_wait(pidfd, POLLIN, clock_now_ns() + KILL_NS);
	waitpid(pid, NULL, WNOHANG);
}

static int run_watched(const char *const argv[], uint64_t deadline_ns,
		       const struct run_watch *watch, char *output, size_t size,
		       struct error *why)
{
	struct tool tool = { .name = argv[0],
			     .deadline_ns = deadline_ns,
			     .watch = watch };
	struct tail tail = { .text = output, .size = size };
	int status = 0;
	bool ended;

	if (output)
		*output = '\0';
	tool.pid = start_tool(argv, &tool.out_fd, why);
	if (tool.pid < 0)
		return -1;
	tool.pidfd = pidfd_open(tool.pid, 0);
	ended = wait_tool(&tool, &tail, &status, why);
	if (!ended)
		kill_tool(tool.pid, tool.pidfd);
	tail_end(&tail);
	close(tool.out_fd);
	if (tool.pidfd >= 0)
		close(tool.pidfd);
	if (!ended)
		return -1;
	if (WIFSIGNALED(status)) {
		error_set(why, "%s: killed by signal %d", argv[0],
			  WTERMSIG(status));
		return -1;
	}
	return WEXITSTATUS(status);
}

int run_tool(const char *const argv[], uint64_t deadline_ns, char *output,
	     size_t size, struct error *why)
{
	return run_watched(argv, deadline_ns, NULL, output, size, why);
}

int run_must_watched(const char *const argv[], uint64_t deadline_ns,
		     const struct run_watch *watch, struct error *why)
{
	char output[2048];
	int status = run_watched(argv, deadline_ns, watch, output,
				 sizeof output, why);
	char *line = run_last_line(output);

	if (status < 0)
		return -1;
	if (status > 0) {
		/* the tools' messages begin with their name */
		if (!*line)
			error_set(why, "%s: exit status %d", argv[0], status);
		else if (strstr(line, argv[0]))
			error_set(why, "%s", line);
		else
			error_set(why, "%s: %s", argv[0], line);
		return -1;
	}
	return 0;
}

int run_must(const char *const argv[], uint64_t deadline_ns, struct error *why)
{
	return run_must_watched(argv, deadline_ns, NULL, why);
}

/* Field 22 and field 3 of /proc/PID/stat; the name before them may hold spaces
 * and parentheses. */
static bool read_stat(pid_t pid, char *state, unsigned long long *start)
{
	char path[40], text[1024];
	const char *after;
	FILE *f;
	size_t n;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = '\0';
	after = strrchr(text, ')');
	return after && sscanf(after,
			       ") %c %*d %*d %*d %*d %*d %*u %*u %*u "
			       "%*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
			       state, start) == 2;
}

bool run_alive(pid_t pid)
{
	unsigned long long start;
	char state;

	return read_stat(pid, &state, &start) && state != 'Z' && state != 'X';
}

uint64_t run_start_time(pid_t pid)
{
	unsigned long long start;
	char state;

	return read_stat(pid, &state, &start) ? start : 0;
}

/* Whether one of the NUL-terminated words of /proc/PID/FILE, newlines taken for
 * NULs, is WORD. */
static bool has_word(pid_t pid, const char *file, const char *word)
{
	char path[40], text[8192];
	bool found = false;
	size_t n;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
	f = fopen(path, "re");
	if (!f)
		return false;
	n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = '\0';
	for (size_t i = 0; i < n && !found; i += strlen(text + i) + 1) {
		text[i + strcspn(text + i, "\n")] = '\0';
		found = !strcmp(text + i, word);
	}
	return found;
}

/* Whether no user but root and this process's own has a part in the process.
 * Its real user counts too: a setuid program has the arguments of whoever runs
 * it.  The owner of /proc/PID proves nothing: root owns that directory of each
 * process that is not dumpable. */
static bool has_trusted_user(pid_t pid)
{
	unsigned real, effective, saved;
	char path[40], line[128];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof line, f))
		found = sscanf(line, "Uid: %u %u %u", &real, &effective,
			       &saved) == 3;
	if (f)
		fclose(f);
	return found && real == effective && effective == saved &&
	       (real == 0 || real == geteuid());
}

/* A setuid program may make its real user root before it asks for a password.
 * The name of its file shows which program it is, whatever link it was started
 * by.  Without CAP_SYS_PTRACE that name is not shown. */
static bool has_file(pid_t pid, const char *name)
{
	static const char deleted[] = " (deleted)"; /* by an upgrade */
	char path[40], file[PATH_MAX];
	const char *last;
	size_t length = strlen(name);
	ssize_t n;

	snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
	n = readlink(path, file, sizeof file - 1);
	if (n < 0)
		return errno == EACCES;
	file[n] = '\0';
	last = strrchr(file, '/');
	return last && !strncmp(last + 1, name, length) &&
	       (!last[1 + length] || !strcmp(last + 1 + length, deleted));
}

static bool is_trusted_with(pid_t pid, const char *name, const char *argument)
{
	return has_word(pid, "cmdline", argument) && has_trusted_user(pid) &&
	       has_file(pid, name);
}

pid_t run_find_process(const char *name, const char *argument, uint64_t *start)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	pid_t found = 0;

	*start = 0;
	while (dir && !found && (entry = readdir(dir))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		/* read before and after the rest: all of it is then of one
		 * process, and of none that got its pid meanwhile */
		*start = pid > 0 ? run_start_time(pid) : 0;
		if (*start && has_word(pid, "comm", name) &&
		    (!argument || is_trusted_with(pid, name, argument)) &&
		    run_alive(pid) && run_start_time(pid) == *start)
			found = pid;
	}
	if (!found)
		*start = 0;
	if (dir)
		closedir(dir);
	return found;
}

static bool has_open(pid_t pid, const char *file)
{
	char path[40], target[128];
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir))) {
		/* reads the link without following it: access to its target may
		 * hang */
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target,
				       sizeof target - 1);

		target[n > 0 ? n : 0] = '\0';
		found = !strcmp(target, file);
	}
	if (dir)
		closedir(dir);
	return found;
}

static void read_name(pid_t pid, char *name, size_t size)
{
	char path[40];
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	if (!f || !fgets(name, (int)size, f))
		*name = '\0';
	name[strcspn(name, "\n")] = '\0';
	if (f)
		fclose(f);
}

pid_t run_find_opener(const char *path, char *name, size_t size)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	pid_t found = 0;

	while (dir && !found && (entry = readdir(dir))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid > 0 && pid != getpid() && has_open(pid, path))
			found = pid;
	}
	if (dir)
		closedir(dir);
	if (found)
		read_name(found, name, size);
	return found;
}
