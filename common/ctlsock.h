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

#include "reason.h"

#define CTLSOCK_COMMAND_MAX 64

/* Client: sends COMMAND to the socket at PATH and reads the whole answer, at
 * most SIZE - 1 bytes, into ANSWER, NUL-terminated.  0 or a negative errno. */
int ctlsock_ask(const char *path, const char *command, char *answer,
		size_t size, uint64_t deadline_ns, struct reason *why);

/* Server: takes one connection from LISTEN_FD, reads its command, and sends
 * what ANSWER writes to OUT (which returns false for a command it does not
 * know).  Bounded by DEADLINE_NS; a client that misbehaves is dropped. */
typedef bool ctlsock_answer(const char *command, FILE *out, void *arg);
void ctlsock_serve_one(int listen_fd, ctlsock_answer *answer, void *arg,
		       uint64_t deadline_ns);

/* Client: the value of KEY in an answer, or NULL.  VALUE (SIZE bytes) takes a
 * copy. */
const char *ctlsock_value(const char *answer, const char *key, char *value,
			  size_t size);

#endif
