/* A TCP link, for tcp.c and tcp_frames.c; other files use link.h. */
#ifndef RSWAP_MEMSERVER_TCP_LINK_H
#define RSWAP_MEMSERVER_TCP_LINK_H

#include <stdatomic.h>

#include "link.h"

/* The input buffer takes many small frames at a time.  The rest of a large
 * WRITE goes from the socket to the slab, without this buffer. */
#define IN_BYTES (64u << 10)

/* Replies that wait to be sent.  A client with more requests in flight has to
 * read before the server reads on. */
#define REPLIES 128

/* A link may move that many bytes before the other links of its thread have
 * their turn. */
#define TURN_BYTES (4u << 20)

/* What a request costs besides its bytes, as if they were bytes: about as much
 * time as sending so many takes. */
#define TURN_REQUEST_BYTES 1024u

#define REPLY_BYTES sizeof(struct wire_data_reply)

struct reply {
	struct wire_data_reply frame;
	struct slab *slab; /* held while its bytes are sent, or NULL */
	uint8_t *payload;
	uint32_t payload_bytes;
};

enum tcp_state {
	RUNNING,
	LEAVING, /* queued replies are sent, no request is served any more */
};

/* The first group belongs to the main loop before the link starts and after the
 * link has ended.  Both threads use the two flags. */
struct tcp_link {
	struct link link;
	struct data_loop *loop;
	struct mail mail; /* gives the link to the thread, and back */
	atomic_bool close_wanted;
	atomic_bool look_for_freed; /* whether the link holds a freed slab */

	/* the data thread's */
	struct slab_pool *pool;
	uint32_t owner;	 /* the session's key */
	uint32_t number; /* the lane's number on the wire */
	struct peer_name peer;
	int fd;
	ev_io io;
	ev_timer leave_limit;
	struct data_member member;	/* of loop->members */
	const _Atomic uint32_t *weight; /* of the tenant */
	enum tcp_state state;
	bool dead; /* the socket has failed or was closed */
	bool more; /* the input buffer may have whole requests left */
	uint32_t in_at;
	uint32_t in_end;

	struct slab *write_slab; /* held while a WRITE comes in, or NULL */
	uint8_t *write_at;
	uint32_t write_left;
	uint32_t write_bytes;
	uint64_t write_cookie;

	unsigned first; /* of the queued replies */
	unsigned queued;
	size_t sent; /* bytes of the first */
	struct reply replies[REPLIES];

	uint8_t in[IN_BYTES];
};

/* All on the data thread. */

/* Receives once.  Returns the number of bytes; *DRAINED: the socket has no
 * more. */
size_t tcp_receive(struct tcp_link *l, bool *drained);

/* Serves the requests in the input buffer.  True when the buffer may hold more
 * requests, which need room in the queue of replies. */
bool tcp_serve_input(struct tcp_link *l);

/* Sends until the socket takes no more, or for one turn.  Returns the number of
 * bytes. */
size_t tcp_flush(struct tcp_link *l);

/* Receives once and throws the bytes away. */
void tcp_discard_input(struct tcp_link *l);

/* Drops every slab that the link holds, and its queued replies. */
void tcp_drop_all(struct tcp_link *l);

/* Whether the link holds a slab that was freed before BEFORE_NS. */
bool tcp_holds_freed(const struct tcp_link *l, uint64_t before_ns);

#endif
