#include "devprobe.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "run.h"

#define PROBE_NS   (5 * NS_PER_S)
#define PAGE_BYTES 4096

/* In the child: never returns. */
static void read_page(const char *device)
{
	int fd = open(device, O_RDONLY | O_DIRECT | O_CLOEXEC);
	void *page = NULL;
	ssize_t n;

	if (fd < 0 || posix_memalign(&page, PAGE_BYTES, PAGE_BYTES))
		_exit(DEVPROBE_UNKNOWN);
	n = pread(fd, page, PAGE_BYTES, 0);
	if (n == PAGE_BYTES)
		_exit(DEVPROBE_READS);
	/* a device that has lost its size ends at once */
	_exit(n >= 0 || errno == EIO ? DEVPROBE_FAILS : DEVPROBE_UNKNOWN);
}

enum devprobe devprobe_read(const char *device)
{
	uint64_t deadline_ns = clock_now_ns() + PROBE_NS;
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return DEVPROBE_UNKNOWN;
	if (pid == 0)
		read_page(device);
	while (waitpid(pid, &status, WNOHANG) != pid) {
		if (!clock_left_ns(deadline_ns)) {
			kill(pid, SIGKILL);
			return DEVPROBE_UNKNOWN;
		}
		run_pause(5);
	}
	return WIFEXITED(status) && WEXITSTATUS(status) <= DEVPROBE_UNKNOWN
		       ? (enum devprobe)WEXITSTATUS(status)
		       : DEVPROBE_UNKNOWN;
}
