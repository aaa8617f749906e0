/* A queue of a ublk device: a ring of io_uring by which the kernel hands over
 * requests, and on which they are answered.
 *
 * Each request of the queue has a tag, and each tag a buffer.  A FETCH gives
 * the tag to the kernel, and ends when there is a request with that tag.
 * COMMIT_AND_FETCH answers the request, and gives the tag back:
 *
 *   the kernel's --FETCH ends: a request--> the loop's --done--> to be sent
 *        ^  |                                                        |
 *        |  +--FETCH ends: there are no more--> over                 |
 *        |  +--no memory for the command now--> to be sent again ----+
 *        +-----------------COMMIT_AND_FETCH--------------------------+
 *
 * The kernel copies the bytes of a WRITE into the buffer before the FETCH
 * ends, and those of a READ out of it in COMMIT_AND_FETCH, both on the thread
 * of the queue.
 *
 * The descriptor of the ring is a source of the queue's loop.  One system call
 * in each turn sends the answers of this turn, and fetches what has come
 * meanwhile.
 *
 * Threads: queue_open, queue_fetch and the loop run on the queue's own thread,
 * as the kernel takes the commands of a queue from one thread only. */
#ifndef RSWAP_UBLK_QUEUE_H
#define RSWAP_UBLK_QUEUE_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "kernel.h"
#include "loop/loop.h"

struct queue;

struct tag {
	struct loop_request run; /* the first member */
	struct queue *queue;
	uint16_t number;
	/* The last command to the kernel: FETCH or COMMIT_AND_FETCH. */
	uint32_t op;
	int32_t result;
};

struct queue_config {
	struct loop *loop;
	struct engine *engine;
	uint64_t size_bytes; /* of the device */
	int char_fd;
	uint16_t number, depth;
	/* The kernel has not taken an answer, for another reason than that the
	 * device ends: it waits for the answer as long as this process lives.
	 * The queue's thread calls this. */
	void (*refused)(void);
};

struct queue {
	struct loop_source source; /* the first member */
	struct queue_config config;
	struct io_uring ring;
	const struct ublk_request *requests; /* [depth], the kernel writes */
	uint64_t requests_bytes;
	uint8_t *buffers; /* [depth][CONTROL_IO_BYTES] */
	struct tag *tags; /* [depth] */
	uint32_t n_alive; /* tags that are not over */
};

/* Allocates all memory, and adds the queue to its loop.  0 or a negative errno.
 */
int queue_open(struct queue *queue, const struct queue_config *config,
	       struct error *why);
/* Fetches on all tags.  When all of them are over, the loop ends.  0 or a
 * negative errno. */
int queue_fetch(struct queue *queue, struct error *why);
/* No request is with the loop. */
void queue_close(struct queue *queue);

uint64_t queue_memory_bytes(const struct queue *queue);

#endif
