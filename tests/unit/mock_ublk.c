#include "mock_ublk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake_ring.h"

struct mock_ublk mock;

/* The ring of the queue: the other one is of the control device. */
static struct io_uring *queue_ring;

/* --- rings --- */

int io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
			       struct io_uring_params *params)
{
	fake_ring_init(ring, entries, params->flags);
	mock.rings++;
	return 0;
}

void io_uring_queue_exit(struct io_uring *ring)
{
	fake_ring_exit(ring);
	mock.rings--;
}

int io_uring_register_files(struct io_uring *ring, const int *files, unsigned n)
{
	assert_int_equal(n, 1);
	assert_int_equal(files[0], mock.char_fd);
	queue_ring = ring;
	return 0;
}

/* --- the driver's queue --- */

/* What the kernel copies from the buffer of a READ. */
static void copy_read(struct mock_tag *tag)
{
	if (tag->reads && tag->result > 0)
		memcpy(tag->data, (void *)(uintptr_t)tag->addr, tag->bytes);
}

static void take_io(struct io_uring *ring, const struct io_uring_sqe *sqe)
{
	struct ublk_io_command command;
	struct mock_tag *tag;

	memcpy(&command, sqe->cmd, sizeof command);
	assert_true(sqe->flags & IOSQE_FIXED_FILE);
	assert_int_equal(command.queue, 0);
	assert_true(command.tag < MOCK_DEPTH);
	assert_int_equal(sqe->user_data, command.tag);
	tag = &mock.tags[command.tag];
	assert_false(tag->fetched);
	if (sqe->off == UBLK_COMMIT_AND_FETCH) {
		assert_false(tag->answered);
		if (mock.answers_refused) {
			mock.answers_refused--;
			fake_ring_post(ring, command.tag, mock.refusal);
			return;
		}
		tag->answered = true;
		tag->result = command.result;
		copy_read(tag);
	} else {
		assert_int_equal(sqe->off, UBLK_FETCH);
		mock.fetches++;
	}
	tag->addr = command.addr;
	tag->fetched = true;
	if (mock.fetch_result) {
		tag->fetched = false;
		fake_ring_post(ring, command.tag, mock.fetch_result);
	}
}

void mock_request(uint16_t tag, uint32_t op, uint64_t sector, uint32_t sectors,
		  const void *data)
{
	struct mock_tag *t = &mock.tags[tag];
	struct ublk_request r = { .op_flags = op | 1u << 16, /* for swap */
				  .sectors = sectors,
				  .start_sector = sector };

	assert_true(t->fetched);
	t->fetched = t->answered = false;
	t->reads = op == UBLK_READ;
	t->bytes = sectors << UBLK_SECTOR_SHIFT;
	if (data)
		memcpy((void *)(uintptr_t)t->addr, data, t->bytes);
	assert_int_equal(
		pwrite(mock.char_fd, &r, sizeof r, (off_t)(tag * sizeof r)),
		sizeof r);
	fake_ring_post(queue_ring, tag, UBLK_RES_OK);
}

void mock_abort(void)
{
	for (uint16_t i = 0; i < MOCK_DEPTH; i++) {
		if (mock.tags[i].fetched)
			fake_ring_post(queue_ring, i, UBLK_RES_ABORT);
		mock.tags[i].fetched = false;
	}
	mock.fetch_result = UBLK_RES_ABORT;
}

/* --- the control device --- */

static struct io_uring *control_ring;

static void take_control(struct io_uring *ring, const struct io_uring_sqe *sqe)
{
	struct mock_command *c = &mock.commands[mock.n_commands];
	void *argument;
	int result;

	assert_true(mock.n_commands++ < MOCK_COMMANDS);
	assert_true(ring->flags & IORING_SETUP_SQE128);
	c->op = (uint32_t)sqe->off;
	memcpy(&c->command, sqe->cmd, sizeof c->command);
	argument = (void *)(uintptr_t)c->command.addr;
	assert_true(c->command.len <= sizeof c->argument);
	memcpy(c->argument, argument, c->command.len);
	control_ring = ring;
	result = mock.control(c, argument);
	if (result != MOCK_NEVER)
		fake_ring_post(ring, sqe->user_data, result);
}

void mock_end_late(unsigned command, int result)
{
	fake_ring_post(control_ring, command, result);
}

int io_uring_wait_cqe_timeout(struct io_uring *ring, struct io_uring_cqe **cqe,
			      struct __kernel_timespec *timeout)
{
	assert_true(timeout->tv_sec > 0);
	if (mock.waits_interrupted) {
		mock.waits_interrupted--;
		return -EINTR;
	}
	if (*ring->cq.khead == *ring->cq.ktail)
		return -ETIME;
	*cqe = &ring->cq.cqes[*ring->cq.khead & ring->cq.ring_mask];
	return 0;
}

/* --- both --- */

int io_uring_submit(struct io_uring *ring)
{
	const struct io_uring_sqe *sqe;
	int n = 0;

	if (mock.submits_fail) {
		mock.submits_fail--;
		return -EAGAIN;
	}
	while ((sqe = fake_ring_take(ring))) {
		assert_int_equal(sqe->opcode, IORING_OP_URING_CMD);
		if (ring == queue_ring)
			take_io(ring, sqe);
		else
			take_control(ring, sqe);
		n++;
	}
	return n;
}

int io_uring_submit_and_get_events(struct io_uring *ring)
{
	uint64_t drained;

	mock.enters++;
	(void)!read(ring->ring_fd, &drained, sizeof drained);
	return io_uring_submit(ring);
}

/* --- devices --- */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	if (!strcmp(path, UBLK_CONTROL_PATH))
		return eventfd(0, EFD_CLOEXEC);
	if (!strncmp(path, "/dev/ublkc", 10)) {
		errno = EBUSY;
		return mock.char_open ? -1 : dup(mock.char_fd);
	}
	if (!strncmp(path, "/dev/ublkb", 10)) {
		assert_true(flags & O_EXCL);
		errno = EBUSY;
		return mock.in_use ? -1 : eventfd(0, EFD_CLOEXEC);
	}
	if (!strcmp(path, "/sys/block/ublkb3/queue/io_timeout")) {
		errno = EROFS;
		return mock.read_only ? -1 : dup(mock.timeout_fd);
	}
	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
	va_end(args);
	return __real_open(path, flags, mode);
}

void mock_start(void)
{
	mock = (struct mock_ublk){ .char_fd = memfd_create("ublkc", 0),
				   .timeout_fd = memfd_create("timeout", 0) };
	queue_ring = control_ring = NULL;
	assert_int_equal(
		ftruncate(mock.char_fd, (off_t)UBLK_REQUESTS_OFFSET(1)), 0);
}

void mock_stop(void)
{
	close(mock.char_fd);
	close(mock.timeout_fd);
	assert_int_equal(mock.rings, 0);
}
