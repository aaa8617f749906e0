/* The server's side of the control socket: one thread, any number of clients.
 *
 * A client either has to send its command, or takes its answer.  The answer is
 * complete before its first byte is sent: the callback that writes it may hold
 * locks of the program, and a client that does not read must not extend that.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "ctlsock.h"
#include "jsonout.h"
#include "memout.h"
#include "net.h"

#define CLIENTS_MAX 32
/* The time that a client has to send its command, and to take its answer. */
#define COMMAND_NS (2 * NS_PER_S)
#define ANSWER_NS  (5 * NS_PER_S)
/* How long no client is accepted if there is no descriptor for it. */
#define PAUSE_NS (200 * NS_PER_MS)
/* Without a deadline to wait for. */
#define LONG_NS (3600 * NS_PER_S)

struct client {
	int fd; /* -1: the place is free */
	uint64_t since_ns;
	uint64_t deadline_ns;
	size_t command_bytes;
	char command[CTLSOCK_COMMAND_MAX];
	char *answer; /* allocated; NULL before it is known */
	size_t answer_bytes;
	size_t sent_bytes;
};

struct serving {
	const struct ctlsock_server *server;
	struct client clients[CLIENTS_MAX];
	int reserve_fd; /* -1: a client has it */
	uint64_t paused_until_ns;
};

static void take_reserve(struct serving *s)
{
	if (s->reserve_fd < 0)
		s->reserve_fd = fcntl(s->server->stop_fd, F_DUPFD_CLOEXEC, 0);
}

static void drop(struct serving *s, struct client *c)
{
	close(c->fd);
	free(c->answer);
	*c = (struct client){ .fd = -1 };
	take_reserve(s);
	s->paused_until_ns = 0;
}

/* --- the answer --- */

void ctlsock_error(FILE *out, const char *text)
{
	struct jsonout j = { .out = out };

	jsonout_begin(&j, NULL, '{');
	jsonout_text(&j, "error", text);
	jsonout_end(&j, '}');
	fputc('\n', out);
}

struct question {
	const struct ctlsock_server *server;
	const char *command; /* NULL: the answer to the last one is too long */
};

static void write_answer(FILE *out, void *arg)
{
	const struct question *q = arg;

	if (!q->command)
		ctlsock_error(out, "the answer is too long");
	else if (!q->server->answer(q->command, out, q->server->arg))
		ctlsock_error(out, "unknown command");
}

/* Into the server's buffer what COMMAND is answered, or the error that this
 * does not fit.  Returns how many bytes that are; 0 on failure. */
static size_t fill_buffer(const struct ctlsock_server *server,
			  const char *command)
{
	struct question q = { .server = server, .command = command };
	bool full;
	size_t n = memout_fill(server->buffer, server->buffer_bytes,
			       write_answer, &q, &full);

	return full && command ? fill_buffer(server, NULL) : n;
}

/* False without memory. */
static bool allocate_answer(const struct ctlsock_server *server,
			    struct client *c)
{
	struct question q = { .server = server, .command = c->command };

	c->answer = memout_allocate(write_answer, &q, &c->answer_bytes);
	return c->answer != NULL;
}

/* Sends as much as the socket takes.  0: all; -EAGAIN: some is left; another
 * negative errno: the client is gone. */
static int send_some(int fd, const char *bytes, size_t n, size_t *sent)
{
	while (*sent < n) {
		ssize_t put = send(fd, bytes + *sent, n - *sent,
				   MSG_DONTWAIT | MSG_NOSIGNAL);

		if (put >= 0)
			*sent += (size_t)put;
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* The socket usually takes the whole buffer.  A rest is copied, because the
 * next client needs the buffer. */
static int send_from_buffer(const struct ctlsock_server *server,
			    struct client *c)
{
	size_t bytes = fill_buffer(server, c->command);
	size_t sent = 0;
	int rc = send_some(c->fd, server->buffer, bytes, &sent);

	if (rc != -EAGAIN)
		return rc;
	c->answer = malloc(bytes - sent);
	if (!c->answer)
		return -ENOMEM;
	c->answer_bytes = bytes - sent;
	memcpy(c->answer, server->buffer + sent, c->answer_bytes);
	return -EAGAIN;
}

static int begin_answer(const struct ctlsock_server *server, struct client *c)
{
	c->deadline_ns = clock_now_ns() + ANSWER_NS;
	if (server->buffer)
		return send_from_buffer(server, c);
	if (!allocate_answer(server, c))
		return -ENOMEM;
	return send_some(c->fd, c->answer, c->answer_bytes, &c->sent_bytes);
}

/* --- a client --- */

/* Receives what is there.  0: the command is complete; -EAGAIN: not yet;
 * another negative errno: it never will be. */
static int recv_command(struct client *c)
{
	while (c->command_bytes < sizeof c->command) {
		char *at = c->command + c->command_bytes;
		ssize_t n =
			recv(c->fd, at, sizeof c->command - c->command_bytes,
			     MSG_DONTWAIT);
		char *end;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ECONNRESET;
		c->command_bytes += (size_t)n;
		end = memchr(at, '\n', (size_t)n);
		if (!end)
			continue;
		*end = '\0';
		/* a NUL inside would hide the rest of the command */
		return strlen(c->command) == (size_t)(end - c->command)
			       ? 0
			       : -EPROTO;
	}
	return -EMSGSIZE;
}

static void serve_client(struct serving *s, struct client *c)
{
	int rc;

	if (c->answer) {
		rc = send_some(c->fd, c->answer, c->answer_bytes,
			       &c->sent_bytes);
	} else {
		rc = recv_command(c);
		if (!rc)
			rc = begin_answer(s->server, c);
	}
	if (rc != -EAGAIN)
		drop(s, c);
}

/* --- new clients --- */

/* The client that has been silent for longest, or NULL. */
static struct client *most_silent(struct serving *s)
{
	struct client *found = NULL;

	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &s->clients[i];

		if (c->fd >= 0 && !c->answer &&
		    (!found || c->since_ns < found->since_ns))
			found = c;
	}
	return found;
}

static struct client *free_place(struct serving *s)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (s->clients[i].fd < 0)
			return &s->clients[i];
	}
	return NULL;
}

static bool short_of_files(int err)
{
	return err == EMFILE || err == ENFILE || err == ENOBUFS ||
	       err == ENOMEM;
}

static int accept_one(const struct serving *s)
{
	return accept4(s->server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
}

/* Gives up the reserve first, and then the client that has been silent for
 * longest. */
static int accept_with_reserve(struct serving *s)
{
	int fd = accept_one(s);

	if (fd < 0 && short_of_files(errno) && s->reserve_fd >= 0) {
		close(s->reserve_fd);
		s->reserve_fd = -1;
		fd = accept_one(s);
	}
	if (fd < 0 && short_of_files(errno) && most_silent(s)) {
		int reserve_fd;

		drop(s, most_silent(s));
		/* drop made its descriptor the reserve */
		reserve_fd = s->reserve_fd;
		s->reserve_fd = -1;
		if (reserve_fd >= 0)
			close(reserve_fd);
		fd = accept_one(s);
	}
	return fd;
}

static void take_client(struct serving *s)
{
	struct client *c = free_place(s);
	int fd;

	if (!c && most_silent(s)) {
		drop(s, most_silent(s));
		c = free_place(s);
	}
	fd = c ? accept_with_reserve(s) : -1;
	if (fd >= 0) {
		*c = (struct client){ .fd = fd,
				      .since_ns = clock_now_ns(),
				      .deadline_ns =
					      clock_now_ns() + COMMAND_NS };
		return;
	}
	/* All clients are taking their answers, or there is no descriptor. */
	if (!c || short_of_files(errno)) {
		take_reserve(s);
		s->paused_until_ns = clock_now_ns() + PAUSE_NS;
	}
}

/* --- the loop --- */

/* The descriptors that poll waits for.  Only open descriptors: poll refuses
 * more entries than RLIMIT_NOFILE, and counts those without a descriptor too.
 */
struct waiting {
	struct pollfd fds[2 + CLIENTS_MAX]; /* stop, listen, clients */
	struct client *clients[CLIENTS_MAX];
	unsigned n_clients;
	uint64_t until_ns;
};

static void fill_waiting(struct serving *s, struct waiting *w)
{
	bool paused = s->paused_until_ns != 0;

	w->fds[0] =
		(struct pollfd){ .fd = s->server->stop_fd, .events = POLLIN };
	w->fds[1] = (struct pollfd){ .fd = paused ? -1 : s->server->listen_fd,
				     .events = POLLIN };
	w->n_clients = 0;
	w->until_ns = paused ? s->paused_until_ns : clock_now_ns() + LONG_NS;
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = &s->clients[i];
		short events = c->answer ? POLLOUT : POLLIN;

		if (c->fd < 0)
			continue;
		w->fds[2 + w->n_clients] =
			(struct pollfd){ .fd = c->fd, .events = events };
		w->clients[w->n_clients++] = c;
		if (c->deadline_ns < w->until_ns)
			w->until_ns = c->deadline_ns;
	}
}

static void wait_ready(struct waiting *w)
{
	unsigned n = 2 + w->n_clients;
	int rc = net_poll(w->fds, n, w->until_ns);

	/* then poll has not set revents */
	for (unsigned i = 0; rc && i < n; i++)
		w->fds[i].revents = 0;
	if (rc && rc != -ETIMEDOUT)
		clock_sleep_ns(PAUSE_NS); /* and not again at once */
}

static void serve_ready(struct serving *s, const struct waiting *w)
{
	for (unsigned i = 0; i < w->n_clients; i++) {
		struct client *c = w->clients[i];

		if (w->fds[2 + i].revents)
			serve_client(s, c);
		else if (!clock_left_ns(c->deadline_ns))
			drop(s, c);
	}
	if (s->paused_until_ns && !clock_left_ns(s->paused_until_ns))
		s->paused_until_ns = 0;
	if (w->fds[1].revents)
		take_client(s);
}

void ctlsock_serve(const struct ctlsock_server *server)
{
	struct serving s = { .server = server, .reserve_fd = -1 };
	struct waiting w;

	for (size_t i = 0; i < CLIENTS_MAX; i++)
		s.clients[i].fd = -1;
	take_reserve(&s);
	for (;;) {
		fill_waiting(&s, &w);
		wait_ready(&w);
		if (w.fds[0].revents)
			break;
		serve_ready(&s, &w);
	}
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (s.clients[i].fd >= 0)
			drop(&s, &s.clients[i]);
	}
	if (s.reserve_fd >= 0)
		close(s.reserve_fd);
}
