#include "queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "control.h"
#include "engine.h"
#include "log.h"
#include "service/aligned.h"
#include "transport/memory.h"

static uint8_t *buffer_of(const struct queue *queue, uint16_t tag)
{
	return queue->buffers + (size_t)tag * CONTROL_IO_BYTES;
}

/* --- to the kernel --- */

/* Queues the last command of a tag.  There is room for one of each tag. */
static void put(struct queue *queue, uint16_t number)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&queue->ring);
	const struct tag *tag = &queue->tags[number];
	struct ublk_io_command command = {
		.queue = queue->config.number,
		.tag = number,
		.result = tag->result,
		.addr = (uintptr_t)buffer_of(queue, number),
	};

	if (!sqe)
		abort();
	memset(sqe, 0, sizeof *sqe);
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->fd = 0;
	sqe->off = tag->op;
	sqe->user_data = number;
	memcpy(sqe->cmd, &command, sizeof command);
}

static void command(struct queue *queue, uint32_t op, uint16_t number,
		    int32_t result)
{
	queue->tags[number].op = op;
	queue->tags[number].result = result;
	put(queue, number);
}

static void answer(struct queue *queue, uint16_t number, int32_t result)
{
	command(queue, UBLK_COMMIT_AND_FETCH, number, result);
}

/* The kernel takes an errno for what it is. */
static int32_t error_of(int rc)
{
	return rc == -ENOSPC ? -ENOSPC : -EIO;
}

/* The loop calls this. */
static void done(struct loop_request *run)
{
	struct tag *tag = (struct tag *)run;

	answer(tag->queue, tag->number,
	       run->rc ? error_of(run->rc) : (int32_t)run->count);
}

/* --- from the kernel --- */

/* Whether the request is one of whole pages within the device.  The kernel
 * sends no other, as control.c told it the size of a block and of the device.
 */
static bool fits(const struct queue *queue, const char *what, uint64_t bytes,
		 uint64_t offset)
{
	uint64_t size = queue->config.size_bytes;

	return bytes && bytes <= size && offset <= size - bytes &&
	       aligned(what, bytes, offset);
}

static void run(struct queue *queue, uint16_t number, enum loop_op op,
		const char *what)
{
	const struct ublk_request *r = &queue->requests[number];
	struct tag *tag = &queue->tags[number];
	uint64_t bytes = (uint64_t)r->sectors << UBLK_SECTOR_SHIFT;
	uint64_t offset = r->start_sector << UBLK_SECTOR_SHIFT;

	if (!fits(queue, what, bytes, offset) ||
	    (op != LOOP_DISCARD && bytes > CONTROL_IO_BYTES)) {
		answer(queue, number, -EINVAL);
		return;
	}
	tag->run = (struct loop_request){ .op = op,
					  .buf = buffer_of(queue, number),
					  .count = bytes,
					  .offset = offset,
					  .done = done };
	loop_submit(queue->config.loop, &tag->run);
}

static void take(struct queue *queue, uint16_t number)
{
	struct engine *engine = queue->config.engine;

	switch (UBLK_OP(queue->requests[number].op_flags)) {
	case UBLK_READ:
		run(queue, number, LOOP_READ, "read");
		return;
	case UBLK_WRITE:
		run(queue, number, LOOP_WRITE, "write");
		return;
	case UBLK_DISCARD:
		engine_count(engine, ENGINE_TRIMS, 1);
		run(queue, number, LOOP_DISCARD, "discard");
		return;
	case UBLK_WRITE_ZEROES:
		engine_count(engine, ENGINE_ZEROES, 1);
		run(queue, number, LOOP_DISCARD, "write zeroes");
		return;
	case UBLK_FLUSH:
		/* What is answered is on the servers. */
		answer(queue, number, 0);
		return;
	}
	answer(queue, number, -EOPNOTSUPP);
}

/* A tag that is over: the device ends, or the kernel has refused the FETCH. */
static void drop(struct queue *queue, uint16_t number, int res)
{
	if (res != UBLK_RES_ABORT) {
		log_error("ublk queue %u: the kernel refuses a request's tag: "
			  "%s",
			  queue->config.number, strerror(-res));
		if (queue->tags[number].op == UBLK_COMMIT_AND_FETCH)
			queue->config.refused();
	}
	if (--queue->n_alive == 0)
		loop_end(queue->config.loop);
}

/* io_uring allocates memory for a command of some kernels. */
static bool is_for_now(int res)
{
	return res == -ENOMEM || res == -EAGAIN || res == -EINTR;
}

/* Takes all FETCHes that have ended.  False: some of them did because the
 * kernel was short of memory, and are to be sent again. */
static bool reap(struct queue *queue)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;
	bool all = true;

	io_uring_for_each_cqe(&queue->ring, head, cqe)
	{
		if (cqe->res == UBLK_RES_OK) {
			take(queue, (uint16_t)cqe->user_data);
		} else if (is_for_now(cqe->res)) {
			put(queue, (uint16_t)cqe->user_data);
			all = false;
		} else {
			drop(queue, (uint16_t)cqe->user_data, cqe->res);
		}
		n++;
	}
	io_uring_cq_advance(&queue->ring, n);
	return all;
}

/* Has the kernel take the answers, and do on this thread what is to be done for
 * requests that have come. */
static void enter(struct queue *queue)
{
	struct loop *loop = queue->config.loop;
	bool short_of_memory;

	io_uring_submit_and_get_events(&queue->ring);
	short_of_memory = io_uring_sq_ready(&queue->ring) > 0;
	if (!reap(queue))
		short_of_memory = true;
	/* What the kernel had no memory for is sent a little later: a real-time
	 * thread that tried at once would keep the processor from those that
	 * free memory.  The answers to requests that need no run are sent in
	 * the next turn. */
	if (short_of_memory)
		loop_within(loop, LOOP_RECHECK_NS);
	else if (io_uring_sq_ready(&queue->ring))
		loop_soon(loop);
}

static void ready(struct loop_source *source, short revents)
{
	(void)revents;
	enter((struct queue *)source);
}

static void finish(struct loop_source *source)
{
	struct queue *queue = (struct queue *)source;

	if (io_uring_sq_ready(&queue->ring))
		enter(queue);
}

/* --- life --- */

/* Only this thread uses the ring, and only when it enters the kernel for it:
 * requests do not interrupt this thread meanwhile.  poll(2) tells of them. */
static int make_ring(struct queue *queue, struct error *why)
{
	struct io_uring_params params = {
		.flags =
			IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	};
	int rc = io_uring_queue_init_params(queue->config.depth, &queue->ring,
					    &params);

	if (!rc) {
		rc = io_uring_register_files(&queue->ring,
					     &queue->config.char_fd, 1);
		if (rc)
			io_uring_queue_exit(&queue->ring);
	}
	if (rc)
		error_set(why, "io_uring: %s", strerror(-rc));
	return rc;
}

static int map_requests(struct queue *queue, struct error *why)
{
	uint64_t bytes = queue->config.depth * sizeof(struct ublk_request);
	void *p = mmap(NULL, bytes, PROT_READ, MAP_SHARED | MAP_POPULATE,
		       queue->config.char_fd,
		       (off_t)UBLK_REQUESTS_OFFSET(queue->config.number));
	int rc = -errno;

	if (p == MAP_FAILED) {
		error_set(why, "mapping the requests of a ublk queue: %s",
			  strerror(-rc));
		return rc;
	}
	queue->requests = p;
	queue->requests_bytes = bytes;
	return 0;
}

static void unmap(struct queue *queue)
{
	pages_unmap(queue->buffers,
		    (uint64_t)queue->config.depth * CONTROL_IO_BYTES);
	free(queue->tags);
	if (queue->requests)
		munmap((void *)queue->requests, queue->requests_bytes);
}

static int map(struct queue *queue, struct error *why)
{
	uint16_t depth = queue->config.depth;

	queue->buffers = pages_map((uint64_t)depth * CONTROL_IO_BYTES);
	queue->tags = calloc(depth, sizeof *queue->tags);
	if (!queue->buffers || !queue->tags) {
		error_set(why, "out of memory for the buffers of requests");
		return -ENOMEM;
	}
	for (uint16_t i = 0; i < depth; i++) {
		queue->tags[i].queue = queue;
		queue->tags[i].number = i;
	}
	return map_requests(queue, why);
}

int queue_open(struct queue *queue, const struct queue_config *config,
	       struct error *why)
{
	int rc;

	*queue = (struct queue){ .config = *config };
	rc = map(queue, why);
	if (!rc)
		rc = make_ring(queue, why);
	if (rc) {
		unmap(queue);
		return rc;
	}
	queue->source = (struct loop_source){ .fd = queue->ring.ring_fd,
					      .events = POLLIN,
					      .ready = ready,
					      .finish = finish };
	loop_add(config->loop, &queue->source);
	return 0;
}

int queue_fetch(struct queue *queue, struct error *why)
{
	int rc;

	for (uint16_t i = 0; i < queue->config.depth; i++)
		command(queue, UBLK_FETCH, i, 0);
	queue->n_alive = queue->config.depth;
	rc = io_uring_submit(&queue->ring);
	if (rc >= 0)
		return 0;
	error_set(why, "fetching from a ublk queue: %s", strerror(-rc));
	return rc;
}

void queue_close(struct queue *queue)
{
	loop_remove(queue->config.loop, &queue->source);
	io_uring_queue_exit(&queue->ring);
	unmap(queue);
}

uint64_t queue_memory_bytes(const struct queue *queue)
{
	return queue->requests_bytes +
	       queue->config.depth *
		       (CONTROL_IO_BYTES + (uint64_t)sizeof *queue->tags);
}
