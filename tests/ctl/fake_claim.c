#include "fake_claim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

/* Whether swap or a holder uses it, as kernel.pl knows. */
static int is_used(const char *name)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return 1;
	if (pid == 0) {
		execlp("nbd-netlink", "nbd-netlink", "used", name,
		       (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status != 0;
}

int fake_claim(const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof path, "/sys/block/%s", name);
	if (access(path, F_OK) < 0)
		return -ENOENT;
	snprintf(path, sizeof path, "%s/claim.%s", getenv("RSWAP_FAKE"), name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && !is_used(name))
		return fd;
	close(fd);
	return -EBUSY;
}
