/* A kernel that gives no pidfd: an old one, or one whose filter of system calls
 * forbids them.  RSWAP_FAKE_NO_PIDFD asks for it. */
#include <errno.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <unistd.h>

int pidfd_open(pid_t pid, unsigned flags)
{
	if (!getenv("RSWAP_FAKE_NO_PIDFD"))
		return (int)syscall(SYS_pidfd_open, pid, flags);
	errno = ENOSYS;
	return -1;
}
