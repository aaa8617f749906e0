/* A non-blocking connection with the messages of wire.h, and bounded buffers.
 * The owner embeds struct conn, and knows the meaning of the messages.
 *
 * The first byte tells whether the peer begins with TLS.  The owner then says
 * whether TLS is spoken here (conn_start_tls).  The steps of a handshake cost
 * some 100 us of a processor each, so the owner decides when a step is done
 * (conn_shake), and the connection waits meanwhile.
 *
 * Main loop only.  Only conn_detach ends the connection before it returns.
 * After every other function the owner hears of the end through ops->ended. */
#ifndef RSWAP_CONN_H
#define RSWAP_CONN_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stream.h"
#include "wire.h"

#define CONN_IN_BYTES  4096
#define CONN_OUT_BYTES 65536

struct conn;

struct conn_ops {
	/* A message has come.  False when the owner has detached CONN, which
	 * may be freed by then. */
	bool (*message)(struct conn *conn, const struct wire_message *m);

	/* The peer sent bytes that are no message.  The owner calls
	 * conn_leave. */
	void (*garbage)(struct conn *conn, enum wire_verdict verdict,
			uint32_t cookie);

	/* The peer has begun with TLS.  The owner calls conn_start_tls or
	 * conn_leave. */
	void (*tls)(struct conn *conn);

	/* A step of the handshake can be done: the owner calls conn_shake when
	 * it is the connection's turn. */
	void (*shake)(struct conn *conn);

	/* The handshake failed.  The owner calls conn_leave. */
	void (*unproved)(struct conn *conn, const char *why);

	/* The time that conn_limit set is over.  Returns the reason, which
	 * ops->ended gets. */
	const char *(*timeout)(struct conn *conn);

	/* The connection is over.  The owner detaches, closes and frees. */
	void (*ended)(struct conn *conn, const char *why);
};

enum conn_phase {
	CONN_SILENT,	/* no byte has come */
	CONN_HANDSHAKE, /* of TLS */
	CONN_MESSAGES,
};

struct conn {
	const struct conn_ops *ops;
	struct ev_loop *loop;
	struct stream stream;
	enum conn_phase phase;
	ev_io io;
	ev_timer timer;
	ev_timer again;	     /* messages are left of the last turn */
	bool whole_messages; /* receives nothing beyond the current message */
	bool leaving;	     /* sends what is queued, then ends */
	bool unheard;	     /* sending failed: receives until the end */
	const char *broken;  /* why the timer ends the connection, or NULL */
	size_t in_bytes;
	size_t out_bytes;
	uint8_t in[CONN_IN_BYTES];
	uint8_t out[CONN_OUT_BYTES];
};

/* CONN is zeroed.  Until the owner clears whole_messages, the bytes behind the
 * current message stay in the socket. */
void conn_open(struct conn *conn, struct ev_loop *loop, int fd,
	       const struct conn_ops *ops);

/* Speaks TLS from here on.  False when memory is short. */
bool conn_start_tls(struct conn *conn, const struct tls_context *tls);

/* Does a step of the handshake.  False when the connection ended, and the owner
 * has detached CONN. */
bool conn_shake(struct conn *conn);

/* Whether a handshake is under way, and the peer's first message was made with
 * a key (tls_is_answered). */
bool conn_is_answered(const struct conn *conn);

/* Whether the peer has proved a key, in a handshake that is over. */
bool conn_is_proved(const struct conn *conn);

/* The identity that the peer proved, or "" for a connection without TLS. */
const char *conn_identity(const struct conn *conn);

/* Ends the connection after SECONDS; below 0: never. */
void conn_limit(struct conn *conn, double seconds);

/* Sends M, now or when the peer reads.  If sending fails, the messages that the
 * peer sent before still come.  False when the peer has not read for so long
 * that there is no room: the connection will end. */
bool conn_send(struct conn *conn, const struct wire_message *m);

/* Sends the queued bytes, for a moment, and ends.  Bytes that the peer still
 * sends are thrown away. */
void conn_leave(struct conn *conn);

/* Ends the connection without sending the queued bytes.  It ends soon, from its
 * own timer, as the caller may be another connection's callback.  WHY is kept,
 * not copied. */
void conn_cut(struct conn *conn, const char *why);

/* Ends the use of CONN, and of TLS, and returns its socket, which the caller
 * owns. */
int conn_detach(struct conn *conn);

#endif
