#include "ctlsock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"

/* Up to SIZE bytes; 0 at the end of the stream, or a negative errno. */
static ssize_t recv_some(int fd, void *buf, size_t size, uint64_t deadline_ns)
{
	for (;;) {
		ssize_t n = recv(fd, buf, size, MSG_DONTWAIT);
		int err;

		if (n >= 0)
			return n;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			return -errno;
		err = net_wait(fd, POLLIN, deadline_ns);
		if (err)
			return err;
	}
}

/* Reads the whole stream, NUL-terminated. */
static int recv_answer(int fd, char *answer, size_t size, uint64_t deadline_ns)
{
	size_t have = 0;

	for (;;) {
		ssize_t n = recv_some(fd, answer + have, size - 1 - have,
				      deadline_ns);

		if (n < 0)
			return (int)n;
		have += (size_t)n;
		answer[have] = '\0';
		if (n == 0)
			return have ? 0 : -ECONNRESET;
		if (have == size - 1)
			return -EMSGSIZE;
	}
}

int ctlsock_ask(const char *path, const char *command, char *answer,
		size_t size, uint64_t deadline_ns, struct error *why)
{
	char line[CTLSOCK_COMMAND_MAX + 1];
	int n = snprintf(line, sizeof line, "%s\n", command);
	int fd;
	int err;

	if (n < 0 || (size_t)n >= sizeof line) {
		error_set(why, "a command of more than %d bytes",
			  CTLSOCK_COMMAND_MAX - 1);
		return -EINVAL;
	}
	fd = net_connect_unix(path, why);
	if (fd < 0)
		return fd;
	err = net_send_all(fd, line, (size_t)n, deadline_ns);
	if (!err)
		err = recv_answer(fd, answer, size, deadline_ns);
	if (err)
		error_set(why, "%s: no answer: %s", path, strerror(-err));
	close(fd);
	return err;
}
