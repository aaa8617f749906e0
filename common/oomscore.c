#include "oomscore.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int oomscore_never(void)
{
	static const char never[] = "-1000";
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return errno;
	if (write(fd, never, sizeof never - 1) < 0)
		err = errno;
	close(fd);
	return err;
}
