/* Preloaded into rswap-ublk: a stand-in for liburing, and for the kernel's ublk
 * driver behind it, that does not end the device.  STOP_DEV fails, and requests
 * go on: while the program's memory is being freed, there is a READ of the
 * first page.
 *
 * With UBLK_DRIVER=refuses there is a READ once the device was started, and the
 * driver does not take the answer. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include "fake_ring.h"
#include "ublk/control.h"
#include "ublk/kernel.h"

#define SHOWN __attribute__((visibility("default")))

static struct io_uring *queue_ring; /* the other one is the control device's */
static int char_fd = -1;
static atomic_bool stop_failed, answered;

/* --- the driver --- */

static bool refuses(void)
{
	const char *how = getenv("UBLK_DRIVER");

	return how && !strcmp(how, "refuses");
}

/* A READ of the first page, with tag 0. */
static void send_read(void)
{
	struct ublk_request r = { .op_flags = UBLK_READ, .sectors = 8 };

	if (pwrite(char_fd, &r, sizeof r, 0) != sizeof r)
		abort();
	fake_ring_post(queue_ring, 0, UBLK_RES_OK);
}

static int control(const struct io_uring_sqe *sqe)
{
	struct ublk_control_command command;
	struct ublk_dev_info *info;

	memcpy(&command, sqe->cmd, sizeof command);
	if (sqe->off == UBLK_START_DEV && refuses())
		send_read();
	if (sqe->off == UBLK_STOP_DEV) {
		atomic_store(&stop_failed, true);
		return -EIO;
	}
	if (sqe->off == UBLK_ADD_DEV) {
		info = (void *)(uintptr_t)command.addr;
		info->dev_id = 0;
		info->queues = 1;
	}
	return 0;
}

static void take(struct io_uring *ring, const struct io_uring_sqe *sqe)
{
	if (ring != queue_ring)
		fake_ring_post(ring, sqe->user_data, control(sqe));
	else if (sqe->off == UBLK_COMMIT_AND_FETCH && refuses())
		fake_ring_post(ring, sqe->user_data, -EINVAL);
	else if (sqe->off == UBLK_COMMIT_AND_FETCH)
		atomic_store(&answered, true);
}

static void read_page(void)
{
	send_read();
	while (!atomic_load(&answered))
		usleep(1000);
}

/* After main. */
__attribute__((destructor)) static void go_on(void)
{
	if (atomic_load(&stop_failed))
		read_page();
}

/* --- liburing --- */

SHOWN int io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
				     struct io_uring_params *params)
{
	fake_ring_init(ring, entries, params->flags);
	return 0;
}

SHOWN void io_uring_queue_exit(struct io_uring *ring)
{
	fake_ring_exit(ring);
}

SHOWN int io_uring_register_files(struct io_uring *ring, const int *files,
				  unsigned n)
{
	(void)files;
	(void)n;
	queue_ring = ring;
	return 0;
}

SHOWN int io_uring_submit(struct io_uring *ring)
{
	const struct io_uring_sqe *sqe;
	int n = 0;

	for (; (sqe = fake_ring_take(ring)); n++)
		take(ring, sqe);
	return n;
}

SHOWN int io_uring_submit_and_get_events(struct io_uring *ring)
{
	uint64_t drained;

	(void)!read(ring->ring_fd, &drained, sizeof drained);
	return io_uring_submit(ring);
}

SHOWN int io_uring_wait_cqe_timeout(struct io_uring *ring,
				    struct io_uring_cqe **cqe,
				    struct __kernel_timespec *timeout)
{
	(void)timeout;
	*cqe = &ring->cq.cqes[*ring->cq.khead & ring->cq.ring_mask];
	return 0;
}

/* --- devices --- */

static int open_char_device(void)
{
	if (char_fd < 0) {
		char_fd = memfd_create("ublkc", 0);
		if (ftruncate(char_fd, (off_t)UBLK_REQUESTS_OFFSET(1)))
			abort();
	}
	return dup(char_fd);
}

SHOWN int open(const char *path, int flags, ...)
{
	int (*real)(const char *, int, ...) =
		(int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
	va_list args;
	mode_t mode;

	if (!strcmp(path, UBLK_CONTROL_PATH) ||
	    !strncmp(path, "/dev/ublkb", 10))
		return eventfd(0, EFD_CLOEXEC);
	if (!strncmp(path, "/dev/ublkc", 10))
		return open_char_device();
	if (!strncmp(path, "/sys/block/ublkb", 16))
		path = "/dev/null";
	va_start(args, flags);
	mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
	va_end(args);
	return real(path, flags, mode);
}
