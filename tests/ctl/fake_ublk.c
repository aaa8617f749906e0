/* The kernel's ublk driver where there is none, for the real rswap-ublk: a
 * stand-in for liburing.  Commands to the driver are calls of the program
 * ublk-driver (kernel.pl).  No request ever comes; when the device ends, all
 * FETCHes end.  An exclusive open is a file lock. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_claim.h"
#include "fake_ring.h"
#include "ublk/control.h"
#include "ublk/kernel.h"

#define QUEUES_MAX 64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct queue_ring {
	struct io_uring *ring;
	bool fetched[UBLK_DEPTH_MAX];
} queues[QUEUES_MAX];
static uint64_t size_bytes;
static bool over; /* no FETCH waits any more */

/* --- calls of ublk-driver --- */

/* What it prints: numbers; or the errno for which it fails. */
static int ask(uint64_t answer[3], const char *format, ...)
{
	char line[128], text[64] = "";
	va_list args;
	FILE *f;

	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	f = popen(line, "re");
	if (!f)
		return -ENOMEM;
	if (!fgets(text, sizeof text, f))
		*text = '\0';
	memset(answer, 0, 3 * sizeof *answer);
	sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNu64, &answer[0], &answer[1],
	       &answer[2]);
	if (pclose(f) == 0)
		return 0;
	return answer[0] ? -(int)answer[0] : -EIO;
}

/* --- the control device --- */

static int add(struct ublk_dev_info *info)
{
	uint64_t answer[3];
	int rc = ask(answer, "ublk-driver add %d %d",
		     info->dev_id == UBLK_ANY_ID ? -1 : (int)info->dev_id,
		     (int)getpid());

	info->dev_id = (uint32_t)answer[0];
	return rc;
}

static int tell(uint32_t id, struct ublk_dev_info *info)
{
	uint64_t answer[3];
	int rc = ask(answer, "ublk-driver info %" PRIu32, id);

	info->dev_id = id;
	info->state = (uint16_t)answer[0];
	info->pid = (int32_t)answer[1];
	info->flags = UBLK_F_UNPRIVILEGED_DEV;
	return rc;
}

static void end_fetches(void)
{
	pthread_mutex_lock(&lock);
	over = true;
	for (struct queue_ring *q = queues; q->ring; q++) {
		for (uint64_t tag = 0; tag < UBLK_DEPTH_MAX; tag++) {
			if (q->fetched[tag])
				fake_ring_post(q->ring, tag, UBLK_RES_ABORT);
		}
	}
	pthread_mutex_unlock(&lock);
}

static int stop(uint32_t id)
{
	uint64_t answer[3];
	int rc = ask(answer, "ublk-driver stop %" PRIu32, id);

	end_fetches();
	return rc;
}

static int control(uint32_t op, const struct ublk_control_command *c)
{
	char *argument = (char *)(uintptr_t)c->addr + c->dev_path_len;
	struct ublk_params *params = (void *)argument;
	uint64_t answer[3];

	switch (op) {
	case UBLK_ADD_DEV:
		return add((void *)argument);
	case UBLK_GET_DEV_INFO2:
		return tell(c->dev_id, (void *)argument);
	case UBLK_SET_PARAMS:
		size_bytes = params->basic.dev_sectors << UBLK_SECTOR_SHIFT;
		return 0;
	case UBLK_START_DEV:
		return ask(answer,
			   "ublk-driver start %" PRIu32 " %" PRIu64 " %d",
			   c->dev_id, size_bytes, (int)c->data);
	case UBLK_STOP_DEV:
		return stop(c->dev_id);
	case UBLK_DEL_DEV:
		return ask(answer, "ublk-driver delete %" PRIu32, c->dev_id);
	}
	return -EOPNOTSUPP;
}

/* --- liburing --- */

static struct queue_ring *queue_of(const struct io_uring *ring)
{
	for (struct queue_ring *q = queues; q->ring; q++) {
		if (q->ring == ring)
			return q;
	}
	return NULL;
}

static void take(struct io_uring *ring, const struct io_uring_sqe *sqe)
{
	struct queue_ring *q;
	struct ublk_control_command c;

	pthread_mutex_lock(&lock);
	q = queue_of(ring);
	if (q && over)
		fake_ring_post(ring, sqe->user_data, UBLK_RES_ABORT);
	else if (q)
		q->fetched[sqe->user_data] = true;
	pthread_mutex_unlock(&lock);
	if (q)
		return;
	memcpy(&c, sqe->cmd, sizeof c);
	fake_ring_post(ring, sqe->user_data, control((uint32_t)sqe->off, &c));
}

int io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
			       struct io_uring_params *params)
{
	fake_ring_init(ring, entries, params->flags);
	return 0;
}

void io_uring_queue_exit(struct io_uring *ring)
{
	fake_ring_exit(ring);
}

/* Only rings of queues have registered files. */
int io_uring_register_files(struct io_uring *ring, const int *files, unsigned n)
{
	struct queue_ring *q = queues;

	(void)files, (void)n;
	pthread_mutex_lock(&lock);
	while (q->ring)
		q++;
	q->ring = ring;
	pthread_mutex_unlock(&lock);
	return 0;
}

int io_uring_submit(struct io_uring *ring)
{
	const struct io_uring_sqe *sqe;
	int n = 0;

	for (; (sqe = fake_ring_take(ring)); n++)
		take(ring, sqe);
	return n;
}

int io_uring_submit_and_get_events(struct io_uring *ring)
{
	uint64_t drained;

	(void)!read(ring->ring_fd, &drained, sizeof drained);
	return io_uring_submit(ring);
}

int io_uring_wait_cqe_timeout(struct io_uring *ring, struct io_uring_cqe **cqe,
			      struct __kernel_timespec *timeout)
{
	(void)timeout;
	if (*ring->cq.khead == *ring->cq.ktail)
		return -ETIME;
	*cqe = &ring->cq.cqes[*ring->cq.khead & ring->cq.ring_mask];
	return 0;
}

/* --- the block device --- */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);

int __wrap_open(const char *path, int flags, ...)
{
	static const char block[] = "/dev/ublkb";
	va_list args;
	mode_t mode;

	if (!strncmp(path, block, sizeof block - 1)) {
		int fd = fake_claim(path + strlen("/dev/"));

		errno = fd < 0 ? -fd : 0;
		return fd < 0 ? -1 : fd;
	}
	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
	va_end(args);
	return __real_open(path, flags, mode);
}
