#include "notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

static uint64_t number_of(const char *variable)
{
	const char *text = getenv(variable);

	return text ? strtoull(text, NULL, 10) : 0;
}

uint64_t notify_watchdog_ns(void)
{
	uint64_t pid = number_of("WATCHDOG_PID");

	if (pid && pid != (uint64_t)getpid())
		return 0;
	return number_of("WATCHDOG_USEC") * NS_PER_US;
}

int notify_open(struct notify *notify)
{
	const char *path = getenv("NOTIFY_SOCKET");
	size_t length = path ? strlen(path) : 0;
	struct sockaddr_un *addr = &notify->addr;

	*notify = NOTIFY_CLOSED;
	if (!length)
		return -ENOTCONN;
	if (length >= sizeof addr->sun_path)
		return -ENAMETOOLONG;
	addr->sun_family = AF_UNIX;
	memcpy(addr->sun_path, path, length);
	if (*path == '@')
		addr->sun_path[0] = '\0';
	notify->addr_bytes =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	notify->fd =
		socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return notify->fd < 0 ? -errno : 0;
}

void notify_close(struct notify *notify)
{
	if (notify->fd >= 0)
		close(notify->fd);
	notify->fd = -1;
}

int notify_answer(const struct notify *notify)
{
	static const char text[] = "WATCHDOG=1";

	return sendto(notify->fd, text, sizeof text - 1, MSG_NOSIGNAL,
		      (const struct sockaddr *)&notify->addr,
		      notify->addr_bytes) < 0
		       ? -errno
		       : 0;
}
