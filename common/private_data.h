/* The private data of rdma_cm: bytes from whoever speaks to the RDMA port.  A
 * connection request has JOIN in it, and a rejection ERROR; an acceptance has
 * nothing that this program looks at. */
#ifndef RSWAP_PRIVATE_DATA_H
#define RSWAP_PRIVATE_DATA_H

#include "wire.h"

/* What InfiniBand's REQ and REJ have room for, less what rdma_cm needs. */
#define PRIVATE_DATA_REQUEST_MAX 56
#define PRIVATE_DATA_REJECT_MAX	 148

/* Reads the message of TYPE that the BYTES at DATA begin with, aligned or not.
 * rdma_cm pads with bytes of no meaning, so what follows the message is not
 * looked at.  DATA may be NULL if BYTES is 0.  WIRE_BAD_LENGTH also if the
 * message is not all there.  Without WIRE_OK only the cookie of MESSAGE has a
 * meaning: the sender's where the header is good, else 0.  Pure: any thread. */
enum wire_verdict private_data_decode(const void *data, size_t bytes,
				      enum wire_type type,
				      struct wire_message *message);

#endif
