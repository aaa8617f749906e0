#include "connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "engine.h"
#include "log.h"
#include "service/aligned.h"

/* Room for many small requests.  The rest of a large WRITE is received where it
 * belongs. */
#define IN_BYTES (128u << 10)

/* Replies of one send: as many as fit the socket's buffer. */
#define SEND_REPLIES 64

/* Extents of one reply, which fit a small buffer, and how much of the device
 * one request looks at. */
#define EXTENTS_MAX  ((SLOT_SMALL_BYTES - 4) / 8)
#define EXTENT_BYTES (UINT64_C(1) << 30)

struct connection {
	struct loop_source source; /* the first member */
	const struct connection_host *host;
	int fd;
	struct handshake handshake;
	bool let_in;   /* it counts as a client */
	bool ended;    /* no more requests are taken */
	bool broken;   /* no more replies are sent */
	bool starved;  /* a request waits for a slot or a buffer */
	uint32_t busy; /* requests with the loop */

	struct slot *filling; /* a WRITE whose bytes come in */
	uint32_t filled;
	/* A WRITE that is refused.  A client may not understand a reply to what
	 * it is still sending, so first come its bytes. */
	struct slot *refused;
	enum nbd_error error;
	uint32_t skip; /* bytes of it that are to come */

	struct slot *replies, **last_reply;
	size_t sent; /* bytes of the first reply that are sent */
	struct handshake_answer answer;

	uint32_t in_at, in_end;
	uint8_t in[IN_BYTES];
};

static struct connection *of_source(struct loop_source *source)
{
	return (struct connection *)source;
}

static bool in_transmission(const struct connection *c)
{
	return c->handshake.state == HANDSHAKE_TRANSMISSION;
}

/* Another connection may have waited for the slot. */
static void put_slot(struct connection *c, struct slot *slot)
{
	struct slots *slots = c->host->slots;

	slots_put(slots, slot);
	if (slots->wanted)
		loop_soon(c->host->loop);
	slots->wanted = false;
}

/* --- replies --- */

static void add_reply(struct connection *c, struct slot *slot)
{
	slot->next = NULL;
	*c->last_reply = slot;
	c->last_reply = &slot->next;
}

/* Whether the reply has to be structured: NBD allows a simple one where there
 * is no content. */
static bool is_structured(const struct connection *c, const struct slot *slot)
{
	return c->handshake.terms.structured &&
	       (slot->request.command == NBD_CMD_READ ||
		slot->request.command == NBD_CMD_BLOCK_STATUS);
}

static void reply_error(struct connection *c, struct slot *slot,
			enum nbd_error error)
{
	uint64_t cookie = slot->request.cookie;

	slot->data_bytes = 0;
	if (!is_structured(c, slot)) {
		slot->head_bytes =
			(uint32_t)nbd_encode_simple(slot->head, error, cookie);
	} else {
		slot->head_bytes = (uint32_t)nbd_encode_chunk(
			slot->head, NBD_CHUNK_ERROR, cookie, 6);
		nbd_put16(nbd_put32(slot->head + slot->head_bytes, error), 0);
		slot->head_bytes += 6;
	}
	add_reply(c, slot);
}

static void reply_read(struct connection *c, struct slot *slot)
{
	const struct nbd_request *r = &slot->request;

	slot->data_bytes = r->count;
	if (!is_structured(c, slot)) {
		slot->head_bytes =
			(uint32_t)nbd_encode_simple(slot->head, 0, r->cookie);
	} else {
		slot->head_bytes = (uint32_t)nbd_encode_chunk(
			slot->head, NBD_CHUNK_OFFSET_DATA, r->cookie,
			8 + r->count);
		nbd_put64(slot->head + slot->head_bytes, r->offset);
		slot->head_bytes += 8;
	}
	add_reply(c, slot);
}

static enum nbd_error error_of(int rc)
{
	return rc == 0 ? 0 : rc == -ENOSPC ? NBD_ENOSPC : NBD_EIO;
}

/* The loop calls this. */
static void done(struct loop_request *run)
{
	struct slot *slot = (struct slot *)run;
	struct connection *c = slot->connection;

	/* The connection stays busy, and so open, until the process ends.  The
	 * loop goes on, because the end waits for the other requests. */
	if (run->rc && c->host->is_forced())
		return;
	c->busy--;
	if (run->rc || run->op != LOOP_READ)
		reply_error(c, slot, error_of(run->rc));
	else
		reply_read(c, slot);
}

/* --- requests --- */

static void run(struct connection *c, struct slot *slot, enum loop_op op)
{
	slot->run = (struct loop_request){
		.op = op,
		.buf = slot->buffer,
		.count = slot->request.count,
		.offset = slot->request.offset,
		.done = done,
	};
	c->busy++;
	loop_submit(c->host->loop, &slot->run);
}

static void count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* Extents are whole pages, also where the range of the request is not.  The
 * device's size is a multiple of a page. */
static void reply_extents(struct connection *c, struct slot *slot)
{
	const struct nbd_request *r = &slot->request;
	uint64_t at = r->offset & ~(uint64_t)(PAGE_BYTES - 1);
	uint64_t end = r->offset + r->count, begin = r->offset;
	uint64_t last = end;
	uint32_t max = r->flags & NBD_CMD_FLAG_REQ_ONE ? 1 : EXTENTS_MAX, n = 0;
	uint8_t *out = nbd_put32(slot->buffer, 1 /* the context */);

	if (end - at > EXTENT_BYTES)
		last = end = at + EXTENT_BYTES;
	end = (end + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
	while (at < end && n < max) {
		bool absent;
		uint64_t bytes =
			engine_extent(c->host->engine, end - at, at, &absent);

		at += bytes;
		out = nbd_put32(out,
				(uint32_t)((at < last ? at : last) - begin));
		out = nbd_put32(out,
				absent ? NBD_EXTENT_HOLE | NBD_EXTENT_ZERO : 0);
		begin = at;
		n++;
	}
	slot->data_bytes = (uint32_t)(out - slot->buffer);
	slot->head_bytes =
		(uint32_t)nbd_encode_chunk(slot->head, NBD_CHUNK_BLOCK_STATUS,
					   r->cookie, slot->data_bytes);
	add_reply(c, slot);
}

/* Refuses what the device cannot serve. */
static enum nbd_error check(const struct connection *c,
			    const struct nbd_request *r)
{
	const char *what;
	enum nbd_error error =
		nbd_check_request(r, &c->handshake.terms, c->host->size, &what);

	if (error) {
		log_error("%s of %u bytes at %llu refused: %s",
			  nbd_command_name(r->command), r->count,
			  (unsigned long long)r->offset, what);
		return error;
	}
	if (r->command == NBD_CMD_FLUSH || r->command == NBD_CMD_BLOCK_STATUS)
		return 0;
	return aligned(nbd_command_name(r->command), r->count, r->offset)
		       ? 0
		       : NBD_EINVAL;
}

/* A request that is there as a whole, a WRITE with its bytes. */
static void begin(struct connection *c, struct slot *slot)
{
	struct engine_counters *counters = &c->host->engine->counters;

	switch ((enum nbd_command)slot->request.command) {
	case NBD_CMD_READ:
		run(c, slot, LOOP_READ);
		break;
	case NBD_CMD_WRITE:
		run(c, slot, LOOP_WRITE);
		break;
	case NBD_CMD_TRIM:
		count(&counters->trims);
		run(c, slot, LOOP_DISCARD);
		break;
	case NBD_CMD_WRITE_ZEROES:
		/* NBD calls NO_HOLE a hint, so the pages become absent. */
		count(&counters->zeroes);
		run(c, slot, LOOP_DISCARD);
		break;
	case NBD_CMD_BLOCK_STATUS:
		reply_extents(c, slot);
		break;
	case NBD_CMD_FLUSH:
		/* What is acknowledged is on the servers. */
	case NBD_CMD_DISC:
	case NBD_CMD_CACHE:
		reply_error(c, slot, 0);
		break;
	}
}

static bool moves_bytes(const struct nbd_request *r)
{
	return r->command == NBD_CMD_READ || r->command == NBD_CMD_WRITE;
}

/* Takes bytes of a WRITE that are in the input buffer already, and begins the
 * WRITE once it has all. */
static void fill(struct connection *c)
{
	uint32_t have = c->in_end - c->in_at;
	uint32_t left = c->filling->request.count - c->filled;
	uint32_t n = have < left ? have : left;

	memcpy(c->filling->buffer + c->filled, c->in + c->in_at, n);
	c->filled += n;
	c->in_at += n;
	if (n < left)
		return;
	begin(c, c->filling);
	c->filling = NULL;
}

/* The input cannot be understood from here on. */
static void give_up(struct connection *c, const char *why)
{
	log_error("a client's connection is closed: %s", why);
	c->ended = true;
}

/* Takes one request from the input buffer.  False where there is no whole one,
 * or no slot for it. */
static bool take_request(struct connection *c)
{
	struct nbd_request r;
	enum nbd_error error;
	struct slot *slot;

	if (c->in_end - c->in_at < NBD_REQUEST_BYTES)
		return false;
	if (!nbd_decode_request(c->in + c->in_at, &r)) {
		give_up(c, "no magic number in front of a request");
		return false;
	}
	if (r.command == NBD_CMD_DISC) {
		c->ended = true;
		return false;
	}
	error = check(c, &r);
	slot = slots_get(c->host->slots,
			 !error && moves_bytes(&r) ? r.count : 0);
	c->starved = !slot;
	if (!slot)
		return false;
	c->in_at += NBD_REQUEST_BYTES;
	slot->connection = c;
	slot->request = r;
	if (error) {
		c->refused = slot;
		c->error = error;
		c->skip = nbd_has_payload(&r) ? r.count : 0;
	} else if (nbd_has_payload(&r)) {
		c->filling = slot;
		c->filled = 0;
	} else {
		begin(c, slot);
	}
	return true;
}

static void refuse(struct connection *c)
{
	uint32_t have = c->in_end - c->in_at;
	uint32_t n = c->skip < have ? c->skip : have;

	c->skip -= n;
	c->in_at += n;
	if (c->skip)
		return;
	reply_error(c, c->refused, c->error);
	c->refused = NULL;
}

/* Takes all requests of the input buffer. */
static void take_requests(struct connection *c)
{
	bool more = true;

	while (more && !c->ended) {
		if (c->refused)
			refuse(c);
		else if (c->filling)
			fill(c);
		if (c->refused || c->filling)
			return; /* all input is used */
		more = take_request(c);
	}
}

/* --- the handshake --- */

static void enter_transmission(struct connection *c)
{
	c->let_in = c->host->client_opens();
	if (c->let_in)
		return;
	log_error("no new client is served: this server was asked to end, and "
		  "ends when its last client goes");
	c->ended = true;
	c->answer.bytes = 0;
}

/* Takes one step at a time: a client sends an option only after the answer to
 * the one before. */
static void shake_hands(struct connection *c)
{
	size_t n;

	if (c->answer.bytes)
		return; /* not sent yet */
	n = handshake_step(&c->handshake, c->in + c->in_at,
			   c->in_end - c->in_at, &c->answer);
	c->in_at += (uint32_t)n;
	if (c->handshake.state == HANDSHAKE_OVER) {
		if (c->handshake.error)
			give_up(c, c->handshake.error);
		c->ended = true;
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
		take_requests(c);
}

/* --- the socket --- */

static size_t receive_room(struct connection *c, struct iovec iov[2])
{
	uint32_t rest = c->in_end - c->in_at;
	size_t n = 0;

	if (c->in_at && rest)
		memmove(c->in, c->in + c->in_at, rest);
	c->in_at = 0;
	c->in_end = rest;
	if (c->filling)
		iov[n++] =
			(struct iovec){ c->filling->buffer + c->filled,
					c->filling->request.count - c->filled };
	if (rest < IN_BYTES)
		iov[n++] = (struct iovec){ c->in + rest, IN_BYTES - rest };
	return n;
}

static void received(struct connection *c, size_t bytes)
{
	if (c->filling) {
		size_t left = c->filling->request.count - c->filled;
		size_t n = bytes < left ? bytes : left;

		c->filled += (uint32_t)n;
		bytes -= n;
	}
	c->in_end += (uint32_t)bytes;
}

/* The client has gone, or its socket is of no use.  poll(2) would go on to tell
 * of that, and takes no negative descriptor. */
static void break_off(struct connection *c)
{
	c->ended = c->broken = true;
	c->source.fd = -1;
}

static void receive(struct connection *c)
{
	struct iovec iov[2];
	struct msghdr msg = { .msg_iov = iov };
	ssize_t got;

	msg.msg_iovlen = receive_room(c, iov);
	if (!msg.msg_iovlen)
		return;
	got = recvmsg(c->fd, &msg, MSG_DONTWAIT);
	if (got > 0)
		received(c, (size_t)got);
	else if (got == 0 || (errno != EAGAIN && errno != EINTR))
		break_off(c);
}

static void ready(struct loop_source *source, short revents)
{
	struct connection *c = of_source(source);

	if (c->ended) {
		/* The client has gone, and takes no reply any more. */
		if (revents & (POLLERR | POLLHUP))
			break_off(c);
		return;
	}
	if (revents & (POLLIN | POLLERR | POLLHUP)) {
		receive(c);
		take_input(c);
	}
}

/* Sets *MSG to what is to be sent. */
static void gather(const struct connection *c, struct msghdr *msg)
{
	struct iovec *iov = msg->msg_iov;
	size_t skip_bytes = c->sent, n = 0;

	for (struct slot *s = c->replies; s && n < 2 * SEND_REPLIES;
	     s = s->next) {
		if (skip_bytes < s->head_bytes)
			iov[n++] = (struct iovec){ s->head + skip_bytes,
						   s->head_bytes - skip_bytes };
		skip_bytes = skip_bytes > s->head_bytes
				     ? skip_bytes - s->head_bytes
				     : 0;
		if (s->data_bytes)
			iov[n++] = (struct iovec){ s->buffer + skip_bytes,
						   s->data_bytes - skip_bytes };
		skip_bytes = 0;
	}
	msg->msg_iovlen = n;
}

/* Takes the replies off the list that are sent. */
static void drop_sent(struct connection *c, size_t bytes)
{
	c->sent += bytes;
	while (c->replies) {
		struct slot *s = c->replies;
		size_t all = s->head_bytes + s->data_bytes;

		if (c->sent < all)
			return;
		c->sent -= all;
		c->replies = s->next;
		if (!c->replies)
			c->last_reply = &c->replies;
		put_slot(c, s);
	}
}

/* Sends once.  False where the socket takes no more. */
static bool send_once(struct connection *c)
{
	struct iovec iov[2 * SEND_REPLIES + 2];
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 1 };
	bool answering = c->answer.bytes > 0;
	ssize_t n;

	if (answering)
		iov[0] = (struct iovec){ c->answer.data, c->answer.bytes };
	else
		gather(c, &msg);
	n = sendmsg(c->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			break_off(c);
		return false;
	}
	if (!answering) {
		drop_sent(c, (size_t)n);
		return true;
	}
	c->answer.bytes -= (size_t)n;
	memmove(c->answer.data, c->answer.data + n, c->answer.bytes);
	return true;
}

static bool has_output(const struct connection *c)
{
	return !c->broken && (c->answer.bytes || c->replies);
}

/* --- the end --- */

static void drop_replies(struct connection *c)
{
	while (c->replies) {
		struct slot *s = c->replies;

		c->replies = s->next;
		put_slot(c, s);
	}
	c->last_reply = &c->replies;
	c->sent = 0;
}

static void close_down(struct connection *c)
{
	if (c->filling)
		put_slot(c, c->filling);
	if (c->refused)
		put_slot(c, c->refused);
	loop_remove(c->host->loop, &c->source);
	close(c->fd);
	if (c->let_in)
		c->host->client_closed();
	free(c);
}

/* After each turn: goes on with input that waited for a slot, sends, and closes
 * where all is over. */
static void finish(struct loop_source *source)
{
	struct connection *c = of_source(source);

	if (c->starved && !c->ended)
		take_input(c);
	while (has_output(c) && send_once(c)) {
		/* The client may send no more, but what it sent is there. */
		if (!c->answer.bytes && !c->ended && c->in_at < c->in_end &&
		    !c->starved)
			take_input(c);
	}
	if (c->broken)
		drop_replies(c);
	if (c->ended && !c->busy && !has_output(c)) {
		close_down(c);
		return;
	}
	source->events = (short)((c->ended || c->starved ? 0 : POLLIN) |
				 (has_output(c) ? POLLOUT : 0));
}

bool connection_open(const struct connection_host *host, int fd)
{
	struct connection *c = calloc(1, sizeof *c);

	if (!c) {
		close(fd);
		return false;
	}
	c->source = (struct loop_source){
		.fd = fd, .events = POLLOUT, .ready = ready, .finish = finish
	};
	c->fd = fd;
	c->host = host;
	c->last_reply = &c->replies;
	handshake_begin(&c->handshake, host->size, PAGE_BYTES, &c->answer);
	if (!loop_add(host->loop, &c->source)) {
		close(fd);
		free(c);
		return false;
	}
	return true;
}
