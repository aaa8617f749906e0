/* The frames of a TCP link: requests, replies, and the bytes of slabs. */
#include "tcp_link.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "output/output.h"

#define REQUEST_BYTES sizeof(struct wire_data_request)

/* --- replies --- */

static struct reply *queue_reply(struct tcp_link *l, uint64_t cookie,
				 uint32_t status, uint32_t payload_bytes)
{
	struct reply *r = &l->replies[(l->first + l->queued++) % REPLIES];

	r->frame = (struct wire_data_reply){
		.magic = WIRE_REPLY_MAGIC,
		.status = status,
		.bytes = payload_bytes,
		.cookie = cookie,
	};
	r->slab = NULL;
	r->payload = NULL;
	r->payload_bytes = payload_bytes;
	return r;
}

static void unqueue_reply(struct tcp_link *l)
{
	struct reply *r = &l->replies[l->first];

	if (r->slab)
		slab_drop(r->slab);
	r->slab = NULL;
	l->first = (l->first + 1) % REPLIES;
	l->queued--;
	l->sent = 0;
}

/* The queued replies, without the bytes of the first that were sent. */
static unsigned gather(struct tcp_link *l, struct iovec *iov)
{
	unsigned n = 0;
	size_t skip = l->sent;

	for (unsigned i = 0; i < l->queued; i++) {
		struct reply *r = &l->replies[(l->first + i) % REPLIES];

		if (skip < REPLY_BYTES)
			iov[n++] = (struct iovec){ (uint8_t *)&r->frame + skip,
						   REPLY_BYTES - skip };
		skip -= skip < REPLY_BYTES ? skip : REPLY_BYTES;
		if (r->payload_bytes > skip)
			iov[n++] = (struct iovec){ r->payload + skip,
						   r->payload_bytes - skip };
		skip = 0;
	}
	return n;
}

/* The socket took BYTES more of the queued replies. */
static void sent(struct tcp_link *l, size_t bytes)
{
	l->sent += bytes;
	while (l->queued) {
		size_t length =
			REPLY_BYTES + l->replies[l->first].payload_bytes;
		size_t beyond = l->sent - length;

		if (l->sent < length)
			break;
		unqueue_reply(l);
		l->sent = beyond;
	}
}

size_t tcp_flush(struct tcp_link *l)
{
	struct iovec iov[2 * REPLIES];
	size_t total = 0;

	while (l->queued && total < TURN_BYTES) {
		struct msghdr message = { .msg_iov = iov,
					  .msg_iovlen = gather(l, iov) };
		ssize_t put =
			sendmsg(l->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (put < 0) {
			if (errno == EINTR)
				continue;
			l->dead = errno != EAGAIN;
			break;
		}
		total += (size_t)put;
		sent(l, (size_t)put);
	}
	return total;
}

/* --- requests --- */

/* Queues the last reply.  What the client sent after the request is thrown
 * away. */
__attribute__((format(printf, 4, 5))) static void fail(struct tcp_link *l,
						       uint64_t cookie,
						       uint32_t status,
						       const char *format, ...)
{
	char text[160];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	output_peer(&l->peer, "session %u, lane %u: %s; connection closed",
		    l->owner, l->number, text);
	counter_add(&l->loop->counters.errors, 1);
	queue_reply(l, cookie, status, 0);
	l->state = LEAVING;
	ev_timer_start(l->loop->ev, &l->leave_limit);
}

static void finish_write(struct tcp_link *l)
{
	struct data_counters *counters = &l->loop->counters;

	slab_drop(l->write_slab);
	l->write_slab = NULL;
	queue_reply(l, l->write_cookie, 0, 0);
	counter_add(&counters->writes, 1);
	counter_add(&counters->write_bytes, l->write_bytes);
}

static void start_write(struct tcp_link *l, struct slab *slab,
			const struct wire_data_request *request)
{
	l->write_slab = slab;
	l->write_at = slab->memory + request->offset;
	l->write_left = l->write_bytes = request->bytes;
	l->write_cookie = request->cookie;
}

static void start_read(struct tcp_link *l, struct slab *slab,
		       const struct wire_data_request *request)
{
	struct data_counters *counters = &l->loop->counters;
	struct reply *r = queue_reply(l, request->cookie, 0, request->bytes);

	r->slab = slab;
	r->payload = slab->memory + request->offset;
	counter_add(&counters->reads, 1);
	counter_add(&counters->read_bytes, request->bytes);
}

static void start_request(struct tcp_link *l, const uint8_t *frame)
{
	struct wire_data_request request;
	enum wire_verdict verdict = wire_decode_request(frame, &request);
	struct slab *slab;

	if (verdict != WIRE_OK) {
		fail(l, 0, WIRE_E_PROTOCOL, "%s", wire_verdict_text(verdict));
		return;
	}
	slab = slab_hold(l->pool, request.slab, l->owner);
	if (!slab) {
		fail(l, request.cookie, WIRE_E_NO_SLAB,
		     "slab %u is not this session's", request.slab);
		return;
	}
	if (request.bytes > l->pool->slab_bytes ||
	    request.offset > l->pool->slab_bytes - request.bytes) {
		slab_drop(slab);
		fail(l, request.cookie, WIRE_E_PROTOCOL,
		     "a range beyond the end of slab %u", request.slab);
		return;
	}
	if (request.op == WIRE_READ)
		start_read(l, slab, &request);
	else
		start_write(l, slab, &request);
}

/* Copies the bytes of the WRITE under way from the input buffer. */
static void fill_write(struct tcp_link *l)
{
	uint32_t n = l->in_end - l->in_at;

	if (n > l->write_left)
		n = l->write_left;
	memcpy(l->write_at, l->in + l->in_at, n);
	l->in_at += n;
	l->write_at += n;
	l->write_left -= n;
}

bool tcp_serve_input(struct tcp_link *l)
{
	while (l->state == RUNNING && l->queued < REPLIES) {
		if (l->write_slab) {
			fill_write(l);
			if (l->write_left)
				return false;
			finish_write(l);
		} else if (l->in_end - l->in_at >= REQUEST_BYTES) {
			const uint8_t *frame = l->in + l->in_at;

			l->in_at += REQUEST_BYTES;
			start_request(l, frame);
		} else {
			return false;
		}
	}
	return l->state == RUNNING;
}

/* --- receiving --- */

/* Lists where the next bytes go: the rest of a WRITE's payload to its slab,
 * then to the input buffer.  Returns the number of bytes. */
static size_t scatter(struct tcp_link *l, struct iovec iov[2], int *n)
{
	uint32_t rest = l->in_end - l->in_at;
	size_t want = 0;

	if (l->in_at) /* less than a request is left */
		memmove(l->in, l->in + l->in_at, rest);
	l->in_at = 0;
	l->in_end = rest;
	*n = 0;
	if (l->write_slab) {
		iov[(*n)++] = (struct iovec){ l->write_at, l->write_left };
		want += l->write_left;
	}
	iov[(*n)++] = (struct iovec){ l->in + rest, IN_BYTES - rest };
	return want + IN_BYTES - rest;
}

static void received(struct tcp_link *l, size_t bytes)
{
	if (l->write_slab) {
		uint32_t n =
			bytes < l->write_left ? (uint32_t)bytes : l->write_left;

		l->write_at += n;
		l->write_left -= n;
		bytes -= n;
	}
	l->in_end += (uint32_t)bytes;
}

size_t tcp_receive(struct tcp_link *l, bool *drained)
{
	struct iovec iov[2];
	int n;
	size_t want = scatter(l, iov, &n);
	ssize_t got = readv(l->fd, iov, n);

	*drained = got < (ssize_t)want;
	if (got > 0) {
		received(l, (size_t)got);
		return (size_t)got;
	}
	l->dead = got == 0 || (errno != EAGAIN && errno != EINTR);
	return 0;
}

void tcp_discard_input(struct tcp_link *l)
{
	ssize_t got = recv(l->fd, l->in, IN_BYTES, MSG_DONTWAIT);

	l->dead = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

/* --- the slabs that a link holds --- */

void tcp_drop_all(struct tcp_link *l)
{
	if (l->write_slab)
		slab_drop(l->write_slab);
	l->write_slab = NULL;
	while (l->queued)
		unqueue_reply(l);
}

bool tcp_holds_freed(const struct tcp_link *l, uint64_t before_ns)
{
	for (unsigned i = 0; i < l->queued; i++) {
		const struct slab *slab =
			l->replies[(l->first + i) % REPLIES].slab;

		if (slab && slab_freed_before(slab, l->owner, before_ns))
			return true;
	}
	return l->write_slab &&
	       slab_freed_before(l->write_slab, l->owner, before_ns);
}
