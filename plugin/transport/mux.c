#include "mux.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "clock.h"
#include "mux_receive.h"
#include "waker.h"
#include "wireio.h"

/* Sends that may be unanswered.  One is best where processors are scarce;
 * docs/performance.md has the figures. */
#define MUX_BATCHES 1

/* The most bytes that one send has, so that the server does not begin late. */
#define OUT_BYTES (512u << 10)

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
	struct waker *waker = op->waker;
	struct xfer *x = op->xfer;

	op->busy = false;
	x->status = status;
	/* From here on another thread may use op and x anew, or free them. */
	if (waker)
		waker_wake(waker);
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

	for (; op && n + 2 <= MUX_OUT_IOV && bytes < OUT_BYTES; op = op->next) {
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

static void submit(struct mux *mux, struct mux_op *first, struct mux_op *last,
		   bool send)
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
		if (send)
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

void mux_submit(struct mux *mux, struct mux_op *first, struct mux_op *last)
{
	submit(mux, first, last, true);
}

void mux_queue(struct mux *mux, struct mux_op *first, struct mux_op *last)
{
	submit(mux, first, last, false);
}

void mux_flush(struct mux *mux)
{
	uint32_t bits;

	pthread_mutex_lock(&mux->lock);
	pump(mux);
	bits = bury(mux);
	pthread_mutex_unlock(&mux->lock);
	wake(mux, bits);
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
	int rc = mux_receive(mux, deadline_ns, spin_ns, drain);
	uint32_t bits = 0;
	bool done;

	if (!rc) {
		pthread_mutex_lock(&mux->lock);
		rc = mux_take_replies(mux, &chain);
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

void mux_look(struct mux *mux)
{
	static const struct mux_waiter nobody; /* lacks no op: leads once */

	if (!mux->dead && !atomic_exchange(&mux->leading, true))
		lead_once(mux, &nobody, 0, 0, true);
}

int mux_poll(const struct mux *mux, short *events)
{
	*events = (short)(mux->stuck ? POLLIN | POLLOUT : POLLIN);
	return mux->fd;
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
	struct stream stream = stream_plain(fd);

	return wire_call(&stream, &request, WIRE_JOINED, &reply, deadline_ns,
			 why);
}

int mux_open(const struct net_addr *addr, const struct wire_join *token,
	     uint64_t timeout_ns, uint64_t deadline_ns, struct mux **made,
	     struct error *why)
{
	struct timeval tick = { .tv_usec = MUX_TICK_NS / NS_PER_US };
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

size_t mux_bytes(void)
{
	return sizeof(struct mux);
}

void mux_close(struct mux *mux)
{
	close(mux->fd);
	pthread_mutex_destroy(&mux->lock);
	free(mux);
}
