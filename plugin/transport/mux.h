/* A multiplexed connection: a TCP connection to a memory server that many lanes
 * share, so that under load several requests leave in one sendmsg, several
 * replies come in one recvmsg, and one futex call wakes all threads whose
 * replies came.
 *
 * It has no thread of its own.  Ops wait in one list, in the order in which
 * they are sent and answered:
 *
 *   head                     unsent
 *     op -- op -- op -- op -- op -- op
 *     \______ sent _______/  \_ queued _/
 *
 * Two roles go round among the threads that have ops in the list:
 *
 *   sender   gathers the queued ops and sends them.  A thread that submits
 *            takes the role if it is free; so does the leader after every
 *            receive.  At most MUX_BATCHES sends may be unanswered.  Ops that
 *            are submitted meanwhile are queued, and leave together.  So
 *            batches grow where the network or the server is slow, and a lone
 *            request leaves at once.
 *   leader   receives, matches replies with the head of the list, copies pages
 *            to where they belong, and wakes their owners.  Any waiting thread
 *            takes the role if it is free.  A leader whose own ops are over
 *            hands the role to another waiting thread.
 *
 * A thread that holds a role sleeps only for this socket's bytes.  Sends never
 * block: bytes that the socket does not take are left over (`stuck`), and the
 * leader also polls for room.  A reply may match a request that is only half
 * sent.  Our server never replies early, so this is not checked.
 *
 * A multiplexed connection dies once, and stays dead: the socket is shut down,
 * and the thread that lets go of the last role fails every op ("bury").  Until
 * then buffers may be touched.  So a thread that has to end its ops kills the
 * multiplexed connection and waits for the burial, which comes soon.
 *
 * The leader settles an op: it gives the op back to its owner, then sets the
 * xfer's status, then tells the waiter.  An owner may wait for some of its ops
 * only, and leave others in the list.
 *
 * Wake-ups: an op's owner is a waiter, with a bit.  Sleepers compare `seq`,
 * which changes after every change that matters to them and before the wake.
 * So a change between the check and the sleep is never missed.  Before it
 * sleeps, a waiter stores how many ops it lacks (`left`), and then counts them
 * again.  The thread that settles an op stores the status, then takes 1 off
 * `left`, and wakes the waiter when `left` reaches 0.  So no wake-up is missed;
 * an op that the waiter did not lack may wake the waiter early.  A waiter
 * stores `waiting` and `left`, and then tries to take the leader's role.  A
 * leader lets go of the role, and then reads both.  All are seq_cst, so that
 * one of the two threads sees the other.
 *
 * A thread that runs many requests at a time does not wait here.  It queues ops
 * (mux_queue), sends what its requests have queued in one turn (mux_flush), and
 * takes the leader's role only to receive what is there (mux_look).  Its ops
 * have a waker, and count for no waiter.
 *
 * Locks: `lock` guards the list and the sender's role.  It is a leaf.  It is
 * held for a few instructions, or while the first bytes of one READ's payload
 * are copied.
 */
#ifndef RSWAP_MUX_H
#define RSWAP_MUX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "net.h"
#include "transport.h"
#include "wire.h"

struct mux;

/* A thread that waits for ops on one multiplexed connection.  The waiter lives
 * as long as the multiplexed connection: another thread may still read the
 * waiter when all of its ops are over. */
struct mux_waiter {
	_Atomic int32_t left; /* ops that the waiter lacks; 0 or less: none */
	_Atomic bool waiting;
	uint32_t bit; /* of a futex bit set; waiters may share it */
};

/* A transfer on its way.  An op is the submitter's until mux_submit, and again
 * once it is not busy. */
struct mux_op {
	_Atomic bool busy;
	struct mux_op *next;
	struct xfer *xfer;
	struct mux_waiter *waiter;
	struct waker *waker; /* NULL: a thread waits for the op */
	uint64_t cookie;
	const uint8_t *payload; /* the leader's: received, not copied */
	int verdict;		/* the leader's: the reply's result */
	bool ends_batch;
	struct wire_data_request frame;
};

/* Connects and joins.  0 or a negative errno.  TIMEOUT_NS: a silent host is
 * dead after this long. */
int mux_open(const struct net_addr *addr, const struct wire_join *token,
	     uint64_t timeout_ns, uint64_t deadline_ns, struct mux **mux,
	     struct error *why);
/* The heap that one takes. */
size_t mux_bytes(void);
/* No thread uses MUX any more. */
void mux_close(struct mux *mux);

/* Kills the multiplexed connection: every op in it, and every later op, fails
 * with -ECONNRESET.  Any thread; may be called again. */
void mux_abort(struct mux *mux);

/* Queues a chain of ops; mux_submit also sends as many as may be sent.  The ops
 * are busy and their xfers' status is -EINPROGRESS already.  Where the
 * multiplexed connection is dead, the status becomes the errno that it died of.
 */
void mux_submit(struct mux *mux, struct mux_op *first, struct mux_op *last);
void mux_queue(struct mux *mux, struct mux_op *first, struct mux_op *last);

/* For a thread that does not wait here.  mux_flush sends as many queued ops as
 * may be sent.  mux_look receives once, settles the ops whose replies came, and
 * sends again; unless another thread does so now, which then wakes the ops'
 * wakers.  mux_poll tells for what to poll which fd. */
void mux_flush(struct mux *mux);
void mux_look(struct mux *mux);
int mux_poll(const struct mux *mux, short *events);

/* Returns when at least WANT of the N xfers are over, or when DEADLINE_NS has
 * passed and the replies that had come by then are settled.  At least as many
 * of the N as are still lacking have to be ops of WAITER on this multiplexed
 * connection.  A leader spins for SPIN_NS before it sleeps, and may overstay
 * its deadline by some milliseconds. */
void mux_wait(struct mux *mux, struct mux_waiter *waiter,
	      const struct xfer *xfers, size_t n, size_t want,
	      uint64_t deadline_ns, uint64_t spin_ns);

#endif
