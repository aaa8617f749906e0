#include "mux.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "clock.h"
#include "spin.h"
#include "wireio.h"

/* How often a receive that waits checks its deadline, and so by how much the
 * receive may overstay the deadline.  The kernel rounds this up to ticks of its
 * own.  Not longer than the shortest wait before a read asks one more server
 * (io/read.c), so that this wait is one recvmsg without a poll. */
#define TICK_NS (2 * NS_PER_MS)

/* Sends that may be unanswered.  One is best where processors are scarce;
 * docs/performance.md has the figures. */
#define MUX_BATCHES 1

/* The most that one send has: enough for the transfers of any lane, and not so
 * much that the server begins late. */
#define OUT_IOV	  (4 * TRANSPORT_MAX_XFERS)
#define OUT_BYTES (512u << 10)

/* Room for the replies of many small reads.  The rest of a large reply goes
 * straight from the socket to its destination. */
#define IN_BYTES (128u << 10)

#define REPLY_BYTES ((uint32_t)sizeof(struct wire_data_reply))

struct mux {
	int fd;

	pthread_mutex_t lock;
	struct mux_op *head, **tail;
	struct mux_op *unsent;
	unsigned batches;     /* unanswered sends */
	_Atomic bool sending; /* a thread has its role; written under lock */

	_Atomic int dead;     /* why, or 0; written under lock */
	_Atomic bool stuck;   /* bytes are left over; written under lock */
	_Atomic bool leading; /* a thread has the leader's role */
	_Atomic uint32_t seq;

	/* the sender's */
	struct iovec out[OUT_IOV];
	size_t out_at, out_end;

	/* the leader's */
	struct mux_op *filling; /* the head, whose payload comes in */
	char *fill_at;
	uint32_t fill_left;
	struct spin spin;
	uint32_t in_at, in_end;
	uint8_t in[IN_BYTES];
};

/* --- sleeping and waking --- */

static void sleep_until(struct mux *mux, uint32_t seq, uint32_t bit,
			uint64_t deadline_ns)
{
	struct timespec until = clock_timespec(deadline_ns);

	syscall(SYS_futex, &mux->seq, FUTEX_WAIT_BITSET_PRIVATE, seq, &until,
		NULL, bit);
}

static void wake(struct mux *mux, uint32_t bits)
{
	if (!bits)
		return;
	atomic_fetch_add(&mux->seq, 1);
	syscall(SYS_futex, &mux->seq, FUTEX_WAKE_BITSET_PRIVATE, INT_MAX, NULL,
		NULL, bits);
}

/* Gives OP back to its owner.  Returns the bit to wake the owner by, where the
 * owner lacks no more ops.  One thread settles ops at a time: the leader, or
 * the thread that buries. */
static uint32_t settle(struct mux_op *op, int status)
{
	struct mux_waiter *w = op->waiter;
	struct xfer *x = op->xfer;

	op->busy = false;
	x->status = status;
	/* From here on another thread may use op and x anew, or free them. */
	return atomic_fetch_sub(&w->left, 1) == 1 && w->waiting ? w->bit : 0;
}

/* --- death --- */

/* Under the lock. */
static void die(struct mux *mux, int why)
{
	if (mux->dead)
		return;
	/* -ETIMEDOUT is for a deadline that passed, not for the kernel's own
	 * time-out of the connection. */
	mux->dead = why == -ETIMEDOUT ? -ECONNRESET : why;
	shutdown(mux->fd, SHUT_RDWR);
}

/* Fails every op, where the multiplexed connection is dead and both roles are
 * free; otherwise the thread that lets go of the last role does.  Under the
 * lock.  Returns the bits of the waiters to wake. */
static uint32_t bury(struct mux *mux)
{
	struct mux_op *op = mux->head;
	uint32_t bits = 0;

	if (!mux->dead || mux->sending || atomic_exchange(&mux->leading, true))
		return 0;
	mux->head = mux->unsent = mux->filling = NULL;
	mux->tail = &mux->head;
	while (op) {
		struct mux_op *next = op->next;

		bits |= settle(op, op->verdict ? op->verdict : mux->dead);
		op = next;
	}
	atomic_store(&mux->leading, false);
	return bits;
}

void mux_abort(struct mux *mux)
{
	uint32_t bits;

	pthread_mutex_lock(&mux->lock);
	die(mux, -ECONNRESET);
	bits = bury(mux);
	pthread_mutex_unlock(&mux->lock);
	wake(mux, bits);
}

/* --- sending --- */

/* Skips the first BYTES of what is to be sent. */
static void out_skip(struct mux *mux, size_t bytes)
{
	while (mux->out_at < mux->out_end &&
	       bytes >= mux->out[mux->out_at].iov_len)
		bytes -= mux->out[mux->out_at++].iov_len;
	if (bytes > 0) {
		struct iovec *iov = &mux->out[mux->out_at];

		iov->iov_base = (char *)iov->iov_base + bytes;
		iov->iov_len -= bytes;
	}
}

/* The answer to a request may come, and its buffer be its owner's again, while
 * the sender still is in sendmsg.  The kernel has taken the bytes by then; but
 * ThreadSanitizer does not know, and must not check. */
#ifdef __SANITIZE_THREAD__
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
#else
#define AnnotateIgnoreReadsBegin(file, line) ((void)0)
#define AnnotateIgnoreReadsEnd(file, line)   ((void)0)
#endif

static ssize_t send_message(int fd, const struct msghdr *msg)
{
	ssize_t sent;

	AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
	sent = sendmsg(fd, msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
	return sent;
}

/* 0, or -EAGAIN where the socket takes no more, or the socket's errno. */
static int send_out(struct mux *mux)
{
	while (mux->out_at < mux->out_end) {
		struct msghdr msg = { .msg_iov = mux->out + mux->out_at,
				      .msg_iovlen =
					      mux->out_end - mux->out_at };
		ssize_t sent = send_message(mux->fd, &msg);

		if (sent >= 0)
			out_skip(mux, (size_t)sent);
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* Makes a batch of the queued ops. */
static void gather(struct mux *mux)
{
	size_t n = 0, bytes = 0;
	struct mux_op *op = mux->unsent, *last = op;

	for (; op && n + 2 <= OUT_IOV && bytes < OUT_BYTES; op = op->next) {
		struct xfer *x = op->xfer;

		mux->out[n++] = (struct iovec){ &op->frame, sizeof op->frame };
		if (x->op == XFER_WRITE) {
			mux->out[n++] = (struct iovec){ x->buf, x->bytes };
			bytes += x->bytes;
		}
		last = op;
	}
	last->ends_batch = true;
	mux->unsent = op;
	mux->batches++;
	mux->out_at = 0;
	mux->out_end = n;
}

/* Sends what may be sent, unless another thread does.  Under the lock, which is
 * released while this thread sends.  The list may change meanwhile, but a
 * gathered op stays in the list until the op is sent or `sending` is over. */
static void pump(struct mux *mux)
{
	while (!mux->sending && !mux->dead &&
	       (mux->stuck || (mux->unsent && mux->batches < MUX_BATCHES))) {
		int rc;

		mux->sending = true;
		if (!mux->stuck)
			gather(mux);
		pthread_mutex_unlock(&mux->lock);
		rc = send_out(mux);
		pthread_mutex_lock(&mux->lock);
		mux->stuck = rc == -EAGAIN;
		mux->sending = false;
		if (mux->stuck)
			return;
		if (rc)
			die(mux, rc);
	}
}

void mux_submit(struct mux *mux, struct mux_op *first, struct mux_op *last)
{
	uint32_t bits;
	int dead;

	last->next = NULL;
	pthread_mutex_lock(&mux->lock);
	dead = mux->dead;
	if (!dead) {
		*mux->tail = first;
		mux->tail = &last->next;
		if (!mux->unsent)
			mux->unsent = first;
		pump(mux);
	}
	bits = bury(mux);
	pthread_mutex_unlock(&mux->lock);
	wake(mux, bits);
	for (struct mux_op *op = dead ? first : NULL; op; op = op->next) {
		op->xfer->status = dead;
		op->busy = false;
	}
}

/* --- receiving --- */

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
	iov[n++] = (struct iovec){ mux->in + rest, IN_BYTES - rest };
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
	uint64_t tick_ns = mux->sending ? NS_PER_MS : TICK_NS;
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
		if (clock_left_ns(deadline_ns) >= TICK_NS / 2)
			return recvmsg(mux->fd, msg, 0);
	}
	/* recvmsg waits neither for room to send, nor for less than a tick. */
	if (!await_input(mux, deadline_ns)) {
		errno = EAGAIN;
		return -1;
	}
	return recvmsg(mux->fd, msg, MSG_DONTWAIT);
}

/* Receives once, as much as there is.  Unless DRAIN is set, waits for it.  0,
 * -EAGAIN, or the errno that the multiplexed connection died of. */
static int receive(struct mux *mux, uint64_t deadline_ns, uint64_t spin_ns,
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

/* Chains the ops whose replies are complete.  0, or the errno that the
 * multiplexed connection died of.  Under the lock. */
static int take_replies(struct mux *mux, struct mux_op **end)
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

/* Copies payloads and settles ops.  Returns the bits of the waiters to wake,
 * without the leader's own. */
static uint32_t settle_chain(struct mux_op *op, const struct mux_waiter *self)
{
	uint32_t bits = 0;

	while (op) {
		struct mux_op *next = op->next;
		bool own = op->waiter == self;
		uint32_t bit;

		if (op->payload)
			memcpy(op->xfer->buf, op->payload, op->xfer->bytes);
		bit = settle(op, 0);
		if (!own)
			bits |= bit;
		op = next;
	}
	return bits;
}

/* --- leading --- */

static bool lacks(const struct mux_waiter *w)
{
	return atomic_load(&w->left) > 0;
}

/* Chooses a waiting thread to lead next.  A thread that does not wait yet finds
 * the free role by itself.  Under the lock, after the role was let go. */
static uint32_t next_leader(const struct mux *mux,
			    const struct mux_waiter *self)
{
	for (struct mux_op *op = mux->head; op; op = op->next) {
		const struct mux_waiter *w = op->waiter;

		if (w != self && atomic_load(&w->waiting) && lacks(w))
			return w->bit;
	}
	return 0;
}

/* Lets go of the role.  Under the lock.  Returns the bits of the waiters to
 * wake. */
static uint32_t let_go(struct mux *mux, const struct mux_waiter *self)
{
	atomic_store(&mux->leading, false);
	return mux->dead ? bury(mux) : next_leader(mux, self);
}

/* Lets go of a role that this thread does not need. */
static void pass_on(struct mux *mux, const struct mux_waiter *self)
{
	uint32_t bits;

	pthread_mutex_lock(&mux->lock);
	bits = let_go(mux, self);
	pthread_mutex_unlock(&mux->lock);
	wake(mux, bits);
}

/* One receive and all that follows from it.  True while the role is kept. */
static bool lead_once(struct mux *mux, const struct mux_waiter *self,
		      uint64_t deadline_ns, uint64_t spin_ns, bool drain)
{
	struct mux_op *chain = NULL;
	int rc = receive(mux, deadline_ns, spin_ns, drain);
	uint32_t bits = 0;
	bool done;

	if (!rc) {
		pthread_mutex_lock(&mux->lock);
		rc = take_replies(mux, &chain);
		pthread_mutex_unlock(&mux->lock);
		bits = settle_chain(chain, self);
	}
	pthread_mutex_lock(&mux->lock);
	if (rc && rc != -EAGAIN)
		die(mux, rc);
	pump(mux);
	/* A reply that comes a few bytes at a time is late as well. */
	done = !lacks(self) || mux->dead ||
	       (drain ? rc == -EAGAIN : clock_left_ns(deadline_ns) == 0);
	if (done)
		bits |= let_go(mux, self);
	pthread_mutex_unlock(&mux->lock);
	wake(mux, bits);
	return !done;
}

static void lead(struct mux *mux, const struct mux_waiter *self,
		 uint64_t deadline_ns, uint64_t spin_ns, bool drain)
{
	/* The role may have become free when this thread's ops ended. */
	if (!lacks(self)) {
		pass_on(mux, self);
		return;
	}
	while (lead_once(mux, self, deadline_ns, spin_ns, drain))
		;
}

/* Stores how many ops are lacking, for the threads that settle ops.  False
 * where none is lacking. */
static bool want_more(struct mux_waiter *self, const struct xfer *xfers,
		      size_t n, size_t want)
{
	size_t over = transport_over(xfers, n), before;

	do {
		if (over >= want)
			return false;
		before = over;
		atomic_store(&self->left, (int32_t)(want - over));
		over = transport_over(xfers, n);
	} while (over != before);
	return true;
}

void mux_wait(struct mux *mux, struct mux_waiter *self,
	      const struct xfer *xfers, size_t n, size_t want,
	      uint64_t deadline_ns, uint64_t spin_ns)
{
	bool drained = false;

	atomic_store(&self->waiting, true);
	for (;;) {
		uint32_t seq = atomic_load(&mux->seq);
		bool late = clock_left_ns(deadline_ns) == 0;

		if (!want_more(self, xfers, n, want) || (late && drained))
			break;
		if (!mux->dead && !atomic_exchange(&mux->leading, true)) {
			/* The deadline has passed, perhaps because this thread
			 * waited for another server.  The answers may have come
			 * long ago. */
			lead(mux, self, deadline_ns, spin_ns, late);
			drained = late;
		} else if (late) {
			drained = true; /* by the leader */
		} else {
			sleep_until(mux, seq, self->bit, deadline_ns);
		}
	}
	atomic_store(&self->waiting, false);
	/* A waiter that still lacks ops may have been chosen to lead. */
	if (lacks(self) && !atomic_exchange(&mux->leading, true))
		pass_on(mux, self);
}

/* --- beginning and end --- */

static int join(int fd, const struct wire_join *token, uint64_t deadline_ns,
		struct error *why)
{
	struct wire_message request = { .type = WIRE_JOIN, .join = *token };
	struct wire_message reply;

	return wire_call(fd, &request, WIRE_JOINED, &reply, deadline_ns, why);
}

int mux_open(const struct net_addr *addr, const struct wire_join *token,
	     uint64_t timeout_ns, uint64_t deadline_ns, struct mux **made,
	     struct error *why)
{
	struct timeval tick = { .tv_usec = TICK_NS / NS_PER_US };
	struct mux *mux = calloc(1, sizeof *mux);
	int rc;

	if (!mux) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	mux->tail = &mux->head;
	mux->fd = net_connect(addr, deadline_ns, why);
	if (mux->fd < 0) {
		rc = mux->fd;
		free(mux);
		return rc;
	}
	net_tune(mux->fd, timeout_ns);
	setsockopt(mux->fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick);
	rc = join(mux->fd, token, deadline_ns, why);
	if (rc) {
		close(mux->fd);
		free(mux);
		return rc;
	}
	pthread_mutex_init(&mux->lock, NULL);
	*made = mux;
	return 0;
}

void mux_close(struct mux *mux)
{
	close(mux->fd);
	pthread_mutex_destroy(&mux->lock);
	free(mux);
}
