/* The replies of a connection, in the order in which they are sent: a list of
 * slots, each with a head and perhaps bytes of its buffer.  A slot goes back
 * when its reply is sent.  The loop's thread. */
#ifndef RSWAP_NBD_REPLIES_H
#define RSWAP_NBD_REPLIES_H

#include <sys/uio.h>

#include "host.h"
#include "protocol.h"

/* Replies of one send: as many as fit the socket's buffer. */
#define REPLIES_OF_SEND 64
#define REPLIES_IOV	(2 * REPLIES_OF_SEND + 2)

struct replies {
	const struct host *host;
	const struct nbd_terms *terms; /* the connection's */
	struct slot *first, **last;
	size_t sent; /* bytes of the first reply that are sent */
};

void replies_init(struct replies *replies, const struct host *host,
		  const struct nbd_terms *terms);

/* These add the reply to the slot's request.  ERROR 0: a success without
 * content.  An extents reply has BYTES of the slot's buffer. */
void replies_add_error(struct replies *replies, struct slot *slot,
		       enum nbd_error error);
void replies_add_read(struct replies *replies, struct slot *slot);
void replies_add_extents(struct replies *replies, struct slot *slot,
			 uint32_t bytes);

/* Sets IOV to what is to be sent next, and returns the number of its parts. */
size_t replies_gather(const struct replies *replies,
		      struct iovec iov[REPLIES_IOV]);
/* BYTES more are sent. */
void replies_sent(struct replies *replies, size_t bytes);
/* Drops all replies. */
void replies_drop(struct replies *replies);

#endif
