#include "devprobe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "run.h"

#define PROBE_NS   (5 * NS_PER_S)
#define PAGE_BYTES 4096

/* --- the process that reads --- */

/* Never returns.  The process may stay for as long as the kernel lets a request
 * hang.  So it keeps nothing open that others wait for: no lock, no pipe. */
static void read_page(const char *device)
{
	void *page = NULL;
	ssize_t n;
	int fd;

	close_range(0, ~0U, 0);
	fd = open(device, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0 || posix_memalign(&page, PAGE_BYTES, PAGE_BYTES))
		_exit(DEVPROBE_UNKNOWN);
	n = pread(fd, page, PAGE_BYTES, 0);
	if (n == PAGE_BYTES)
		_exit(DEVPROBE_READS);
	/* a device that has lost its size ends at once */
	_exit(n >= 0 || errno == EIO ? DEVPROBE_FAILS : DEVPROBE_UNKNOWN);
}

/* --- processes that hang --- */

/* Killed, and not ended yet: the kernel ends none that waits for a device. */
static struct hung {
	pid_t pid; /* 0: none */
	char device[32];
} hung[8];

static void reap(struct hung *h)
{
	if (h->pid && waitpid(h->pid, NULL, WNOHANG) != 0)
		h->pid = 0;
}

/* A place to note a process for DEVICE; NULL if there is none, or if one hangs
 * at this device still, as another one would. */
static struct hung *find_place(const char *device)
{
	struct hung *place = NULL;

	for (size_t i = 0; i < sizeof hung / sizeof hung[0]; i++) {
		reap(&hung[i]);
		if (!hung[i].pid)
			place = &hung[i];
		else if (!strcmp(hung[i].device, device))
			return NULL;
	}
	return place;
}

/* --- the probe --- */

enum devprobe devprobe_read(const char *device)
{
	uint64_t deadline_ns = clock_now_ns() + PROBE_NS;
	struct hung *place = find_place(device);
	int status;
	pid_t pid;

	if (!place)
		return DEVPROBE_UNKNOWN;
	pid = fork();
	if (pid < 0)
		return DEVPROBE_UNKNOWN;
	if (pid == 0)
		read_page(device);
	while (waitpid(pid, &status, WNOHANG) != pid) {
		if (!clock_left_ns(deadline_ns)) {
			kill(pid, SIGKILL);
			place->pid = pid;
			snprintf(place->device, sizeof place->device, "%s",
				 device);
			return DEVPROBE_UNKNOWN;
		}
		run_pause(5);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) <= DEVPROBE_UNKNOWN
		       ? (enum devprobe)WEXITSTATUS(status)
		       : DEVPROBE_UNKNOWN;
}
