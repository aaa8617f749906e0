#include "mux_receive.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "net.h"
#include "wire.h"

#define REPLY_BYTES ((uint32_t)sizeof(struct wire_data_reply))

static size_t receive_room(struct mux *mux, struct iovec iov[2])
{
	uint32_t rest = mux->in_end - mux->in_at;
	size_t n = 0;

	if (mux->in_at) /* less than a reply is left */
		memmove(mux->in, mux->in + mux->in_at, rest);
	mux->in_at = 0;
	mux->in_end = rest;
	if (mux->filling)
		iov[n++] = (struct iovec){ mux->fill_at, mux->fill_left };
	iov[n++] = (struct iovec){ mux->in + rest, MUX_IN_BYTES - rest };
	return n;
}

static void received(struct mux *mux, size_t bytes)
{
	if (mux->filling) {
		uint32_t n = bytes < mux->fill_left ? (uint32_t)bytes
						    : mux->fill_left;

		mux->fill_at += n;
		mux->fill_left -= n;
		bytes -= n;
	}
	mux->in_end += (uint32_t)bytes;
}

static ssize_t receive_spinning(struct mux *mux, struct msghdr *msg,
				uint64_t spin_ns)
{
	uint64_t until_ns = clock_now_ns() + spin_ns;
	ssize_t got;

	do {
		got = recvmsg(mux->fd, msg, MSG_DONTWAIT);
	} while (got < 0 && errno == EAGAIN && clock_now_ns() < until_ns);
	spin_learn(&mux->spin, got >= 0);
	return got;
}

/* Waits, for a tick at most, until there may be bytes to receive, or room to
 * send the bytes that are stuck.  False where there are no bytes to receive. */
static bool await_input(struct mux *mux, uint64_t deadline_ns)
{
	struct pollfd p = { .fd = mux->fd, .events = POLLIN };
	/* The sender is about to end, or to be stuck. */
	uint64_t tick_ns = mux->sending ? NS_PER_MS : MUX_TICK_NS;
	uint64_t until_ns = clock_now_ns() + tick_ns;

	if (mux->stuck)
		p.events |= POLLOUT;
	if (until_ns > deadline_ns)
		until_ns = deadline_ns;
	return !net_poll(&p, 1, until_ns) && p.revents & ~POLLOUT;
}

/* recvmsg, which waits for bytes for a tick at most. */
static ssize_t receive_message(struct mux *mux, struct msghdr *msg,
			       uint64_t deadline_ns, uint64_t spin_ns)
{
	if (!mux->stuck && !mux->sending) {
		ssize_t got = -1;

		errno = EAGAIN;
		if (spin_ns && spin_pays(&mux->spin))
			got = receive_spinning(mux, msg, spin_ns);
		if (got >= 0 || errno != EAGAIN)
			return got;
		if (clock_left_ns(deadline_ns) >= MUX_TICK_NS / 2)
			return recvmsg(mux->fd, msg, 0);
	}
	/* recvmsg waits neither for room to send, nor for less than a tick. */
	if (!await_input(mux, deadline_ns)) {
		errno = EAGAIN;
		return -1;
	}
	return recvmsg(mux->fd, msg, MSG_DONTWAIT);
}

int mux_receive(struct mux *mux, uint64_t deadline_ns, uint64_t spin_ns,
		bool drain)
{
	struct iovec iov[2];
	struct msghdr msg = { .msg_iov = iov,
			      .msg_iovlen = receive_room(mux, iov) };
	ssize_t got = drain ? recvmsg(mux->fd, &msg, MSG_DONTWAIT)
			    : receive_message(mux, &msg, deadline_ns, spin_ns);

	if (got > 0) {
		received(mux, (size_t)got);
		return 0;
	}
	if (got == 0)
		return -ECONNRESET;
	return errno == EINTR ? -EAGAIN : -errno;
}

/* The reply's result for OP: 0, -EREMOTEIO or -EPROTO. */
static int judge(const struct mux *mux, const struct mux_op *op)
{
	const struct xfer *x = op->xfer;
	struct wire_data_reply reply;

	if (wire_decode_reply(mux->in + mux->in_at, &reply) != WIRE_OK ||
	    reply.cookie != op->cookie)
		return -EPROTO;
	if (reply.status)
		return -EREMOTEIO;
	return reply.bytes == (x->op == XFER_READ ? x->bytes : 0) ? 0 : -EPROTO;
}

/* Takes the head out of the list, and appends it to a chain. */
static struct mux_op **take_head(struct mux *mux, struct mux_op **end)
{
	struct mux_op *op = mux->head;

	mux->head = op->next;
	if (!mux->head)
		mux->tail = &mux->head;
	mux->batches -= op->ends_batch;
	mux->filling = NULL;
	op->next = NULL;
	*end = op;
	return &op->next;
}

/* Where the payload of the head is: all of it in the input buffer, or partly to
 * come.  True where it is all there. */
static bool take_payload(struct mux *mux, struct mux_op *op)
{
	uint32_t have = mux->in_end - mux->in_at;
	struct xfer *x = op->xfer;

	op->payload = NULL;
	if (x->op == XFER_WRITE)
		return true;
	if (have >= x->bytes) {
		op->payload = mux->in + mux->in_at;
		mux->in_at += x->bytes;
		return true;
	}
	memcpy(x->buf, mux->in + mux->in_at, have);
	mux->in_at = mux->in_end;
	mux->filling = op;
	mux->fill_at = (char *)x->buf + have;
	mux->fill_left = x->bytes - have;
	return false;
}

int mux_take_replies(struct mux *mux, struct mux_op **end)
{
	*end = NULL;
	if (mux->filling && mux->fill_left == 0)
		end = take_head(mux, end);
	while (!mux->filling && mux->in_end - mux->in_at >= REPLY_BYTES) {
		struct mux_op *op = mux->head;

		if (!op || op == mux->unsent)
			return -EPROTO; /* a reply to no request */
		/* An op that failed stays in the list until the burial, because
		 * the sender may still read its payload. */
		op->verdict = judge(mux, op);
		if (op->verdict)
			return op->verdict == -EREMOTEIO ? -ECONNRESET
							 : op->verdict;
		mux->in_at += REPLY_BYTES;
		if (take_payload(mux, op))
			end = take_head(mux, end);
	}
	return 0;
}
