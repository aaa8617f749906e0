/* A multiplexed connection: a TCP connection to a memory server that many lanes
 * share, so that under load several requests leave in one sendmsg, several
 * replies come in one recvmsg, and one futex call wakes all whose replies came.
 *
 * There is no thread of its own.  Ops wait in one list, in the order in which
 * they are sent and answered:
 *
 *   head                     unsent
 *     op -- op -- op -- op -- op -- op
 *     \______ sent _______/  \_ queued _/
 *
 * Two roles go round among the threads that have ops in it:
 *
 *   sender   gathers what is queued and sends it.  Whoever submits takes the
 *            role if it is free, and the leader after every receive.  At most
 *            MUX_BATCHES sends may be unanswered: what is submitted
 *            meanwhile is queued, and leaves together.  So the less the
 *            network and the server keep up, the larger the batches; a lone
 *            request leaves at once.
 *   leader   receives, matches replies with the head of the list, copies pages
 *            to where they belong, and wakes their owners.  Any waiting thread
 *            takes the role if it is free; one whose own ops are done hands it
 *            to another that waits.
 *
 * Neither role is held while asleep for anything but this socket's bytes, and
 * sends never block: bytes that the socket does not take are left over (stuck)
 * and the leader polls for room too.  An answer to a request that is not wholly
 * sent is not told from a good one; no server of ours gives such.
 *
 * A multiplexed connection dies once, and stays dead: the socket is shut down,
 * and whoever lets go of the last role fails every op ("bury").  Until then
 * buffers may be touched; so who has to be rid of its ops kills the multiplexed
 * connection and waits for the burial, which is near.
 *
 * An op is settled by whoever leads: it is its owner's again, then its xfer
 * gets its status, then its waiter is told.  An owner may wait for some of its
 * ops only, and leave others in the list.
 *
 * Wake-ups: an op's owner is a waiter, with a bit.  Sleepers compare `seq`,
 * which changes after every change that matters to them and before the wake; so
 * a change between looking and sleeping is never missed.  Before it sleeps, a
 * waiter stores how many ops it lacks (`left`) and then counts them again; who
 * settles one stores its status and then takes one off `left`, and wakes at the
 * last.  So none is missed; one that the waiter did not lack may wake it early.
 * A waiter stores `waiting` and `left` and then tries for the leader's role; a
 * leader lets go of the role and then looks at both.  All are seq_cst, so that
 * one of the two sees the other.
 *
 * Locks: `lock` guards the list and the sender's role, is held for a few
 * instructions, and is a leaf.
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

/* A thread that waits for ops on one multiplexed connection.  Lives as long as
 * the multiplexed connection: another thread may still look at it when all of
 * its ops are over. */
struct mux_waiter {
	_Atomic int32_t left; /* ops that it lacks; at most 0: none */
	_Atomic bool waiting;
	uint32_t bit; /* of a futex bit set; others may have it too */
};

/* A transfer on its way.  The submitter's until mux_submit, and again once it
 * is not BUSY. */
struct mux_op {
	_Atomic bool busy;
	struct mux_op *next;
	struct xfer *xfer;
	struct mux_waiter *waiter;
	uint64_t cookie;
	const uint8_t *payload; /* the leader's: what came, not yet copied */
	int verdict;		/* the leader's: what its reply said */
	bool ends_batch;
	struct wire_data_request frame;
};

/* Connects and joins.  0 or a negative errno.  TIMEOUT_NS: a silent host is
 * dead after this long. */
int mux_open(const struct net_addr *addr, const struct wire_join *token,
	     uint64_t timeout_ns, uint64_t deadline_ns, struct mux **mux,
	     struct error *why);
/* Nobody uses it any more. */
void mux_close(struct mux *mux);

/* Kills the multiplexed connection: everything in it and everything later fails
 * with -ECONNRESET.  Any thread; again is allowed. */
void mux_abort(struct mux *mux);

/* Queues a chain of ops, and sends what may be sent.  They are busy and their
 * xfers' status is -EINPROGRESS already; it becomes why the multiplexed
 * connection is dead, where it is. */
void mux_submit(struct mux *mux, struct mux_op *first, struct mux_op *last);

/* Returns when at least WANT of the N xfers are over, or DEADLINE_NS has passed
 * and what had come by then is settled.  As many as are wanting have to be ops
 * of WAITER on this multiplexed connection.  A leader spins SPIN_NS before it
 * sleeps, and may overstay its deadline by some milliseconds. */
void mux_wait(struct mux *mux, struct mux_waiter *waiter,
	      const struct xfer *xfers, size_t n, size_t want,
	      uint64_t deadline_ns, uint64_t spin_ns);

#endif
