#include "stream.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "net.h"

/* --- without waiting --- */

static ssize_t moved(ssize_t n)
{
	if (n >= 0)
		return n;
	return errno == EINTR ? -EAGAIN : -errno;
}

ssize_t stream_read(struct stream *stream, void *buf, size_t bytes)
{
	if (stream->tls)
		return tls_read(stream->tls, buf, bytes);
	return moved(recv(stream->fd, buf, bytes, MSG_DONTWAIT));
}

ssize_t stream_write(struct stream *stream, const void *buf, size_t bytes)
{
	if (stream->tls)
		return tls_write(stream->tls, buf, bytes);
	return moved(send(stream->fd, buf, bytes, MSG_DONTWAIT | MSG_NOSIGNAL));
}

bool stream_pending(const struct stream *stream)
{
	return stream->tls && tls_pending(stream->tls);
}

void stream_end_writing(struct stream *stream)
{
	if (stream->tls)
		tls_end_writing(stream->tls);
	shutdown(stream->fd, SHUT_WR);
}

int stream_detach(struct stream *stream)
{
	int fd = stream->fd;

	tls_close(stream->tls);
	*stream = stream_plain(-1);
	return fd;
}

void stream_close(struct stream *stream)
{
	int fd = stream_detach(stream);

	if (fd >= 0)
		close(fd);
}

/* --- with deadlines --- */

/* What tls_read or tls_write returned: 0 where bytes were moved, or where the
 * same call can move some now; or a negative errno. */
static int go_on(const struct stream *stream, ssize_t moved_bytes,
		 uint64_t deadline_ns)
{
	if (moved_bytes != -EAGAIN)
		return moved_bytes < 0 ? (int)moved_bytes : 0;
	/* There may always be a record that moves nothing. */
	if (!clock_left_ns(deadline_ns))
		return -ETIMEDOUT;
	return net_wait(stream->fd, tls_events(stream->tls), deadline_ns);
}

int stream_secure(struct stream *stream, const struct tls_context *context,
		  uint64_t deadline_ns, struct error *why)
{
	int rc;

	if (!context)
		return 0;
	stream->tls = tls_open(context, stream->fd, why);
	if (!stream->tls)
		return -ENOMEM;
	while ((rc = tls_handshake(stream->tls, why)) == -EAGAIN) {
		rc = go_on(stream, -EAGAIN, deadline_ns);
		if (rc) {
			error_set(why, "in the TLS handshake: %s",
				  strerror(-rc));
			break;
		}
	}
	return rc;
}

int stream_send_all(struct stream *stream, const void *buf, size_t bytes,
		    uint64_t deadline_ns)
{
	const char *p = buf;

	if (!stream->tls)
		return net_send_all(stream->fd, buf, bytes, deadline_ns);
	while (bytes > 0) {
		ssize_t n = tls_write(stream->tls, p, bytes);
		int rc = go_on(stream, n, deadline_ns);

		if (rc)
			return rc;
		if (n > 0) {
			p += n;
			bytes -= (size_t)n;
		}
	}
	return 0;
}

int stream_recv_all(struct stream *stream, void *buf, size_t bytes,
		    uint64_t deadline_ns)
{
	char *p = buf;

	if (!stream->tls)
		return net_recv_all(stream->fd, buf, bytes, deadline_ns);
	while (bytes > 0) {
		ssize_t n = tls_read(stream->tls, p, bytes);
		int rc = n ? go_on(stream, n, deadline_ns) : -ECONNRESET;

		if (rc)
			return rc;
		if (n > 0) {
			p += n;
			bytes -= (size_t)n;
		}
	}
	return 0;
}
