#include "tcp.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "clock.h"
#include "loops/data_loop.h"
#include "grants/held.h"
#include "output/output.h"
#include "server/server.h"
#include "session/session.h"
#include "slabs/slab.h"
#include "wire.h"

/* Small frames arrive many at a time in here; what a large WRITE has beyond it
 * goes straight from the socket to the slab. */
#define IN_BYTES (64u << 10)

/* Requests that wait for their reply to be sent.  A client with more than this
 * in flight has to read before the server reads on. */
#define REPLIES 128

/* What a lane may move before the others of its thread get their turn, and how
 * often it may receive and reply, up to REPLIES requests each time: small
 * requests move few bytes. */
#define TURN_BYTES  (4u << 20)
#define TURN_ROUNDS 32

/* A client that is shown out has this long to read why. */
#define LEAVE_S 1.0

#define REQUEST_BYTES sizeof(struct wire_data_request)
#define REPLY_BYTES   sizeof(struct wire_data_reply)

struct reply {
	struct wire_data_reply frame;
	struct slab *slab; /* held while its bytes are being sent, or NULL */
	uint8_t *payload;
	uint32_t payload_bytes;
};

enum tcp_state {
	RUNNING,
	LEAVING, /* what is queued is sent, nothing more is done */
};

/* The first group is the main loop's until the lane is handed over and again
 * after it has gone; the two flags are both's. */
struct tcp_lane {
	struct lane lane;
	struct data_loop *loop;
	struct mail mail; /* handing over, one way and then the other */
	atomic_bool close_wanted;
	atomic_bool look_for_freed; /* what it holds: held.h */

	/* the data thread's */
	struct slab_pool *pool;
	uint32_t owner; /* the session's key */
	uint32_t number;
	struct net_text peer;
	int fd;
	ev_io io;
	ev_timer leave_limit;
	struct list link; /* in loop->lanes */
	enum tcp_state state;
	bool dead; /* the connection is of no use any more */
	bool more; /* the input buffer may have whole requests left */
	uint32_t in_at;
	uint32_t in_end;

	struct slab *write_slab; /* held while a WRITE comes in, or NULL */
	uint8_t *write_at;
	uint32_t write_left;
	uint32_t write_bytes;
	uint64_t write_cookie;

	unsigned first; /* of the queued replies */
	unsigned queued;
	size_t sent; /* bytes of the first */
	struct reply replies[REPLIES];

	uint8_t in[IN_BYTES];
};

/* --- replies --- */

static struct reply *queue_reply(struct tcp_lane *l, uint64_t cookie,
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

static void unqueue_reply(struct tcp_lane *l)
{
	struct reply *r = &l->replies[l->first];

	if (r->slab)
		slab_drop(r->slab);
	r->slab = NULL;
	l->first = (l->first + 1) % REPLIES;
	l->queued--;
	l->sent = 0;
}

/* All that is queued, less what was sent of the first. */
static unsigned gather(struct tcp_lane *l, struct iovec *iov)
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

/* BYTES more of the queued replies are on their way. */
static void sent(struct tcp_lane *l, size_t bytes)
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

/* Sends what the socket takes, or a turn's worth, and returns how much that
 * was. */
static size_t flush(struct tcp_lane *l)
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

/* The last reply; what the client sent after the request is thrown away. */
__attribute__((format(printf, 4, 5))) static void fail(struct tcp_lane *l,
						       uint64_t cookie,
						       uint32_t status,
						       const char *format, ...)
{
	char text[160];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	output_peer(&l->peer, "session %u, lane %u: %s; lane closed", l->owner,
		    l->number, text);
	counter_add(&l->loop->counters.errors, 1);
	queue_reply(l, cookie, status, 0);
	l->state = LEAVING;
	ev_timer_start(l->loop->ev, &l->leave_limit);
}

static void finish_write(struct tcp_lane *l)
{
	struct data_counters *counters = &l->loop->counters;

	slab_drop(l->write_slab);
	l->write_slab = NULL;
	queue_reply(l, l->write_cookie, 0, 0);
	counter_add(&counters->writes, 1);
	counter_add(&counters->write_bytes, l->write_bytes);
}

static void start_write(struct tcp_lane *l, struct slab *slab,
			const struct wire_data_request *request)
{
	l->write_slab = slab;
	l->write_at = slab->memory + request->offset;
	l->write_left = l->write_bytes = request->bytes;
	l->write_cookie = request->cookie;
}

static void start_read(struct tcp_lane *l, struct slab *slab,
		       const struct wire_data_request *request)
{
	struct data_counters *counters = &l->loop->counters;
	struct reply *r = queue_reply(l, request->cookie, 0, request->bytes);

	r->slab = slab;
	r->payload = slab->memory + request->offset;
	counter_add(&counters->reads, 1);
	counter_add(&counters->read_bytes, request->bytes);
}

static void start_request(struct tcp_lane *l, const uint8_t *frame)
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

/* Moves what is in the input buffer of the WRITE that comes in. */
static void fill_write(struct tcp_lane *l)
{
	uint32_t n = l->in_end - l->in_at;

	if (n > l->write_left)
		n = l->write_left;
	memcpy(l->write_at, l->in + l->in_at, n);
	l->in_at += n;
	l->write_at += n;
	l->write_left -= n;
}

/* Does what the input buffer asks for.  True when there may be more to do in
 * it, once replies have been sent. */
static bool work_off(struct tcp_lane *l)
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

/* Room for what comes, and where a WRITE's payload goes.  Returns how much
 * that is altogether. */
static size_t scatter(struct tcp_lane *l, struct iovec iov[2], int *n)
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

static void received(struct tcp_lane *l, size_t bytes)
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

/* One call's worth.  Returns how much came; *DRAINED: that was all there is.
 */
static size_t receive(struct tcp_lane *l, bool *drained)
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

/* Until the client closes too, so that no reset overtakes the last reply. */
static void throw_input_away(struct tcp_lane *l)
{
	ssize_t got = recv(l->fd, l->in, IN_BYTES, MSG_DONTWAIT);

	l->dead = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

/* --- the lane's turn --- */

static void lane_end(struct tcp_lane *l);

static void set_events(struct tcp_lane *l)
{
	int events = 0;

	if (l->queued < REPLIES)
		events |= EV_READ;
	if (l->queued || l->more)
		events |= EV_WRITE;
	if ((l->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(l->loop->ev, &l->io);
	ev_io_set(&l->io, l->fd, events);
	ev_io_start(l->loop->ev, &l->io);
}

/* What remains of a lane that was failed: sending what is queued. */
static void leave(struct tcp_lane *l)
{
	flush(l);
	if (!l->queued && !l->dead)
		shutdown(l->fd, SHUT_WR);
	if (!l->dead)
		throw_input_away(l);
	if (l->dead)
		lane_end(l);
	else
		set_events(l);
}

/* Receives, works off and replies, until there is nothing more to receive, the
 * client does not read, or it is another lane's turn. */
static void run(struct tcp_lane *l)
{
	size_t moved = 0;
	unsigned rounds = 0;
	bool drained = false;

	do {
		if (!l->more && l->queued < REPLIES)
			moved += receive(l, &drained);
		l->more = work_off(l);
		moved += flush(l);
		/* with the replies' queue full, and none sent, only the socket
		 * can tell when to go on */
	} while (!l->dead && l->state == RUNNING && moved < TURN_BYTES &&
		 ++rounds < TURN_ROUNDS && (l->more || !drained) &&
		 l->queued < REPLIES);
	if (l->dead)
		lane_end(l);
	else if (l->state == LEAVING)
		leave(l);
	else
		set_events(l);
}

static void io_cb(struct ev_loop *ev, ev_io *watcher, int events)
{
	struct tcp_lane *l = container_of(watcher, struct tcp_lane, io);

	(void)ev;
	(void)events;
	if (l->state == RUNNING)
		run(l);
	else
		leave(l);
}

static void leave_limit_cb(struct ev_loop *ev, ev_timer *watcher, int events)
{
	(void)ev;
	(void)events;
	lane_end(container_of(watcher, struct tcp_lane, leave_limit));
}

/* --- beginning and end --- */

static void gone_deliver(struct mail *mail)
{
	struct tcp_lane *l = container_of(mail, struct tcp_lane, mail);

	l->loop->lane_count--;
	session_lane_gone(&l->lane);
	free(l);
}

/* After this nothing of the lane touches a slab, and L is the main loop's. */
static void lane_end(struct tcp_lane *l)
{
	struct mailbox *to_main = &l->loop->server->box;

	ev_io_stop(l->loop->ev, &l->io);
	ev_timer_stop(l->loop->ev, &l->leave_limit);
	list_remove(&l->link);
	close(l->fd);
	if (l->write_slab)
		slab_drop(l->write_slab);
	while (l->queued)
		unqueue_reply(l);
	l->mail.deliver = gone_deliver;
	mailbox_post(to_main, &l->mail);
}

static void begin_deliver(struct mail *mail)
{
	struct tcp_lane *l = container_of(mail, struct tcp_lane, mail);

	list_append(&l->loop->lanes, &l->link);
	ev_io_init(&l->io, io_cb, l->fd, EV_READ);
	ev_timer_init(&l->leave_limit, leave_limit_cb, LEAVE_S, 0.);
	ev_io_start(l->loop->ev, &l->io);
	/* the kick may have come before the lane */
	if (atomic_load_explicit(&l->close_wanted, memory_order_acquire))
		lane_end(l);
}

/* Whether a slab is kept from others for want of a client that reads, or
 * writes, on this lane. */
static bool holds_freed(const struct tcp_lane *l)
{
	uint64_t before_ns = clock_now_ns() - HELD_S * NS_PER_S;

	for (unsigned i = 0; i < l->queued; i++) {
		const struct slab *slab =
			l->replies[(l->first + i) % REPLIES].slab;

		if (slab && slab_freed_before(slab, l->owner, before_ns))
			return true;
	}
	return l->write_slab &&
	       slab_freed_before(l->write_slab, l->owner, before_ns);
}

static void end_if_it_holds_freed(struct tcp_lane *l)
{
	if (!holds_freed(l))
		return;
	output_peer(&l->peer,
		    "session %u, lane %u: has not finished a request for %d "
		    "seconds after its slab was freed; lane closed",
		    l->owner, l->number, HELD_S);
	counter_add(&l->loop->counters.errors, 1);
	lane_end(l);
}

void tcp_lanes_close_wanted(struct data_loop *loop)
{
	list_for_each(item, &loop->lanes)
	{
		struct tcp_lane *l = container_of(item, struct tcp_lane, link);

		if (atomic_load_explicit(&l->close_wanted,
					 memory_order_acquire))
			lane_end(l);
		else if (atomic_exchange_explicit(&l->look_for_freed, false,
						  memory_order_acquire))
			end_if_it_holds_freed(l);
	}
}

static void drop_freed(struct lane *lane)
{
	struct tcp_lane *l = container_of(lane, struct tcp_lane, lane);

	atomic_store_explicit(&l->look_for_freed, true, memory_order_release);
	ev_async_send(l->loop->ev, &l->loop->kick);
}

/* The lane may be gone by itself already: then that is on its way here. */
static void close_lane(struct lane *lane)
{
	struct tcp_lane *l = container_of(lane, struct tcp_lane, lane);

	atomic_store_explicit(&l->close_wanted, true, memory_order_release);
	ev_async_send(l->loop->ev, &l->loop->kick);
}

bool tcp_lane_start(struct session *session, uint32_t number, int fd,
		    const struct net_text *peer)
{
	struct server *server = session->server;
	struct tcp_lane *l = malloc(sizeof *l);

	if (!l)
		return false;
	/* but for the buffers, which are large and written before read */
	memset(l, 0, offsetof(struct tcp_lane, replies));
	l->loop = data_loop_choose(&server->data);
	l->loop->lane_count++;
	l->lane.close = close_lane;
	l->lane.drop_freed = drop_freed;
	l->pool = &server->pool;
	l->owner = session->key;
	l->number = number;
	l->peer = *peer;
	l->fd = fd;
	session_lane_joined(session, number, &l->lane);
	l->mail.deliver = begin_deliver;
	mailbox_post(&l->loop->box, &l->mail);
	return true;
}
