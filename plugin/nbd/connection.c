#include "connection.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "clock.h"
#include "engine.h"
#include "handshake.h"
#include "log.h"
#include "replies.h"
#include "requests.h"

struct connection {
	struct loop_source source; /* the first member */
	const struct host *host;
	int fd;
	bool let_in;	      /* it counts as a client */
	bool broken;	      /* no more replies are sent */
	bool short_of_memory; /* the kernel was, at the last send */
	/* Since when the client keeps slots without going on, and when that was
	 * seen last; 0: it does not. */
	uint64_t still_ns, looked_ns;
	struct handshake handshake;
	struct handshake_answer answer;
	struct replies replies;
	struct requests requests;
};

static struct connection *of_source(struct loop_source *source)
{
	return (struct connection *)source;
}

static bool in_transmission(const struct connection *c)
{
	return c->handshake.state == HANDSHAKE_TRANSMISSION;
}

/* --- the handshake --- */

static void enter_transmission(struct connection *c)
{
	c->let_in = c->host->client_opens();
	if (c->let_in) {
		slots_join(c->host->slots, &c->requests.client);
		return;
	}
	log_error("no new client is served: this server was asked to end, and "
		  "ends when its last client goes");
	c->requests.ended = true;
	c->answer.bytes = 0;
}

/* Takes one step at a time: a client sends an option only after the answer to
 * the one before. */
static void shake_hands(struct connection *c)
{
	struct requests *q = &c->requests;
	size_t n;

	if (c->answer.bytes)
		return; /* not sent yet */
	n = handshake_step(&c->handshake, q->in + q->in_at,
			   q->in_end - q->in_at, &c->answer);
	q->in_at += (uint32_t)n;
	if (c->handshake.state == HANDSHAKE_OVER) {
		if (c->handshake.error)
			requests_give_up(q, c->handshake.error);
		q->ended = true;
	} else if (in_transmission(c)) {
		enter_transmission(c);
	} else if (n && !c->answer.bytes) {
		shake_hands(c); /* the client's flags have no answer */
	}
}

static void take_input(struct connection *c)
{
	if (!in_transmission(c))
		shake_hands(c);
	if (in_transmission(c) && !c->answer.bytes)
		requests_take(&c->requests);
}

/* --- the socket --- */

/* The client has gone, or its socket is of no use.  poll(2) would go on to tell
 * of that, and takes no negative descriptor. */
static void break_off(struct connection *c)
{
	c->requests.ended = c->broken = true;
	c->source.fd = -1;
	host_forget(c->host, &c->requests.client);
}

static void receive(struct connection *c)
{
	struct iovec iov[2];
	struct msghdr msg = { .msg_iov = iov };
	ssize_t got;

	msg.msg_iovlen = requests_room(&c->requests, iov);
	got = recvmsg(c->fd, &msg, MSG_DONTWAIT);
	if (got > 0) {
		requests_received(&c->requests, (size_t)got);
		/* One that only sends does not go on. */
		if (!c->replies.first)
			c->still_ns = 0;
	} else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
		break_off(c);
	}
}

/* poll(2) tells of a client that has gone again and again.  While there is
 * room, what the client sent comes before its end. */
static void ready(struct loop_source *source, short revents)
{
	struct connection *c = of_source(source);
	bool reads = !c->requests.ended && requests_have_room(&c->requests);

	if (reads && revents & (POLLIN | POLLERR | POLLHUP)) {
		receive(c);
		take_input(c);
	} else if (revents & (POLLERR | POLLHUP)) {
		break_off(c);
	}
}

/* The kernel has no memory for what is to be sent, perhaps because the control
 * group is at its limit.  poll(2) tells of the room in the socket only, so it
 * would return at once, again and again.  A client that does not read comes to
 * EAGAIN before this, so this client goes on. */
static void send_later(struct connection *c)
{
	c->short_of_memory = true;
	c->still_ns = 0;
	loop_within(c->host->loop, LOOP_RECHECK_NS);
}

/* Sends once.  False where the socket takes no more now. */
static bool send_once(struct connection *c)
{
	struct iovec iov[REPLIES_IOV];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 1 };
	bool answering = c->answer.bytes > 0;
	ssize_t n;

	if (answering)
		iov[0] = (struct iovec){ c->answer.data, c->answer.bytes };
	else
		msg.msg_iovlen = replies_gather(&c->replies, iov);
	n = sendmsg(c->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0) {
		if (errno == ENOBUFS || errno == ENOMEM)
			send_later(c);
		else if (errno != EAGAIN && errno != EINTR)
			break_off(c);
		return false;
	}
	if (!answering) {
		replies_sent(&c->replies, (size_t)n);
		c->still_ns = 0;
		return true;
	}
	c->answer.bytes -= (size_t)n;
	memmove(c->answer.data, c->answer.data + n, c->answer.bytes);
	return true;
}

static bool has_output(const struct connection *c)
{
	return !c->broken && (c->answer.bytes || c->replies.first);
}

static bool waits_for_room(const struct connection *c)
{
	return has_output(c) && !c->short_of_memory;
}

/* poll(2) would go on to tell of input that nothing reads. */
static bool wants_input(const struct connection *c)
{
	const struct requests *q = &c->requests;

	return !q->ended && !q->starved && requests_have_room(q);
}

/* --- a client that does not go on --- */

/* How long a client keeps what others depend on.  The kernel gives up a request
 * later, after the 105 seconds of rswapctl attach. */
#define STILL_S 10

/* Whether the client gets no slot, and has none that would come back by itself.
 * If the client has requests in flight, it goes on when these are done. */
static bool depends_on_others(const struct connection *c)
{
	const struct requests *q = &c->requests;

	return q->starved && !q->maps && !q->ended && !q->busy &&
	       !has_output(c);
}

/* Whether slots have replies that the client has not read, or wait for bytes
 * that it has not sent. */
static bool keeps_slots(const struct connection *c)
{
	return !c->broken &&
	       (c->replies.first || requests_await_bytes(&c->requests));
}

/* For how long the client has kept them and moved no byte, while this process
 * looked.  A process that was stopped has seen nothing of its clients. */
static uint64_t still_for_ns(struct connection *c)
{
	uint64_t now_ns = clock_tick_ns();

	if (!c->still_ns || now_ns - c->looked_ns > STILL_S * NS_PER_S / 2)
		c->still_ns = now_ns;
	c->looked_ns = now_ns;
	return now_ns - c->still_ns;
}

/* A program that is stopped, or that waits for a page of its own that is
 * swapped out, keeps slots for as long. */
static void end_still(struct connection *c)
{
	if (!keeps_slots(c)) {
		c->still_ns = 0;
		return;
	}
	if (still_for_ns(c) < STILL_S * NS_PER_S ||
	    !slots_others_wait(c->host->slots, &c->requests.client))
		return;
	log_error("a client's connection is closed: it has %s for %d seconds, "
		  "and another client waits for its buffers",
		  c->replies.first ? "read no reply"
				   : "sent no more of a request",
		  STILL_S);
	break_off(c);
	/* This may be enough for them. */
	slots_clear_waits(c->host->slots);
}

/* --- the end --- */

static void close_down(struct connection *c)
{
	requests_drop(&c->requests);
	loop_remove(c->host->loop, &c->source);
	close(c->fd);
	if (c->let_in) {
		host_leave(c->host, &c->requests.client);
		c->host->client_closed();
	}
	mapper_put(c->host->mapper, c, connection_bytes());
}

/* After each turn: goes on with input that waited for a slot, sends, and closes
 * where all is over. */
static void finish(struct loop_source *source)
{
	struct connection *c = of_source(source);
	struct requests *q = &c->requests;

	c->short_of_memory = false;
	if (q->starved && !q->ended)
		take_input(c);
	while (has_output(c) && send_once(c)) {
		/* The client may send no more, but what it sent is there. */
		if (!c->answer.bytes && !q->ended && q->in_at < q->in_end &&
		    !q->starved)
			take_input(c);
	}
	q->client.waits = depends_on_others(c);
	end_still(c);
	if (c->broken)
		replies_drop(&c->replies);
	if (q->ended && !q->busy && !has_output(c)) {
		close_down(c);
		return;
	}
	source->events = (short)((wants_input(c) ? POLLIN : 0) |
				 (waits_for_room(c) ? POLLOUT : 0));
}

uint64_t connection_bytes(void)
{
	return sizeof(struct connection);
}

bool connection_open(const struct host *host, int fd, void *memory)
{
	struct connection *c = memory;

	c->source = (struct loop_source){
		.fd = fd, .events = POLLOUT, .ready = ready, .finish = finish
	};
	if (!loop_add(host->loop, &c->source)) {
		close(fd);
		return false;
	}
	c->fd = fd;
	c->host = host;
	replies_init(&c->replies, host, &c->handshake.terms);
	requests_init(&c->requests, host, &c->handshake.terms, &c->replies);
	handshake_begin(&c->handshake, host->size, PAGE_BYTES, &c->answer);
	return true;
}
