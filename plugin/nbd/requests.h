/* The requests of a connection: the bytes that its client sent, and what is
 * made of them.  A request takes a slot, and goes to the loop; its reply is
 * added to the connection's replies when it is done.  Nothing here touches the
 * socket. The loop's thread. */
#ifndef RSWAP_NBD_REQUESTS_H
#define RSWAP_NBD_REQUESTS_H

#include <sys/uio.h>

#include "host.h"
#include "replies.h"

/* Room for as many small writes as a connection of the kernel has in flight,
 * 16 of a page.  The bytes of a larger write go straight to its buffer. */
#define REQUESTS_IN_BYTES (68u << 10)

struct requests {
	const struct host *host;
	const struct nbd_terms *terms; /* the connection's */
	struct replies *replies;
	struct slots_client client; /* joined while requests are taken */
	bool ended;		    /* no more requests are taken */
	bool starved;		    /* a request waits for a slot or a buffer */
	bool maps;		    /* for a buffer that is being mapped */
	uint32_t busy;		    /* requests with the loop */

	struct slot *filling; /* a WRITE whose bytes come in */
	uint32_t filled;
	/* A WRITE that is refused.  A client may not understand a reply to what
	 * it is still sending, so first come its bytes. */
	struct slot *refused;
	enum nbd_error error;
	uint32_t skip; /* bytes of it that are to come */

	/* The input from in_at to in_end is to be taken. */
	uint32_t in_at, in_end;
	uint8_t in[REQUESTS_IN_BYTES];
};

/* Q is zeros. */
void requests_init(struct requests *q, const struct host *host,
		   const struct nbd_terms *terms, struct replies *replies);
/* None is with the loop. */
void requests_drop(struct requests *q);

/* Whether a slot waits for bytes that the client has not sent yet. */
static inline bool requests_await_bytes(const struct requests *q)
{
	return q->filling || q->refused;
}

/* Whether there is room for more bytes of the client. */
static inline bool requests_have_room(const struct requests *q)
{
	return q->filling || q->in_end - q->in_at < REQUESTS_IN_BYTES;
}

/* Where the next bytes of the client go, if there is room: the number of parts
 * of IOV.  BYTES of them came. */
size_t requests_room(struct requests *q, struct iovec iov[2]);
void requests_received(struct requests *q, size_t bytes);

/* Takes all requests of the input. */
void requests_take(struct requests *q);

/* The input cannot be understood from here on: WHY goes to the log. */
void requests_give_up(struct requests *q, const char *why);

#endif
