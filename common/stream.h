/* The bytes of a control connection: a socket, plain or with TLS.  Above this
 * file nobody asks which.
 *
 * Any thread, one at a time for a stream; closing the read side of the socket
 * (shutdown) by another thread ends a wait. */
#ifndef RSWAP_STREAM_H
#define RSWAP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "error.h"
#include "tls.h"

struct stream {
	int fd;		 /* -1: closed */
	struct tls *tls; /* NULL: plain */
};

/* A stream on a connected socket, which the stream owns from here on. */
static inline struct stream stream_plain(int fd)
{
	return (struct stream){ .fd = fd };
}

/* --- without waiting --- */

/* How many bytes were moved; reading 0 is the end.  -EAGAIN: not now; any other
 * negative errno: the connection is over (-EBADMSG: a TLS record does not
 * authenticate).  A write that returned -EAGAIN is repeated with the same
 * bytes, and maybe more behind them. */
ssize_t stream_read(struct stream *stream, void *buf, size_t bytes);
ssize_t stream_write(struct stream *stream, const void *buf, size_t bytes);

/* Whether there is something to read that poll does not show. */
bool stream_pending(const struct stream *stream);

/* The other side sees the end of the stream. */
void stream_end_writing(struct stream *stream);

/* Ends the use of the stream and returns its socket, the caller's. */
int stream_detach(struct stream *stream);
void stream_close(struct stream *stream);

/* --- with deadlines: 0 or a negative errno, as in net.h --- */

/* As a client: the TLS handshake by CONTEXT; NULL: the stream stays plain. */
int stream_secure(struct stream *stream, const struct tls_context *context,
		  uint64_t deadline_ns, struct error *why);

int stream_send_all(struct stream *stream, const void *buf, size_t bytes,
		    uint64_t deadline_ns);
int stream_recv_all(struct stream *stream, void *buf, size_t bytes,
		    uint64_t deadline_ns);

#endif
