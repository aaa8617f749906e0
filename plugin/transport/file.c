/* The file transport: a transfer is a pread or a pwrite, from and to a buffer
 * of the channel, because direct I/O wants aligned memory and the callers'
 * memory moves.
 *
 * submit does the work, one transfer after the other.  Every transfer is over
 * when submit returns.  So a channel never has transfers in progress, and wait
 * has nothing to do.  The file is used only where no server has room.  So this
 * transport is simple rather than fast.  It needs no thread, and no memory that
 * a machine short of memory might not have.
 *
 * A deadline is checked before each system call.  A call under way cannot be
 * aborted.  How long the call takes is up to the disk: the kernel's block layer
 * has a deadline, 30 seconds for a SCSI disk.  Meanwhile the lane is held, and
 * link_abort only keeps further transfers from beginning.
 */
#include "file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "memory.h"

struct link_group {
	int fd;
	uint32_t chunk_bytes, room_bytes;
	_Atomic int error;
};

struct file_link {
	struct link base;
	struct link_group *group;
	atomic_bool aborted;
};

struct file_channel {
	struct channel base;
	uint8_t *buffer; /* page-aligned, as mmap gives it */
	uint32_t buffer_bytes;
};

struct link_group *file_group_create(int fd, uint32_t chunk_bytes)
{
	struct link_group *group = calloc(1, sizeof *group);

	if (group) {
		group->fd = fd;
		group->chunk_bytes = chunk_bytes;
		group->room_bytes = file_room_bytes(chunk_bytes);
	}
	return group;
}

void file_group_destroy(struct link_group *group)
{
	free(group);
}

int file_group_error(const struct link_group *group)
{
	return atomic_load(&group->error);
}

/* --- channels and links --- */

static int file_channel_create(const struct channel_config *config,
			       struct channel **channel, struct error *why)
{
	struct file_channel *file = calloc(1, sizeof *file);
	void *buffer = pages_map(config->buffer_bytes);

	if (!file || !buffer) {
		error_set(why, "no memory for a buffer of %u bytes",
			  config->buffer_bytes);
		pages_unmap(buffer, config->buffer_bytes);
		free(file);
		return -ENOMEM;
	}
	file->base.ops = &transport_file;
	file->buffer = buffer;
	file->buffer_bytes = config->buffer_bytes;
	*channel = &file->base;
	return 0;
}

static void file_channel_destroy(struct channel *channel)
{
	struct file_channel *file = (struct file_channel *)channel;

	pages_unmap(file->buffer, file->buffer_bytes);
	free(file);
}

static int file_link_connect(struct channel *channel,
			     const struct link_target *target,
			     uint64_t deadline_ns, struct link **link,
			     struct error *why)
{
	struct file_link *file = calloc(1, sizeof *file);

	(void)deadline_ns;
	if (!file) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	file->base.ops = &transport_file;
	file->base.channel = channel;
	file->group = *target->group;
	*link = &file->base;
	return 0;
}

static void file_link_abort(struct link *link)
{
	atomic_store(&((struct file_link *)link)->aborted, true);
}

static void file_link_close(struct link *link)
{
	free(link);
}

/* --- transfers --- */

/* Fills or empties BUFFER.  0 or a negative errno. */
static int move_bytes(int fd, enum xfer_op op, uint8_t *buffer, uint32_t bytes,
		      uint64_t at)
{
	while (bytes > 0) {
		ssize_t n = op == XFER_READ
				    ? pread(fd, buffer, bytes, (off_t)at)
				    : pwrite(fd, buffer, bytes, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		/* The file was made shorter. */
		if (n == 0)
			return -EIO;
		buffer += n;
		bytes -= (uint32_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

static void copy_chunks(const struct link_group *group, uint8_t *to,
			uint32_t to_step, const uint8_t *from,
			uint32_t from_step, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		memcpy(to + (size_t)i * to_step, from + (size_t)i * from_step,
		       group->chunk_bytes);
}

/* Moves N chunks, of which DONE have been moved before. */
static int move_chunks(const struct file_channel *file, const struct xfer *xfer,
		       uint32_t done, uint32_t n)
{
	struct link_group *group = ((struct file_link *)xfer->link)->group;
	uint32_t chunk = group->chunk_bytes, room = group->room_bytes;
	uint8_t *memory = (uint8_t *)xfer->buf + (size_t)done * chunk;
	uint64_t first = xfer->offset_bytes / chunk + done;
	int rc;

	if (xfer->op == XFER_WRITE)
		copy_chunks(group, file->buffer, room, memory, chunk, n);
	rc = move_bytes(group->fd, xfer->op, file->buffer, n * room,
			xfer->remote.address + first * room);
	if (rc) {
		atomic_store(&group->error, -rc);
		return -EREMOTEIO;
	}
	if (xfer->op == XFER_READ)
		copy_chunks(group, memory, chunk, file->buffer, room, n);
	return 0;
}

/* Disks may take smaller blocks; the size differs. */
static bool whole_chunks(const struct link_group *group,
			 const struct xfer *xfer)
{
	return xfer->remote.address % FILE_BLOCK_BYTES == 0 &&
	       xfer->offset_bytes % group->chunk_bytes == 0 &&
	       xfer->bytes % group->chunk_bytes == 0;
}

static int transfer_out(const struct file_channel *file,
			const struct xfer *xfer, uint64_t deadline_ns)
{
	const struct file_link *link = (struct file_link *)xfer->link;
	struct link_group *group = link->group;
	uint32_t at_once = file->buffer_bytes / group->room_bytes, n;

	if (!whole_chunks(group, xfer) || at_once == 0) {
		atomic_store(&group->error, EINVAL);
		return -EREMOTEIO;
	}
	n = xfer->bytes / group->chunk_bytes;
	for (uint32_t done = 0, now; done < n; done += now) {
		int rc;

		now = n - done < at_once ? n - done : at_once;
		if (atomic_load(&link->aborted))
			return -ECONNABORTED;
		if (clock_left_ns(deadline_ns) == 0)
			return -ETIMEDOUT;
		rc = move_chunks(file, xfer, done, now);
		if (rc)
			return rc;
	}
	return 0;
}

static void file_submit(struct channel *channel, struct xfer *xfers, size_t n,
			uint64_t deadline_ns)
{
	for (size_t i = 0; i < n; i++) {
		xfers[i].status = -EINPROGRESS;
		xfers[i].status = transfer_out((struct file_channel *)channel,
					       &xfers[i], deadline_ns);
	}
}

static size_t file_wait_until(struct channel *channel, struct xfer *xfers,
			      size_t n, size_t want, uint64_t deadline_ns)
{
	(void)channel;
	(void)xfers;
	(void)want;
	(void)deadline_ns;
	return n;
}

static void file_wait(struct channel *channel, struct xfer *xfers, size_t n,
		      uint64_t deadline_ns)
{
	(void)channel;
	(void)xfers;
	(void)n;
	(void)deadline_ns;
}

static void file_abandon(struct channel *channel, struct xfer *xfers, size_t n)
{
	(void)channel;
	(void)xfers;
	(void)n;
}

const struct transport_ops transport_file = {
	.name = "file",
	.wire_bit = 0,
	.channel_create = file_channel_create,
	.channel_destroy = file_channel_destroy,
	.link_connect = file_link_connect,
	.link_abort = file_link_abort,
	.link_close = file_link_close,
	.submit = file_submit,
	.wait_until = file_wait_until,
	.wait = file_wait,
	.abandon = file_abandon,
};
