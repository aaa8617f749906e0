/* The control socket: a Unix stream socket on which a running plugin or memory
 * server tells how it is.  A client sends one line, a command, and reads lines
 * "key value" until the end of the stream.  An unknown command gets one line
 * "error ...".  `rswapctl status` is the usual client; `socat` does as well.
 */
#ifndef RSWAP_CTLSOCK_H
#define RSWAP_CTLSOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "error.h"

#define CTLSOCK_COMMAND_MAX 64

/* Client: sends COMMAND to the socket at PATH and reads the whole answer, at
 * most SIZE - 1 bytes, into ANSWER, NUL-terminated.  0 or a negative errno. */
int ctlsock_ask(const char *path, const char *command, char *answer,
		size_t size, uint64_t deadline_ns, struct error *why);

/* Server.  Writes the answer to OUT, or returns false for a command that it
 * does not know.  The serving thread. */
typedef bool ctlsock_answer(const char *command, FILE *out, void *arg);

struct ctlsock_server {
	int listen_fd; /* non-blocking, as net_listen_unix makes it */
	int stop_fd;   /* an eventfd: serving ends when it is readable */
	ctlsock_answer *answer;
	void *arg;
	/* Where an answer is put together, for a program whose heap must not
	 * grow for a client's sake: what does not fit is left out, and the line
	 * "truncated yes" says so.  NULL: the answer is allocated, however long
	 * it is. */
	char *buffer;
	size_t buffer_bytes;
};

/* Serves many clients at a time until stop_fd is readable.  A client that says
 * nothing, or does not read its answer, holds up no other client; it is dropped
 * after a few seconds, or as soon as its place is needed.  One descriptor is
 * kept in reserve, so that a client is answered where the process has no other
 * left.  Closes neither descriptor of SERVER. */
void ctlsock_serve(const struct ctlsock_server *server);

/* Client: the value of KEY in an answer, or NULL.  VALUE (SIZE bytes) takes a
 * copy. */
const char *ctlsock_value(const char *answer, const char *key, char *value,
			  size_t size);

#endif
