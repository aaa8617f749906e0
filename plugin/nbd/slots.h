/* Slots: a request of a client, its buffer and its reply.  A server has a fixed
 * number of them.  A client whose next request finds no slot, or no buffer, is
 * not read from until there is one.  The time that a request has counts from
 * its slot, so there are more slots than lanes.
 *
 * Buffers are of three sizes, because most requests are small: each slot has
 * room for a page; for every four lanes there is a medium buffer for what the
 * kernel reads ahead, and a large one for the most that its nbd device sends.
 * A request that is larger still comes from a tool.  Its buffer is mapped for
 * this one request (mapper.h), SLOT_HUGE_BYTES of such memory at a time.
 *
 * Half of the slots, and of the buffers of each size, is kept for the clients,
 * in equal parts.  A client takes more than its part only of what is not kept
 * for the others.  Otherwise a client that reads no replies would hold all, and
 * the kernel's connections, which may have the pages that this client waits
 * for, would get none.  Nothing is kept of the memory for larger requests: the
 * kernel's connections do not need it.
 *
 * The loop's thread. */
#ifndef RSWAP_NBD_SLOTS_H
#define RSWAP_NBD_SLOTS_H

#include "error.h"
#include "loop/loop.h"
#include "mapper.h"
#include "protocol.h"

/* As many requests as two connections of the kernel's nbd device send. */
#define SLOTS 256u

#define SLOT_SMALL_BYTES (4u << 10)
/* The most that the kernel reads ahead by default (vm.page-cluster=3). */
#define SLOT_MEDIUM_BYTES (32u << 10)
/* The most that the kernel's nbd device sends by default. */
#define SLOT_LARGE_BYTES (128u << 10)

/* Two of the largest requests. */
#define SLOT_HUGE_BYTES (2 * (uint64_t)NBD_REQUEST_MAX)

struct requests;

/* What is kept for clients. */
enum slots_kind { SLOTS_ANY, SLOTS_MEDIUM, SLOTS_LARGE, SLOTS_KINDS };

/* A client of the slots. */
struct slots_client {
	struct slots_client *next;
	uint32_t has[SLOTS_KINDS];
	struct mapping huge; /* for its next request */
	/* The client goes on only when another one gives slots back. */
	bool waits;
};

struct slot {
	struct loop_request run;   /* the first member */
	struct requests *requests; /* whose it is */
	struct slots_client *client;
	struct nbd_request request;
	struct slot *next; /* free, or in the list of replies */

	uint8_t *small;	      /* SLOT_SMALL_BYTES, its own */
	uint8_t *buffer;      /* the request's: small, or another */
	enum slots_kind kind; /* of the buffer; SLOTS_ANY: small, or mapped */
	uint64_t huge_bytes;  /* of a buffer that was mapped; else 0 */

	uint8_t head[NBD_CHUNK_BYTES + 8]; /* of the reply */
	uint32_t head_bytes;
	uint32_t data_bytes; /* of the buffer, after the head */
};

struct slots {
	struct mapper *mapper;
	struct slots_client *clients;
	uint32_t n_clients;
	uint32_t total[SLOTS_KINDS], n_free[SLOTS_KINDS];
	struct slot *all;
	struct slot *free;
	uint8_t *memory[SLOTS_KINDS];	/* [total] of the kind's bytes */
	uint8_t **buffers[SLOTS_KINDS]; /* [n_free]; SLOTS_ANY has none */
	uint64_t huge_bytes;		/* mapped, or asked for */
	bool wanted; /* slots_get returned -EAGAIN since it was cleared */
};

/* For LANES requests in flight at the memory servers.  MAPPER, which may be
 * started later, outlives the slots.  0 or a negative errno. */
int slots_create(struct slots *slots, uint32_t lanes, struct mapper *mapper,
		 struct error *why);
void slots_destroy(struct slots *slots);

/* CLIENT, which is zeros, may take slots until it leaves. */
void slots_join(struct slots *slots, struct slots_client *client);
/* All its slots are back. */
void slots_leave(struct slots *slots, struct slots_client *client);

/* Memory that is mapped for the next request of CLIENT is not needed: the
 * client takes no more slots.  CLIENT has joined, or is zeros. */
void slots_forget(struct slots *slots, struct slots_client *client);

/* Whether a client waits, other than CLIENT. */
bool slots_others_wait(const struct slots *slots,
		       const struct slots_client *client);
/* No client waits, until it is found that one still does. */
void slots_clear_waits(struct slots *slots);

/* Gets a slot with a buffer of at least BYTES.  0; -EAGAIN where CLIENT gets
 * none until others are put; -EINPROGRESS where the buffer of a request that is
 * larger than SLOT_LARGE_BYTES is being mapped: CLIENT asks again with the same
 * BYTES after the mapper has told the loop, or slots_forget; -ENOMEM where
 * there is no memory for such a buffer.  After -ENOMEM there is a slot without
 * such a buffer. */
int slots_get(struct slots *slots, struct slots_client *client, uint32_t bytes,
	      struct slot **got);
void slots_put(struct slots *slots, struct slot *slot);

#endif
