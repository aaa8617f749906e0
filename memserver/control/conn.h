/* A non-blocking connection that carries the messages of wire.h, with bounded
 * buffers.  What the messages mean is its owner's affair, who embeds it.
 *
 * Main loop only.  No function here ends the connection before it returns,
 * but for conn_detach: the owner hears of the end through ops->ended. */
#ifndef RSWAP_CONN_H
#define RSWAP_CONN_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

#define CONN_IN_BYTES  4096
#define CONN_OUT_BYTES 65536

struct conn;

struct conn_ops {
	/* A message has come.  False when the owner has detached CONN, which
	 * may be freed by then. */
	bool (*message)(struct conn *conn, const struct wire_message *m);

	/* What came is no message.  The owner calls conn_leave. */
	void (*garbage)(struct conn *conn, enum wire_verdict verdict,
			uint32_t cookie);

	/* The time that conn_limit set is over: the owner says why, for those
	 * who wait for the end. */
	const char *(*timeout)(struct conn *conn);

	/* It is over.  The owner detaches, closes and frees. */
	void (*ended)(struct conn *conn, const char *why);
};

struct conn {
	const struct conn_ops *ops;
	struct ev_loop *loop;
	int fd;
	ev_io io;
	ev_timer timer;
	bool whole_messages; /* receive nothing beyond the current message */
	bool leaving;	     /* sends what is queued, then ends */
	bool unheard;	     /* sending failed: only receives, to the end */
	const char *broken;  /* the timer ends it, and why */
	size_t in_bytes;
	size_t out_bytes;
	uint8_t in[CONN_IN_BYTES];
	uint8_t out[CONN_OUT_BYTES];
};

/* Starts with CONN zeroed.  It receives whole messages only until
 * whole_messages is cleared: what follows them stays in the socket. */
void conn_open(struct conn *conn, struct ev_loop *loop, int fd,
	       const struct conn_ops *ops);

/* Ends the connection after SECONDS; never, below 0. */
void conn_limit(struct conn *conn, double seconds);

/* Sends M, now or when the peer reads.  Where that fails, the messages that the
 * peer has sent before are still taken.  False when the peer has not read for
 * so long that there is no room: the connection will end. */
bool conn_send(struct conn *conn, const struct wire_message *m);

/* Sends what is queued, for a moment, and ends.  What the peer still sends is
 * thrown away. */
void conn_leave(struct conn *conn);

/* Ends it without sending what is queued, soon and from its own timer: the
 * caller may be another connection's callback.  WHY is kept, not copied. */
void conn_cut(struct conn *conn, const char *why);

/* Takes the socket back; CONN is of no use any more.  Returns the socket. */
int conn_detach(struct conn *conn);

#endif
