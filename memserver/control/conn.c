#include "conn.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "loops/container.h"

/* A peer has this long to read the last message. */
#define LEAVE_S 1.0

static const char lost[] = "the connection is lost";

static void set_events(struct conn *c)
{
	int events = c->out_bytes ? EV_READ | EV_WRITE : EV_READ;

	if ((c->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(c->loop, &c->io);
	ev_io_set(&c->io, c->fd, events);
	ev_io_start(c->loop, &c->io);
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
	conn_limit(c, 0.);
}

/* --- sending --- */

/* The peer is gone, and may have said BYE before.  So the bytes that have
 * arrived are still received.  The end of the stream ends the connection. */
static void stop_sending(struct conn *c)
{
	c->unheard = true;
	c->out_bytes = 0;
	shutdown(c->fd, SHUT_RDWR);
	set_events(c);
}

static void flush(struct conn *c)
{
	ssize_t put =
		send(c->fd, c->out, c->out_bytes, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (put < 0 && errno != EAGAIN && errno != EINTR) {
		stop_sending(c);
		return;
	}
	if (put > 0) {
		c->out_bytes -= (size_t)put;
		memmove(c->out, c->out + put, c->out_bytes);
	}
	/* The peer sees the end after the last message.  The socket stays
	 * until the peer closes too, so that no reset overtakes it. */
	if (!c->out_bytes && c->leaving)
		shutdown(c->fd, SHUT_WR);
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

void conn_leave(struct conn *c)
{
	if (c->broken || c->leaving)
		return;
	c->leaving = true;
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

/* Takes one message from the front of the input.  False when there is no more
 * to take; C may be gone then. */
static bool take_message(struct conn *c)
{
	struct wire_header h;
	struct wire_message m;
	enum wire_verdict verdict;
	size_t length;

	if (c->broken || c->leaving || c->in_bytes < sizeof h)
		return false;
	verdict = wire_decode_header(c->in, &h);
	length = sizeof h + h.body_bytes;
	if (verdict == WIRE_OK && c->in_bytes < length)
		return false;
	if (verdict == WIRE_OK)
		verdict = wire_decode_body(&h, c->in + sizeof h, &m);
	if (verdict != WIRE_OK) {
		c->ops->garbage(c, verdict,
				verdict == WIRE_BAD_MAGIC ? 0 : h.cookie);
		return false;
	}
	c->in_bytes -= length;
	memmove(c->in, c->in + length, c->in_bytes);
	return c->ops->message(c, &m);
}

/* C may be gone afterwards. */
static void receive(struct conn *c)
{
	size_t want = sizeof c->in - c->in_bytes;
	ssize_t got;

	if (c->leaving) {
		c->in_bytes = 0;
		want = sizeof c->in;
	} else if (c->whole_messages) {
		want = message_lacks(c);
	}
	got = recv(c->fd, c->in + c->in_bytes, want, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got < 0) {
		c->ops->ended(c, lost);
	} else if (got == 0) {
		c->ops->ended(c, "client closed the connection");
	} else {
		c->in_bytes += (size_t)got;
		while (take_message(c))
			;
	}
}

static void io_cb(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct conn *c = container_of(watcher, struct conn, io);

	(void)loop;
	if (events & EV_WRITE)
		flush(c);
	if (events & EV_READ && !c->broken)
		receive(c);
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
	c->fd = fd;
	c->whole_messages = true;
	ev_io_init(&c->io, io_cb, fd, EV_READ);
	ev_init(&c->timer, timer_cb);
	ev_io_start(loop, &c->io);
}

int conn_detach(struct conn *c)
{
	ev_io_stop(c->loop, &c->io);
	ev_timer_stop(c->loop, &c->timer);
	return c->fd;
}
