/* What mux.c and mux_receive.c share: the state of a multiplexed connection,
 * and the leader's half of it, which turns bytes into replies.  mux.h tells who
 * the leader and the sender are. */
#ifndef RSWAP_MUX_RECEIVE_H
#define RSWAP_MUX_RECEIVE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "clock.h"
#include "mux.h"
#include "spin.h"
#include "transport.h"

/* How often a receive that waits checks its deadline, and so by how much the
 * receive may overstay the deadline.  The kernel rounds this up to ticks of its
 * own.  Not longer than the shortest wait before a read asks one more server
 * (io/read.c), so that this wait is one recvmsg without a poll. */
#define MUX_TICK_NS (2 * NS_PER_MS)

/* The iovecs of one send: enough for the transfers of any lane. */
#define MUX_OUT_IOV (4 * TRANSPORT_MAX_XFERS)

/* Room for the replies of many small reads.  The rest of a large reply goes
 * straight from the socket to its destination. */
#define MUX_IN_BYTES (128u << 10)

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
	struct iovec out[MUX_OUT_IOV];
	size_t out_at, out_end;

	/* the leader's */
	struct mux_op *filling; /* the head, whose payload comes in */
	char *fill_at;
	uint32_t fill_left;
	struct spin spin;
	uint32_t in_at, in_end;
	uint8_t in[MUX_IN_BYTES];
};

/* Receives once, as much as there is.  Unless DRAIN is set, waits for it: until
 * DEADLINE_NS, for MUX_TICK_NS at most, of that SPIN_NS spinning.  0, -EAGAIN,
 * or the errno that the multiplexed connection died of.  The leader calls. */
int mux_receive(struct mux *mux, uint64_t deadline_ns, uint64_t spin_ns,
		bool drain);

/* Takes the ops whose replies are complete out of the list, and chains them at
 * *END.  Payloads that are still in the input buffer stay there until the next
 * mux_receive (op->payload).  0, or the errno that the multiplexed connection
 * died of.  The leader calls, under the lock. */
int mux_take_replies(struct mux *mux, struct mux_op **end);

#endif
