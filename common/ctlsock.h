/* The control socket: a Unix stream socket on which a running plugin or memory
 * server reports its status.  A client sends one line, a command, and reads the
 * answer until the end of the stream: one JSON object and a newline.  If
 * something is wrong with the command, the object has the member "error", and
 * no other.  `rswapctl status` is the usual client; `socat` works as well. */
#ifndef RSWAP_CTLSOCK_H
#define RSWAP_CTLSOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "error.h"

#define CTLSOCK_COMMAND_MAX 64
#define CTLSOCK_BUFFER_MIN  128

/* An answer that is an error. */
void ctlsock_error(FILE *out, const char *text);

/* Client: sends COMMAND to the socket at PATH and reads the whole answer, at
 * most SIZE - 1 bytes, into ANSWER, NUL-terminated.  0 or a negative errno. */
int ctlsock_ask(const char *path, const char *command, char *answer,
		size_t size, uint64_t deadline_ns, struct error *why);

/* Server.  Writes the answer to OUT, the whole object and the newline; false
 * for an unknown command.  The serving thread calls it. */
typedef bool ctlsock_answer(const char *command, FILE *out, void *arg);

struct ctlsock_server {
	int listen_fd; /* non-blocking, as net_listen_unix makes it */
	int stop_fd;   /* an eventfd: serving ends when it is readable */
	ctlsock_answer *answer;
	void *arg;
	/* The buffer for an answer, in a program whose heap must not grow for a
	 * client.  It has at least CTLSOCK_BUFFER_MIN bytes.  Instead of an
	 * answer that does not fit the client gets an error.  NULL: the answer
	 * is allocated, whatever its length. */
	char *buffer;
	size_t buffer_bytes;
};

/* Serves many clients at a time until stop_fd is readable.  A client that sends
 * nothing, or does not read its answer, delays no other client.  It is dropped
 * after a few seconds, or as soon as its place is needed.  One descriptor is
 * kept in reserve, so that a client gets its answer even if the process has no
 * other left.  Leaves both descriptors of SERVER open. */
void ctlsock_serve(const struct ctlsock_server *server);

#endif
