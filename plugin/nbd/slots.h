/* Slots: a request of a client, its buffer and its reply.  A server has a fixed
 * number of them.  A client whose next request finds no slot, or no buffer, is
 * not read from until there is one.  The time that a request has counts from
 * its slot, so there are more slots than lanes.
 *
 * Buffers are of two sizes, because most requests are small: each slot has room
 * for a page, and for every two lanes there is a buffer for requests up to what
 * the kernel's nbd device sends.  A request that is larger still comes from a
 * tool.  Its buffer is mapped for this one request, SLOT_HUGE_BYTES of such
 * memory at a time.
 *
 * The loop's thread. */
#ifndef RSWAP_NBD_SLOTS_H
#define RSWAP_NBD_SLOTS_H

#include "error.h"
#include "loop/loop.h"
#include "protocol.h"

/* As many requests as two connections of the kernel's nbd device send. */
#define SLOTS 256u

#define SLOT_SMALL_BYTES (4u << 10)
/* The most that the kernel's nbd device sends by default. */
#define SLOT_LARGE_BYTES (128u << 10)

/* Two of the largest requests. */
#define SLOT_HUGE_BYTES (2 * (uint64_t)NBD_REQUEST_MAX)

struct connection;

struct slot {
	struct loop_request run; /* the first member */
	struct connection *connection;
	struct nbd_request request;
	struct slot *next; /* free, or in the list of replies */

	uint8_t *small;	     /* SLOT_SMALL_BYTES, its own */
	uint8_t *buffer;     /* the request's: small, or another */
	uint64_t huge_bytes; /* of a buffer that was mapped; else 0 */

	uint8_t head[NBD_CHUNK_BYTES + 8]; /* of the reply */
	uint32_t head_bytes;
	uint32_t data_bytes; /* of the buffer, after the head */
};

struct slots {
	struct slot *all;
	uint32_t n;
	struct slot *free;
	uint8_t *small; /* [n][SLOT_SMALL_BYTES] */
	uint8_t *large; /* [n_large][SLOT_LARGE_BYTES] */
	uint32_t n_large;
	uint8_t **free_large;
	uint32_t n_free_large;
	uint64_t huge_bytes; /* mapped */
	bool wanted;	     /* slots_get found none since it was cleared */
};

/* For LANES requests in flight at the memory servers.  0 or a negative errno.
 */
int slots_create(struct slots *slots, uint32_t lanes, struct error *why);
void slots_destroy(struct slots *slots);

/* A slot with a buffer of at least BYTES, or NULL where there is none now. */
struct slot *slots_get(struct slots *slots, uint32_t bytes);
void slots_put(struct slots *slots, struct slot *slot);

#endif
