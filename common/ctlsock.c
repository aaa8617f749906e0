#include "ctlsock.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"

/* The answer is put together here before the first byte of it is sent: ANSWER
 * may hold locks of its program, and a client that does not read must not hold
 * them up.  Static, because the plugin is locked in memory and its heap must
 * not grow for a client's sake; untouched pages of it cost nothing. */
static char answer_buf[256 * 1024];
static pthread_mutex_t answer_lock = PTHREAD_MUTEX_INITIALIZER;

static const char cut_text[] = "truncated yes\n";

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
		size_t size, uint64_t deadline_ns, struct reason *why)
{
	char line[CTLSOCK_COMMAND_MAX + 1];
	int n = snprintf(line, sizeof line, "%s\n", command);
	int fd;
	int err;

	if (n < 0 || (size_t)n >= sizeof line) {
		reason_set(why, "a command of more than %d bytes",
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
		reason_set(why, "%s: no answer: %s", path, strerror(-err));
	close(fd);
	return err;
}

/* Reads one line, without its newline. False for anything that isn't one. */
static bool recv_command(int fd, char *command, uint64_t deadline_ns)
{
	size_t have = 0;

	while (have < CTLSOCK_COMMAND_MAX) {
		ssize_t n = recv_some(fd, command + have,
				      CTLSOCK_COMMAND_MAX - have, deadline_ns);
		char *end;

		if (n <= 0)
			return false;
		end = memchr(command + have, '\n', (size_t)n);
		have += (size_t)n;
		if (end) {
			*end = '\0';
			/* a NUL inside would hide the rest of the command */
			return memchr(command, '\0', (size_t)(end - command)) ==
			       NULL;
		}
	}
	return false;
}

/* What is sent ends with a whole line, and says so where lines are missing. */
static size_t cut_to_lines(char *buf, size_t size)
{
	char *end;

	buf[size - sizeof cut_text] = '\0';
	end = strrchr(buf, '\n');
	end = end ? end + 1 : buf;
	memcpy(end, cut_text, sizeof cut_text);
	return (size_t)(end - buf) + sizeof cut_text - 1;
}

/* Lets ANSWER write to the buffer; how many bytes that were. */
static size_t write_answer(const char *command, ctlsock_answer *answer,
			   void *arg)
{
	/* one byte less, so that the text always has its NUL */
	FILE *out = fmemopen(answer_buf, sizeof answer_buf - 1, "w");
	bool known;
	bool full;
	long at;

	if (!out)
		return 0;
	/* unbuffered: a buffer would be allocated, and an overflow would only
	 * show when the stream is closed */
	setvbuf(out, NULL, _IONBF, 0);
	known = answer(command, out, arg);
	if (!known)
		fprintf(out, "error unknown command\n");
	full = ferror(out) != 0;
	at = ftell(out);
	fclose(out);
	if (full)
		return cut_to_lines(answer_buf, sizeof answer_buf);
	return at > 0 ? (size_t)at : 0;
}

void ctlsock_serve_one(int listen_fd, ctlsock_answer *answer, void *arg,
		       uint64_t deadline_ns)
{
	char command[CTLSOCK_COMMAND_MAX];
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (recv_command(fd, command, deadline_ns)) {
		size_t bytes;

		pthread_mutex_lock(&answer_lock);
		bytes = write_answer(command, answer, arg);
		net_send_all(fd, answer_buf, bytes, deadline_ns);
		pthread_mutex_unlock(&answer_lock);
	}
	close(fd);
}

const char *ctlsock_value(const char *answer, const char *key, char *value,
			  size_t size)
{
	size_t key_bytes = strlen(key);
	const char *line = answer;

	while (*line) {
		size_t bytes = strcspn(line, "\n");

		if (bytes > key_bytes && line[key_bytes] == ' ' &&
		    strncmp(line, key, key_bytes) == 0) {
			const char *start = line + key_bytes + 1;
			size_t n = bytes - key_bytes - 1;

			if (n >= size)
				n = size - 1;
			memcpy(value, start, n);
			value[n] = '\0';
			return value;
		}
		line += bytes;
		line += *line == '\n';
	}
	return NULL;
}
