#include "control.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "error.h"

_Static_assert(sizeof(struct ublk_params) <=
		       CONTROL_ARGUMENT_BYTES - CONTROL_PATH_BYTES,
	       "an argument");
_Static_assert(sizeof(struct ublk_dev_info) <=
		       CONTROL_ARGUMENT_BYTES - CONTROL_PATH_BYTES,
	       "an argument");

#define PAGE_SHIFT 12

/* How much one request discards or zeroes at most. */
#define DISCARD_BYTES (UINT64_C(1) << 30)

/* How long the kernel may take for a command.  To start, it waits for the
 * queues' threads.  To end, it waits for the requests in flight, which end by
 * their own deadline (timeout=), and that may be 10 minutes. */
#define COMMAND_NS (30 * NS_PER_S)
#define STOP_NS	   (660 * NS_PER_S)
/* To delete, the kernel waits for the last user of a block device that is
 * gone already. */
#define DELETE_NS (5 * NS_PER_S)

/* What is asked for.
 *
 * UNPRIVILEGED_DEV: the commands to the device need no capability, because this
 * process has given up all of its own before it adds the device.  Only the user
 * that added the device opens it, and the kernel looks for no partitions.  The
 * price is be_patient.
 *
 * This is also where UBLK_F_USER_RECOVERY would be asked for, once the tables
 * of this process outlive it.  Then the kernel keeps the device and holds its
 * requests while no process serves it.  The next process does not add the
 * device.  It sends START_USER_RECOVERY in the place of ADD_DEV and SET_PARAMS
 * (accepted once /dev/ublkcN is closed), fetches on all queues, and sends
 * END_USER_RECOVERY in the place of START_DEV.  The driver refuses that for an
 * unprivileged device, so a recoverable one needs CAP_SYS_ADMIN to the end. */
#define FLAGS (UBLK_F_UNPRIVILEGED_DEV | UBLK_F_IOCTL_ENCODE)

/* attrs 0: it does not rotate, is writable, and has no volatile cache, as what
 * is answered is at the memory servers.  So the kernel sends no FLUSH. */
static struct ublk_params params_of(uint64_t size_bytes)
{
	const uint32_t discard_sectors = DISCARD_BYTES >> UBLK_SECTOR_SHIFT;

	return (struct ublk_params){
		.len = sizeof(struct ublk_params),
		.types = UBLK_PARAM_BASIC | UBLK_PARAM_DISCARD,
		.basic = { .logical_bs_shift = PAGE_SHIFT,
			   .physical_bs_shift = PAGE_SHIFT,
			   .io_opt_shift = PAGE_SHIFT,
			   .io_min_shift = PAGE_SHIFT,
			   .max_sectors = CONTROL_IO_BYTES >> UBLK_SECTOR_SHIFT,
			   .dev_sectors = size_bytes >> UBLK_SECTOR_SHIFT },
		.discard = { .granularity = 1u << PAGE_SHIFT,
			     .max_sectors = discard_sectors,
			     .max_write_zeroes_sectors = discard_sectors,
			     .max_segments = 1 },
	};
}

/* --- commands --- */

static int make_ring(struct control *control, struct error *why)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SQE128 };
	int rc = io_uring_queue_init_params(4, &control->ring, &params);

	control->has_ring = rc == 0;
	if (rc)
		error_set(why, "io_uring: %s%s", strerror(-rc),
			  rc == -EPERM
				  ? " (see sysctl kernel.io_uring_disabled)"
				  : "");
	return rc;
}

static struct __kernel_timespec left(uint64_t until_ns)
{
	struct timespec t = clock_timespec(clock_left_ns(until_ns));

	return (struct __kernel_timespec){ .tv_sec = t.tv_sec,
					   .tv_nsec = t.tv_nsec };
}

/* Waits for the end of the last command: its result, or -ETIMEDOUT.  Those
 * before it may have been waited for in vain. */
static int await(struct control *control, uint64_t until_ns)
{
	struct io_uring_cqe *cqe;
	uint64_t which = 0;
	int rc, result = 0;

	while (which != control->commands) {
		struct __kernel_timespec timeout = left(until_ns);

		rc = io_uring_wait_cqe_timeout(&control->ring, &cqe, &timeout);
		if (rc == -EINTR)
			continue;
		if (rc)
			return rc == -ETIME ? -ETIMEDOUT : rc;
		result = cqe->res;
		which = cqe->user_data;
		io_uring_cqe_seen(&control->ring, cqe);
	}
	return result;
}

/* IORING_SETUP_SQE128: an entry of the ring is as long as two of its structs,
 * and so much of the command is in the first one. */
#define SQE_COMMAND_BYTES                                                      \
	(sizeof(struct io_uring_sqe) - offsetof(struct io_uring_sqe, cmd))

/* Sends OP to the device with BYTES at DATA, and waits for its end.  Where the
 * device has no privileges, the path of its character device comes first, by
 * which the kernel knows whether this process may.  0 or a negative errno;
 * -ETIMEDOUT: the kernel goes on. */
static int command_once(struct control *control, uint32_t op, void *data,
			uint16_t bytes, uint64_t number, uint64_t until_ns)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&control->ring);
	struct ublk_control_command c = { .dev_id = control->id,
					  .queue_id = UBLK_NO_QUEUE,
					  .addr = (uintptr_t)control->argument,
					  .data = number };
	int rc;

	if (!sqe)
		return -EBUSY;
	if (control->flags & UBLK_F_UNPRIVILEGED_DEV) {
		c.dev_path_len = CONTROL_PATH_BYTES;
		memcpy(control->argument, control->char_path,
		       CONTROL_PATH_BYTES);
	}
	c.len = (uint16_t)(c.dev_path_len + bytes);
	if (bytes)
		memcpy(control->argument + c.dev_path_len, data, bytes);
	memset(sqe, 0, 2 * sizeof *sqe);
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = control->fd;
	sqe->off = op;
	sqe->user_data = ++control->commands;
	memcpy(sqe->cmd, &c, SQE_COMMAND_BYTES);
	memcpy(sqe + 1, (const uint8_t *)&c + SQE_COMMAND_BYTES,
	       sizeof c - SQE_COMMAND_BYTES);
	rc = io_uring_submit(&control->ring);
	if (rc < 0)
		return rc;
	rc = await(control, until_ns);
	if (!rc && bytes)
		memcpy(data, control->argument + c.dev_path_len, bytes);
	return rc;
}

/* The same within NS.  Where the kernel waits in a command, a signal ends the
 * command with -EINTR, also a signal by which io_uring tells of its work. */
static int command(struct control *control, uint32_t op, void *data,
		   uint16_t bytes, uint64_t number, uint64_t ns)
{
	uint64_t until_ns = clock_now_ns() + ns;
	int rc = command_once(control, op, data, bytes, number, until_ns);
	bool again = false;

	while (rc == -EINTR && clock_left_ns(until_ns)) {
		again = true;
		usleep(10000);
		rc = command_once(control, op, data, bytes, number, until_ns);
	}
	/* The one that was interrupted has deleted the device. */
	return again && op == UBLK_DEL_DEV && rc == -ENODEV ? 0 : rc;
}

/* --- the driver --- */

int control_open(struct control *control, struct error *why)
{
	int rc;

	*control = (struct control){ .char_fd = -1, .block_fd = -1 };
	control->fd = open(UBLK_CONTROL_PATH, O_RDWR | O_CLOEXEC);
	if (control->fd >= 0)
		return 0;
	rc = -errno;
	error_set(why, UBLK_CONTROL_PATH ": %s%s", strerror(-rc),
		  rc == -ENOENT ? " (modprobe ublk_drv; it needs Linux 6.4 or "
				  "later, built with CONFIG_BLK_DEV_UBLK)"
				: "");
	return rc;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void control_close(struct control *control)
{
	close_fd(&control->block_fd);
	close_fd(&control->char_fd);
	close_fd(&control->fd);
	if (control->has_ring)
		io_uring_queue_exit(&control->ring);
	control->has_ring = false;
}

/* --- devices that were left --- */

static void set_id(struct control *control, uint32_t id)
{
	control->id = id;
	snprintf(control->char_path, sizeof control->char_path,
		 "/dev/ublkc%" PRIu32, id);
	snprintf(control->block_path, sizeof control->block_path,
		 "/dev/ublkb%" PRIu32, id);
}

static int delete (struct control *control, struct error *why)
{
	int rc = command(control, UBLK_DEL_DEV, NULL, 0, 0, DELETE_NS);

	if (rc == -ETIMEDOUT)
		error_set(why, "%s is still in use by another program",
			  control->block_path);
	else if (rc)
		error_set(why, "deleting ublk device %" PRIu32 ": %s",
			  control->id, strerror(-rc));
	return rc;
}

/* One process at a time has the character device open, also before it has
 * started the device. */
static bool is_open(const struct control *control)
{
	int fd = open(control->char_path, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == EBUSY;
}

/* A process that has not started the device yet has left no pid. */
static bool has_process(const struct ublk_dev_info *info)
{
	return info->pid <= 0 || kill(info->pid, 0) == 0 || errno != ESRCH;
}

/* The process that serves a device may be gone while the kernel still ends the
 * device. */
static int await_dead(struct control *control, struct ublk_dev_info *info,
		      bool *dead)
{
	uint64_t until_ns = clock_now_ns() + DELETE_NS;
	int rc;

	for (;;) {
		/* GET_DEV_INFO2 has a path whatever the device's flags are. */
		control->flags = UBLK_F_UNPRIVILEGED_DEV;
		rc = command(control, UBLK_GET_DEV_INFO2, info, sizeof *info, 0,
			     COMMAND_NS);
		*dead = !rc && info->state == UBLK_S_DEAD && !is_open(control);
		if (rc || *dead || has_process(info) ||
		    clock_now_ns() > until_ns)
			return rc;
		usleep(10000);
	}
}

/* Of the device that control has the id of. */
static int delete_left(struct control *control, struct error *why)
{
	struct ublk_dev_info info = { 0 };
	bool dead;
	int rc = await_dead(control, &info, &dead);

	if (rc) {
		error_set(why, "ublk device %" PRIu32 ": %s", control->id,
			  rc == -ENODEV ? "there is none" : strerror(-rc));
		return rc;
	}
	if (!dead && info.pid > 0)
		error_set(why,
			  "ublk device %" PRIu32
			  " is in use by process %" PRId32,
			  control->id, info.pid);
	else if (!dead)
		error_set(why,
			  "ublk device %" PRIu32
			  " is being made by another process",
			  control->id);
	if (!dead)
		return -EBUSY;
	control->flags = info.flags;
	return delete (control, why);
}

int control_delete_left(struct control *control, uint32_t id, struct error *why)
{
	int rc = make_ring(control, why);

	if (rc)
		return rc;
	set_id(control, id);
	return delete_left(control, why);
}

/* --- a device's life --- */

/* udev may have to give the node its owner first. */
static int open_char_device(struct control *control, struct error *why)
{
	uint64_t until_ns = clock_now_ns() + DELETE_NS;

	do {
		control->char_fd = open(control->char_path, O_RDWR | O_CLOEXEC);
		if (control->char_fd >= 0)
			return 0;
		usleep(10000);
	} while (clock_now_ns() < until_ns);
	error_set(why, "%s: %s", control->char_path, strerror(errno));
	return -errno;
}

static int set_up(struct control *control, const struct control_shape *shape,
		  struct error *why)
{
	struct ublk_params params = params_of(shape->size_bytes);
	int rc = open_char_device(control, why);

	if (rc)
		return rc;
	rc = command(control, UBLK_SET_PARAMS, &params, sizeof params, 0,
		     COMMAND_NS);
	if (rc)
		error_set(why, "setting the parameters of %s: %s",
			  control->char_path, strerror(-rc));
	return rc;
}

static void tell_not_added(int rc, const struct control_shape *shape,
			   struct error *why)
{
	char id[16] = "auto";

	if (shape->id != UBLK_ANY_ID)
		snprintf(id, sizeof id, "%" PRIu32, shape->id);
	error_set(why, "adding a ublk device (id %s): %s%s", id, strerror(-rc),
		  rc == -EOPNOTSUPP || rc == -EINVAL
			  ? " (it needs Linux 6.4 or later)"
		  : rc == -EACCES
			  ? " (see /sys/module/ublk_drv/parameters/ublks_max)"
			  : "");
}

/* Fills INFO with what the kernel has made of it. */
static int add(struct control *control, const struct control_shape *shape,
	       struct ublk_dev_info *info)
{
	*info = (struct ublk_dev_info){ .queues = shape->queues,
					.queue_depth = shape->depth,
					.max_io_bytes = CONTROL_IO_BYTES,
					.dev_id = shape->id,
					.flags = FLAGS };
	set_id(control, shape->id);
	control->flags = 0;
	return command(control, UBLK_ADD_DEV, info, sizeof *info, 0,
		       COMMAND_NS);
}

int control_add(struct control *control, const struct control_shape *shape,
		struct error *why)
{
	struct ublk_dev_info info;
	int rc = make_ring(control, why);

	if (rc)
		return rc;
	rc = add(control, shape, &info);
	if (rc == -EEXIST) {
		rc = delete_left(control, why);
		if (rc)
			return rc;
		rc = add(control, shape, &info);
	}
	if (rc) {
		tell_not_added(rc, shape, why);
		return rc;
	}
	set_id(control, info.dev_id);
	control->queues = info.queues;
	control->depth = info.queue_depth;
	control->flags = info.flags;
	control->added = true;
	return set_up(control, shape, why);
}

/* The kernel takes a process that serves an unprivileged device for hostile,
 * and kills it (SIGKILL) when a request takes longer than the queue's
 * io_timeout, 30 seconds unless it is set.  Here a request has an end of its
 * own: timeout=, at most 10 minutes.  So io_timeout is made longer than this
 * process may be stopped, or the machine suspended. */
static int be_patient(const struct control *control, struct error *why)
{
	static const char milliseconds[] = "604800000"; /* a week */
	char path[80];
	int fd, rc = 0;

	snprintf(path, sizeof path,
		 "/sys/block/ublkb%" PRIu32 "/queue/io_timeout", control->id);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, milliseconds, sizeof milliseconds - 1) < 0)
		rc = -errno;
	if (fd >= 0)
		close(fd);
	if (rc)
		error_set(why,
			  "%s: %s; without this setting the kernel would kill "
			  "this process where a request takes 30 seconds",
			  path, strerror(-rc));
	return rc;
}

int control_start(struct control *control, struct error *why)
{
	int rc = command(control, UBLK_START_DEV, NULL, 0, (uint64_t)getpid(),
			 COMMAND_NS);

	if (rc) {
		error_set(why, "starting %s: %s", control->block_path,
			  strerror(-rc));
		return rc;
	}
	return be_patient(control, why);
}

bool control_claim(struct control *control, struct error *why)
{
	if (control->block_fd < 0)
		control->block_fd = open(control->block_path,
					 O_RDONLY | O_EXCL | O_CLOEXEC);
	if (control->block_fd >= 0)
		return true;
	error_set(why, "%s", strerror(errno));
	return false;
}

bool control_stop(struct control *control, struct error *why)
{
	int rc = command(control, UBLK_STOP_DEV, NULL, 0, 0, STOP_NS);

	close_fd(&control->block_fd);
	if (rc)
		error_set(why, "ending %s: %s", control->block_path,
			  strerror(-rc));
	return rc == 0;
}

bool control_delete(struct control *control, struct error *why)
{
	close_fd(&control->char_fd);
	control->added = control->added && delete (control, why);
	return !control->added;
}
