#include "claim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int claim_device(const char *name)
{
	char path[48];
	int fd;

	snprintf(path, sizeof path, "/dev/%.32s", name);
	fd = open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}
