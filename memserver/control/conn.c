#include "conn.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "loops/container.h"

/* A peer has this long to read the last message. */
#define LEAVE_S 1.0

/* So many messages of a connection are taken in one turn of the main loop.  A
 * record of TLS has room for some hundred. */
#define TURN_MESSAGES 32

static const char lost[] = "the connection is lost";

static void watch(struct conn *c, int events)
{
	if (ev_is_active(&c->io) &&
	    (c->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(c->loop, &c->io);
	ev_io_set(&c->io, c->stream.fd, events);
	ev_io_start(c->loop, &c->io);
}

static void set_events(struct conn *c)
{
	watch(c, c->out_bytes ? EV_READ | EV_WRITE : EV_READ);
}

void conn_limit(struct conn *c, double seconds)
{
	ev_timer_stop(c->loop, &c->timer);
	if (seconds < 0)
		return;
	ev_timer_set(&c->timer, seconds, 0.);
	ev_timer_start(c->loop, &c->timer);
}

/* The timer's callback ends the connection. */
void conn_cut(struct conn *c, const char *why)
{
	if (c->broken)
		return;
	c->broken = why;
	ev_io_stop(c->loop, &c->io);
	ev_timer_stop(c->loop, &c->again);
	conn_limit(c, 0.);
}

/* --- sending --- */

/* The peer is gone, and may have said BYE before.  So the bytes that have
 * arrived are still received.  The end of the stream ends the connection. */
static void stop_sending(struct conn *c)
{
	c->unheard = true;
	c->out_bytes = 0;
	shutdown(c->stream.fd, SHUT_RDWR);
	set_events(c);
}

static void flush(struct conn *c)
{
	ssize_t put = 1;

	while (c->out_bytes && put > 0) {
		put = stream_write(&c->stream, c->out, c->out_bytes);
		if (put > 0) {
			c->out_bytes -= (size_t)put;
			memmove(c->out, c->out + put, c->out_bytes);
		}
	}
	if (put < 0 && put != -EAGAIN) {
		stop_sending(c);
		return;
	}
	/* The peer sees the end after the last message.  The socket stays
	 * until the peer closes too, so that no reset overtakes it. */
	if (!c->out_bytes && c->leaving)
		stream_end_writing(&c->stream);
	set_events(c);
}

bool conn_send(struct conn *c, const struct wire_message *m)
{
	if (c->broken || c->leaving || c->unheard)
		return true;
	if (CONN_OUT_BYTES - c->out_bytes < WIRE_MESSAGE_MAX) {
		conn_cut(c, "it does not read its replies");
		return false;
	}
	c->out_bytes += wire_encode(m, c->out + c->out_bytes);
	flush(c);
	return true;
}

/* There is no TLS yet, or it failed: what still comes is thrown away. */
static void drop_tls(struct conn *c)
{
	tls_close(c->stream.tls);
	c->stream.tls = NULL;
	c->phase = CONN_MESSAGES;
}

void conn_leave(struct conn *c)
{
	if (c->broken || c->leaving)
		return;
	c->leaving = true;
	if (c->phase == CONN_HANDSHAKE)
		drop_tls(c);
	conn_limit(c, LEAVE_S);
	if (!c->unheard)
		flush(c);
}

/* --- receiving --- */

/* How many bytes the current message still needs. */
static size_t message_lacks(const struct conn *c)
{
	struct wire_header h;

	if (c->in_bytes < sizeof h)
		return sizeof h - c->in_bytes;
	wire_decode_header(c->in, &h); /* take_message found it valid */
	return sizeof h + h.body_bytes - c->in_bytes;
}

enum take {
	TAKEN,
	NOTHING, /* no whole message, or none any more */
	GONE,	 /* the owner has detached the connection */
};

/* Takes one message from the front of the input. */
static enum take take_message(struct conn *c)
{
	struct wire_header h;
	struct wire_message m;
	enum wire_verdict verdict;
	size_t length;

	if (c->broken || c->leaving || c->in_bytes < sizeof h)
		return NOTHING;
	verdict = wire_decode_header(c->in, &h);
	length = sizeof h + h.body_bytes;
	if (verdict == WIRE_OK && c->in_bytes < length)
		return NOTHING;
	if (verdict == WIRE_OK)
		verdict = wire_decode_body(&h, c->in + sizeof h, &m);
	if (verdict != WIRE_OK) {
		c->ops->garbage(c, verdict,
				verdict == WIRE_BAD_MAGIC ? 0 : h.cookie);
		return NOTHING;
	}
	c->in_bytes -= length;
	memmove(c->in, c->in + length, c->in_bytes);
	return c->ops->message(c, &m) ? TAKEN : GONE;
}

static void end(struct conn *c, ssize_t got)
{
	c->ops->ended(c, !got		   ? "client closed the connection"
			 : got == -EBADMSG ? "a TLS record does not "
					     "authenticate"
					   : lost);
}

/* Receives once.  False when nothing came; C may be gone then. */
static bool receive(struct conn *c)
{
	size_t want = sizeof c->in - c->in_bytes;
	ssize_t got;

	if (c->leaving) {
		c->in_bytes = 0;
		want = sizeof c->in;
	} else if (c->whole_messages) {
		want = message_lacks(c);
	}
	got = stream_read(&c->stream, c->in + c->in_bytes, want);
	if (got > 0)
		c->in_bytes += (size_t)got;
	else if (got != -EAGAIN)
		end(c, got);
	return got > 0;
}

/* Takes what has come, up to MOST messages.  TAKEN: there may be more. */
static enum take take_messages(struct conn *c, unsigned *most)
{
	enum take took;

	do {
		took = take_message(c);
	} while (took == TAKEN && --*most);
	return took;
}

/* Takes what has come, and what is left of a TLS record, which poll does not
 * show.  The rest has to wait for the next turn.  C may be gone afterwards. */
static void take_turn(struct conn *c)
{
	unsigned most = TURN_MESSAGES;
	enum take took = take_messages(c, &most);

	while (took == NOTHING && !c->broken && stream_pending(&c->stream)) {
		if (!receive(c))
			return;
		took = take_messages(c, &most);
	}
	if (took == TAKEN && !c->broken)
		ev_timer_start(c->loop, &c->again);
}

static void again_cb(struct ev_loop *loop, ev_timer *watcher, int events)
{
	(void)loop;
	(void)events;
	take_turn(container_of(watcher, struct conn, again));
}

/* Looks at the first byte, and leaves it where it is. */
static void hear(struct conn *c)
{
	uint8_t first;
	ssize_t got = recv(c->stream.fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	c->phase = CONN_MESSAGES;
	if (got == 1 && first == TLS_FIRST_BYTE)
		c->ops->tls(c);
}

/* --- the handshake --- */

bool conn_start_tls(struct conn *c, const struct tls_context *tls)
{
	struct error ignored;

	c->stream.tls = tls_open(tls, c->stream.fd, &ignored);
	if (!c->stream.tls)
		return false;
	c->phase = CONN_HANDSHAKE;
	return true;
}

bool conn_shake(struct conn *c)
{
	struct error why;
	int rc;

	if (c->broken || c->leaving)
		return true;
	rc = tls_handshake(c->stream.tls, &why);
	if (rc == -EAGAIN) {
		watch(c, tls_events(c->stream.tls) == POLLOUT ? EV_WRITE
							      : EV_READ);
		return true;
	}
	if (!rc) {
		c->phase = CONN_MESSAGES;
		set_events(c);
		return true;
	}
	if (rc == -EPROTO)
		c->ops->unproved(c, why.text);
	else
		c->ops->ended(c, lost);
	return rc == -EPROTO;
}

bool conn_is_answered(const struct conn *c)
{
	return c->phase == CONN_HANDSHAKE && tls_is_answered(c->stream.tls);
}

bool conn_is_proved(const struct conn *c)
{
	return c->stream.tls && c->phase == CONN_MESSAGES;
}

const char *conn_identity(const struct conn *c)
{
	return c->stream.tls ? tls_identity(c->stream.tls) : "";
}

static void io_cb(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct conn *c = container_of(watcher, struct conn, io);

	(void)loop;
	if (c->phase == CONN_SILENT)
		hear(c);
	if (c->phase == CONN_HANDSHAKE) {
		ev_io_stop(c->loop, &c->io);
		c->ops->shake(c);
		return;
	}
	if (events & EV_WRITE)
		flush(c);
	if (events & EV_READ && !c->broken && receive(c))
		take_turn(c);
}

static void timer_cb(struct ev_loop *loop, ev_timer *watcher, int events)
{
	struct conn *c = container_of(watcher, struct conn, timer);
	const char *why = c->broken;

	(void)loop;
	(void)events;
	if (!why)
		why = c->leaving ? "the server closed it" : c->ops->timeout(c);
	c->ops->ended(c, why);
}

/* --- beginning and end --- */

void conn_open(struct conn *c, struct ev_loop *loop, int fd,
	       const struct conn_ops *ops)
{
	c->ops = ops;
	c->loop = loop;
	c->stream = stream_plain(fd);
	c->whole_messages = true;
	ev_io_init(&c->io, io_cb, fd, EV_READ);
	ev_init(&c->timer, timer_cb);
	ev_timer_init(&c->again, again_cb, 0., 0.);
	ev_io_start(loop, &c->io);
}

int conn_detach(struct conn *c)
{
	ev_io_stop(c->loop, &c->io);
	ev_timer_stop(c->loop, &c->timer);
	ev_timer_stop(c->loop, &c->again);
	return stream_detach(&c->stream);
}
