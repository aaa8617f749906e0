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

/* How often a receive that waits checks its deadline, and so by how much it
 * may overstay it; the kernel rounds this up to ticks of its own.  So short
 * that the wait before a read is hedged is one system call and no timer. */
#define TICK_NS (2 * NS_PER_MS)

/* Sends that may be unanswered.  One is best where processors are scarce;
 * docs/performance.md has the figures. */
#define MUX_BATCHES 1

/* What goes in one send: enough for any lane's set, and not so much that the
 * server starts late on it. */
#define OUT_IOV	  (4 * TRANSPORT_MAX_XFERS)
#define OUT_BYTES (512u << 10)

/* Replies of small reads come many at a time in here; what a large one has
 * beyond it goes straight from the socket to where it belongs. */
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

static void sleep_until(struct mux *t, uint32_t seq, uint32_t bit,
			uint64_t deadline_ns)
{
	struct timespec until = clock_timespec(deadline_ns);

	syscall(SYS_futex, &t->seq, FUTEX_WAIT_BITSET_PRIVATE, seq, &until,
		NULL, bit);
}

static void wake(struct mux *t, uint32_t bits)
{
	if (!bits)
		return;
	atomic_fetch_add(&t->seq, 1);
	syscall(SYS_futex, &t->seq, FUTEX_WAKE_BITSET_PRIVATE, INT_MAX, NULL,
		NULL, bits);
}

/* Gives OP back to its owner.  Returns the bit to wake the owner by, where the
 * owner lacks no more ops.  One thread settles at a time: the leader, or the
 * thread that buries. */
static uint32_t settle(struct mux_op *op, int status)
{
	struct mux_waiter *w = op->waiter;
	struct xfer *x = op->xfer;

	op->busy = false;
	x->status = status;
	/* From here on op and x may be used anew, or be gone. */
	return atomic_fetch_sub(&w->left, 1) == 1 && w->waiting ? w->bit : 0;
}

/* --- death --- */

/* Under the lock. */
static void die(struct mux *t, int why)
{
	if (t->dead)
		return;
	/* The kernel's own time-out is no request's deadline. */
	t->dead = why == -ETIMEDOUT ? -ECONNRESET : why;
	shutdown(t->fd, SHUT_RDWR);
}

/* Fails every op, where the multiplexed connection is dead and both roles are
 * free; otherwise the thread that lets go of the last role does.  Under the
 * lock.  Returns the bits of the waiters to wake. */
static uint32_t bury(struct mux *t)
{
	struct mux_op *op = t->head;
	uint32_t bits = 0;

	if (!t->dead || t->sending || atomic_exchange(&t->leading, true))
		return 0;
	t->head = t->unsent = t->filling = NULL;
	t->tail = &t->head;
	while (op) {
		struct mux_op *next = op->next;

		bits |= settle(op, op->verdict ? op->verdict : t->dead);
		op = next;
	}
	atomic_store(&t->leading, false);
	return bits;
}

void mux_abort(struct mux *t)
{
	uint32_t bits;

	pthread_mutex_lock(&t->lock);
	die(t, -ECONNRESET);
	bits = bury(t);
	pthread_mutex_unlock(&t->lock);
	wake(t, bits);
}

/* --- sending --- */

/* Skips the first BYTES of what is to be sent. */
static void out_skip(struct mux *t, size_t bytes)
{
	while (t->out_at < t->out_end && bytes >= t->out[t->out_at].iov_len)
		bytes -= t->out[t->out_at++].iov_len;
	if (bytes > 0) {
		struct iovec *iov = &t->out[t->out_at];

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

/* 0, or -EAGAIN where the socket takes no more, or the errno that it died of.
 */
static int send_out(struct mux *t)
{
	while (t->out_at < t->out_end) {
		struct msghdr msg = { .msg_iov = t->out + t->out_at,
				      .msg_iovlen = t->out_end - t->out_at };
		ssize_t sent = send_message(t->fd, &msg);

		if (sent >= 0)
			out_skip(t, (size_t)sent);
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* Makes a batch of the queued ops. */
static void gather(struct mux *t)
{
	size_t n = 0, bytes = 0;
	struct mux_op *op = t->unsent, *last = op;

	for (; op && n + 2 <= OUT_IOV && bytes < OUT_BYTES; op = op->next) {
		struct xfer *x = op->xfer;

		t->out[n++] = (struct iovec){ &op->frame, sizeof op->frame };
		if (x->op == XFER_WRITE) {
			t->out[n++] = (struct iovec){ x->buf, x->bytes };
			bytes += x->bytes;
		}
		last = op;
	}
	last->ends_batch = true;
	t->unsent = op;
	t->batches++;
	t->out_at = 0;
	t->out_end = n;
}

/* Sends what may be sent, unless another thread does.  Under the lock, which it
 * lets go while it sends: the list may change, but nothing that is gathered
 * leaves it before it is sent, or `sending` is over. */
static void pump(struct mux *t)
{
	while (!t->sending && !t->dead &&
	       (t->stuck || (t->unsent && t->batches < MUX_BATCHES))) {
		int rc;

		t->sending = true;
		if (!t->stuck)
			gather(t);
		pthread_mutex_unlock(&t->lock);
		rc = send_out(t);
		pthread_mutex_lock(&t->lock);
		t->stuck = rc == -EAGAIN;
		t->sending = false;
		if (t->stuck)
			return;
		if (rc)
			die(t, rc);
	}
}

void mux_submit(struct mux *t, struct mux_op *first, struct mux_op *last)
{
	uint32_t bits;
	int dead;

	last->next = NULL;
	pthread_mutex_lock(&t->lock);
	dead = t->dead;
	if (!dead) {
		*t->tail = first;
		t->tail = &last->next;
		if (!t->unsent)
			t->unsent = first;
		pump(t);
	}
	bits = bury(t);
	pthread_mutex_unlock(&t->lock);
	wake(t, bits);
	for (struct mux_op *op = dead ? first : NULL; op; op = op->next) {
		op->xfer->status = dead;
		op->busy = false;
	}
}

/* --- receiving --- */

static size_t receive_room(struct mux *t, struct iovec iov[2])
{
	uint32_t rest = t->in_end - t->in_at;
	size_t n = 0;

	if (t->in_at) /* less than a reply is left */
		memmove(t->in, t->in + t->in_at, rest);
	t->in_at = 0;
	t->in_end = rest;
	if (t->filling)
		iov[n++] = (struct iovec){ t->fill_at, t->fill_left };
	iov[n++] = (struct iovec){ t->in + rest, IN_BYTES - rest };
	return n;
}

static void received(struct mux *t, size_t bytes)
{
	if (t->filling) {
		uint32_t n =
			bytes < t->fill_left ? (uint32_t)bytes : t->fill_left;

		t->fill_at += n;
		t->fill_left -= n;
		bytes -= n;
	}
	t->in_end += (uint32_t)bytes;
}

static ssize_t receive_spinning(struct mux *t, struct msghdr *msg,
				uint64_t spin_ns)
{
	uint64_t until_ns = clock_now_ns() + spin_ns;
	ssize_t got;

	do {
		got = recvmsg(t->fd, msg, MSG_DONTWAIT);
	} while (got < 0 && errno == EAGAIN && clock_now_ns() < until_ns);
	spin_learn(&t->spin, got >= 0);
	return got;
}

/* Waits, for a tick at most, until there may be something to receive; or, with
 * what is stuck, room to send.  False where there is nothing to receive. */
static bool await_input(struct mux *t, uint64_t deadline_ns)
{
	struct pollfd p = { .fd = t->fd, .events = POLLIN };
	/* The sender is about to be done, or stuck. */
	uint64_t tick_ns = t->sending ? NS_PER_MS : TICK_NS;
	uint64_t until_ns = clock_now_ns() + tick_ns;

	if (t->stuck)
		p.events |= POLLOUT;
	if (until_ns > deadline_ns)
		until_ns = deadline_ns;
	return !net_poll(&p, 1, until_ns) && p.revents & ~POLLOUT;
}

/* recvmsg; where nothing is there it waits for it up to a tick. */
static ssize_t receive_message(struct mux *t, struct msghdr *msg,
			       uint64_t deadline_ns, uint64_t spin_ns)
{
	if (!t->stuck && !t->sending) {
		ssize_t got = -1;

		errno = EAGAIN;
		if (spin_ns && spin_pays(&t->spin))
			got = receive_spinning(t, msg, spin_ns);
		if (got >= 0 || errno != EAGAIN)
			return got;
		if (clock_left_ns(deadline_ns) >= TICK_NS / 2)
			return recvmsg(t->fd, msg, 0);
	}
	/* recvmsg waits neither for room to send, nor for less than a tick. */
	if (!await_input(t, deadline_ns)) {
		errno = EAGAIN;
		return -1;
	}
	return recvmsg(t->fd, msg, MSG_DONTWAIT);
}

/* Receives once: as much as there is, and waits for it unless it only drains.
 * 0, -EAGAIN, or the errno that the multiplexed connection died of. */
static int receive(struct mux *t, uint64_t deadline_ns, uint64_t spin_ns,
		   bool drain)
{
	struct iovec iov[2];
	struct msghdr msg = { .msg_iov = iov,
			      .msg_iovlen = receive_room(t, iov) };
	ssize_t got = drain ? recvmsg(t->fd, &msg, MSG_DONTWAIT)
			    : receive_message(t, &msg, deadline_ns, spin_ns);

	if (got > 0) {
		received(t, (size_t)got);
		return 0;
	}
	if (got == 0)
		return -ECONNRESET;
	return errno == EINTR ? -EAGAIN : -errno;
}

/* The reply's result for OP: 0, -EREMOTEIO or -EPROTO. */
static int judge(const struct mux *t, const struct mux_op *op)
{
	const struct xfer *x = op->xfer;
	struct wire_data_reply reply;

	if (wire_decode_reply(t->in + t->in_at, &reply) != WIRE_OK ||
	    reply.cookie != op->cookie)
		return -EPROTO;
	if (reply.status)
		return -EREMOTEIO;
	return reply.bytes == (x->op == XFER_READ ? x->bytes : 0) ? 0 : -EPROTO;
}

/* Takes the head out of the list, and appends it to a chain. */
static struct mux_op **take_head(struct mux *t, struct mux_op **end)
{
	struct mux_op *op = t->head;

	t->head = op->next;
	if (!t->head)
		t->tail = &t->head;
	t->batches -= op->ends_batch;
	t->filling = NULL;
	op->next = NULL;
	*end = op;
	return &op->next;
}

/* Where the payload of the head is: all of it in the input buffer, or partly to
 * come.  True where it is all there. */
static bool take_payload(struct mux *t, struct mux_op *op)
{
	uint32_t have = t->in_end - t->in_at;
	struct xfer *x = op->xfer;

	op->payload = NULL;
	if (x->op == XFER_WRITE)
		return true;
	if (have >= x->bytes) {
		op->payload = t->in + t->in_at;
		t->in_at += x->bytes;
		return true;
	}
	memcpy(x->buf, t->in + t->in_at, have);
	t->in_at = t->in_end;
	t->filling = op;
	t->fill_at = (char *)x->buf + have;
	t->fill_left = x->bytes - have;
	return false;
}

/* Chains the ops whose replies are complete.  0, or the errno that the
 * multiplexed connection died of.  Under the lock. */
static int take_replies(struct mux *t, struct mux_op **end)
{
	*end = NULL;
	if (t->filling && t->fill_left == 0)
		end = take_head(t, end);
	while (!t->filling && t->in_end - t->in_at >= REPLY_BYTES) {
		struct mux_op *op = t->head;

		if (!op || op == t->unsent)
			return -EPROTO; /* a reply to no request */
		/* It stays in the list, as its payload may still be on the
		 * way out. */
		op->verdict = judge(t, op);
		if (op->verdict)
			return op->verdict == -EREMOTEIO ? -ECONNRESET
							 : op->verdict;
		t->in_at += REPLY_BYTES;
		if (take_payload(t, op))
			end = take_head(t, end);
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
static uint32_t next_leader(const struct mux *t, const struct mux_waiter *self)
{
	for (struct mux_op *op = t->head; op; op = op->next) {
		const struct mux_waiter *w = op->waiter;

		if (w != self && atomic_load(&w->waiting) && lacks(w))
			return w->bit;
	}
	return 0;
}

/* Lets go of the role.  Under the lock.  Returns the bits of the waiters to
 * wake. */
static uint32_t let_go(struct mux *t, const struct mux_waiter *self)
{
	atomic_store(&t->leading, false);
	return t->dead ? bury(t) : next_leader(t, self);
}

/* Lets go of the role that came with nothing to do. */
static void pass_on(struct mux *t, const struct mux_waiter *self)
{
	uint32_t bits;

	pthread_mutex_lock(&t->lock);
	bits = let_go(t, self);
	pthread_mutex_unlock(&t->lock);
	wake(t, bits);
}

/* One receive and all that follows from it.  True while the role is kept. */
static bool lead_once(struct mux *t, const struct mux_waiter *self,
		      uint64_t deadline_ns, uint64_t spin_ns, bool drain)
{
	struct mux_op *chain = NULL;
	int rc = receive(t, deadline_ns, spin_ns, drain);
	uint32_t bits = 0;
	bool done;

	if (!rc) {
		pthread_mutex_lock(&t->lock);
		rc = take_replies(t, &chain);
		pthread_mutex_unlock(&t->lock);
		bits = settle_chain(chain, self);
	}
	pthread_mutex_lock(&t->lock);
	if (rc && rc != -EAGAIN)
		die(t, rc);
	pump(t);
	/* A reply that comes drop by drop is also too late. */
	done = !lacks(self) || t->dead ||
	       (drain ? rc == -EAGAIN : clock_left_ns(deadline_ns) == 0);
	if (done)
		bits |= let_go(t, self);
	pthread_mutex_unlock(&t->lock);
	wake(t, bits);
	return !done;
}

static void lead(struct mux *t, const struct mux_waiter *self,
		 uint64_t deadline_ns, uint64_t spin_ns, bool drain)
{
	/* The role may have come free with the end of this thread's ops. */
	if (!lacks(self)) {
		pass_on(t, self);
		return;
	}
	while (lead_once(t, self, deadline_ns, spin_ns, drain))
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

void mux_wait(struct mux *t, struct mux_waiter *self, const struct xfer *xfers,
	      size_t n, size_t want, uint64_t deadline_ns, uint64_t spin_ns)
{
	bool drained = false;

	atomic_store(&self->waiting, true);
	for (;;) {
		uint32_t seq = atomic_load(&t->seq);
		bool late = clock_left_ns(deadline_ns) == 0;

		if (!want_more(self, xfers, n, want) || (late && drained))
			break;
		if (!t->dead && !atomic_exchange(&t->leading, true)) {
			/* Late, perhaps because it waited for another server:
			 * the answers may have been here for long. */
			lead(t, self, deadline_ns, spin_ns, late);
			drained = late;
		} else if (late) {
			drained = true; /* by the leader */
		} else {
			sleep_until(t, seq, self->bit, deadline_ns);
		}
	}
	atomic_store(&self->waiting, false);
	/* A waiter that still lacks ops may have been chosen to lead. */
	if (lacks(self) && !atomic_exchange(&t->leading, true))
		pass_on(t, self);
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
	     uint64_t timeout_ns, uint64_t deadline_ns, struct mux **mux,
	     struct error *why)
{
	struct timeval tick = { .tv_usec = TICK_NS / NS_PER_US };
	struct mux *t = calloc(1, sizeof *t);
	int rc;

	if (!t) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	t->tail = &t->head;
	t->fd = net_connect(addr, deadline_ns, why);
	if (t->fd < 0) {
		rc = t->fd;
		free(t);
		return rc;
	}
	net_tune(t->fd, timeout_ns);
	setsockopt(t->fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick);
	rc = join(t->fd, token, deadline_ns, why);
	if (rc) {
		close(t->fd);
		free(t);
		return rc;
	}
	pthread_mutex_init(&t->lock, NULL);
	*mux = t;
	return 0;
}

void mux_close(struct mux *t)
{
	close(t->fd);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
