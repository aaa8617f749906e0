/* The file transport: a transfer is preads or pwrites, from and to a buffer of
 * the channel, because direct I/O wants aligned memory and the callers' memory
 * moves.
 *
 * Each channel has a thread that moves its transfers, one after the other.  So
 * a disk that hangs holds that thread, and neither a loop with its other
 * requests nor a request beyond its deadline.  Bytes are copied between the
 * caller's memory and the buffer under the channel's lock, and the system call
 * is made without the lock.
 *
 *   queued --by the thread--> moving --> over
 *      |                         |
 *      +-------- dropped --------+
 *
 * A transfer that is dropped (at its deadline, or because its link is aborted)
 * is over at once, and its memory is not touched any more.  A system call under
 * way cannot be aborted: a dropped WRITE may still reach the disk.  Until the
 * call returns the channel is not usable, and link_close waits for it.  How
 * long the call takes is up to the disk: the kernel's block layer has a
 * deadline, 30 seconds for a SCSI disk.
 */
#include "file.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "memory.h"
#include "waker.h"
#include "watch.h"

struct link_group {
	int fd;
	uint32_t chunk_bytes, room_bytes;
	_Atomic int error;
};

struct file_link {
	struct link base;
	struct link_group *group;
	bool aborted; /* under the channel's lock */
};

/* A transfer that waits for the channel's thread. */
struct file_job {
	struct xfer *xfer; /* NULL: it was dropped */
	uint64_t deadline_ns;
	struct waker
		*waker; /* of the thread to wake when it is over, or NULL */
};

struct file_channel {
	struct channel base;
	uint8_t *buffer; /* page-aligned, as mmap gives it; the thread's */
	uint32_t buffer_bytes;
	pthread_t thread;

	pthread_mutex_t lock; /* a leaf, not held in a system call */
	pthread_cond_t work, over;
	bool ends;
	bool working;		/* the thread has a job */
	struct file_job job;	/* the thread's, where it is working */
	uint32_t first, queued; /* of jobs, a ring */
	struct file_job jobs[TRANSPORT_MAX_XFERS];
};

static struct file_channel *file_channel(struct channel *channel)
{
	return (struct file_channel *)channel;
}

static struct file_link *file_link(const struct link *link)
{
	return (struct file_link *)(uintptr_t)link;
}

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

/* --- moving, by the channel's thread --- */

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

/* Why the job ends before it moves more: 0, or a negative errno.  Under the
 * lock. */
static int obstacle(const struct file_channel *file,
		    const struct file_link *link)
{
	if (!file->job.xfer || link->aborted)
		return -ECONNABORTED;
	return clock_left_ns(file->job.deadline_ns) == 0 ? -ETIMEDOUT : 0;
}

/* Moves N chunks of XFER, of which DONE have been moved before.  Under the
 * lock, which is released for the system calls: the caller's memory may be gone
 * afterwards. */
static int move_chunks(struct file_channel *file, const struct xfer *xfer,
		       uint32_t done, uint32_t n)
{
	struct link_group *group = file_link(xfer->link)->group;
	uint32_t chunk = group->chunk_bytes, room = group->room_bytes;
	uint8_t *memory = (uint8_t *)xfer->buf + (size_t)done * chunk;
	uint64_t first = xfer->offset_bytes / chunk + done;
	int rc;

	if (xfer->op == XFER_WRITE)
		copy_chunks(group, file->buffer, room, memory, chunk, n);
	pthread_mutex_unlock(&file->lock);
	rc = move_bytes(group->fd, xfer->op, file->buffer, n * room,
			xfer->remote.address + first * room);
	pthread_mutex_lock(&file->lock);
	if (rc) {
		atomic_store(&group->error, -rc);
		return -EREMOTEIO;
	}
	if (xfer->op == XFER_READ && file->job.xfer)
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

/* Moves XFER, a copy of the job's.  Under the lock. */
static int transfer_out(struct file_channel *file, const struct xfer *xfer)
{
	const struct file_link *link = file_link(xfer->link);
	struct link_group *group = link->group;
	uint32_t at_once = file->buffer_bytes / group->room_bytes, n;

	if (!whole_chunks(group, xfer) || at_once == 0) {
		atomic_store(&group->error, EINVAL);
		return -EREMOTEIO;
	}
	n = xfer->bytes / group->chunk_bytes;
	for (uint32_t done = 0, now; done < n; done += now) {
		int rc = obstacle(file, link);

		now = n - done < at_once ? n - done : at_once;
		if (!rc)
			rc = move_chunks(file, xfer, done, now);
		if (rc)
			return rc;
	}
	return 0;
}

/* Ends JOB, which the caller has taken from where it was.  Under the lock. */
static void end_job(struct file_channel *file, const struct file_job *job,
		    int status)
{
	job->xfer->status = status;
	/* From here on another thread may use the transfer anew, or free it. */
	if (job->waker)
		waker_wake(job->waker);
	pthread_cond_broadcast(&file->over);
}

/* Under the lock. */
static void do_job(struct file_channel *file)
{
	struct xfer xfer;
	int status;

	file->job = file->jobs[file->first];
	file->first = (file->first + 1) % TRANSPORT_MAX_XFERS;
	file->queued--;
	if (!file->job.xfer)
		return;
	file->working = true;
	xfer = *file->job.xfer;
	status = transfer_out(file, &xfer);
	file->working = false;
	if (file->job.xfer)
		end_job(file, &file->job, status);
	else
		pthread_cond_broadcast(&file->over);
}

static void *file_thread(void *arg)
{
	struct file_channel *file = arg;

	pthread_mutex_lock(&file->lock);
	while (!file->ends) {
		if (file->queued > 0)
			do_job(file);
		else
			pthread_cond_wait(&file->work, &file->lock);
	}
	pthread_mutex_unlock(&file->lock);
	return NULL;
}

/* --- channels and links --- */

static void free_channel(struct file_channel *file)
{
	pthread_cond_destroy(&file->over);
	pthread_cond_destroy(&file->work);
	pthread_mutex_destroy(&file->lock);
	pages_unmap(file->buffer, file->buffer_bytes);
	free(file);
}

static int file_channel_create(const struct channel_config *config,
			       struct channel **channel, struct error *why)
{
	struct file_channel *file = calloc(1, sizeof *file);
	int rc;

	if (!file) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	pthread_mutex_init(&file->lock, NULL);
	pthread_cond_init(&file->work, NULL);
	clock_cond_init(&file->over);
	file->base.ops = &transport_file;
	file->buffer_bytes = config->buffer_bytes;
	file->buffer = pages_map(config->buffer_bytes);
	if (!file->buffer) {
		error_set(why, "no memory for a buffer of %u bytes",
			  config->buffer_bytes);
		free_channel(file);
		return -ENOMEM;
	}
	rc = pthread_create(&file->thread, NULL, file_thread, file);
	if (rc) {
		error_set(why, "a thread for the fallback: %s", strerror(rc));
		free_channel(file);
		return -rc;
	}
	*channel = &file->base;
	return 0;
}

static void file_channel_destroy(struct channel *channel)
{
	struct file_channel *file = file_channel(channel);

	pthread_mutex_lock(&file->lock);
	file->ends = true;
	pthread_cond_signal(&file->work);
	pthread_mutex_unlock(&file->lock);
	pthread_join(file->thread, NULL);
	free_channel(file);
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

/* --- dropping --- */

static bool is_dropped(const struct xfer *x, const struct link *link,
		       const struct xfer *xfers, size_t n)
{
	return link ? x->link == link : x >= xfers && x < xfers + n;
}

/* Ends the transfers in progress that are of LINK, or where LINK is NULL one of
 * the N.  Under the lock. */
static void drop(struct file_channel *file, const struct link *link,
		 const struct xfer *xfers, size_t n, int status)
{
	for (uint32_t i = 0; i < file->queued; i++) {
		struct file_job *job =
			&file->jobs[(file->first + i) % TRANSPORT_MAX_XFERS];

		if (job->xfer && is_dropped(job->xfer, link, xfers, n)) {
			end_job(file, job, status);
			job->xfer = NULL;
		}
	}
	if (file->working && file->job.xfer &&
	    is_dropped(file->job.xfer, link, xfers, n)) {
		end_job(file, &file->job, status);
		file->job.xfer = NULL;
	}
}

static void file_link_abort(struct link *link)
{
	struct file_channel *file = file_channel(link->channel);

	pthread_mutex_lock(&file->lock);
	file_link(link)->aborted = true;
	drop(file, link, NULL, 0, -ECONNABORTED);
	pthread_mutex_unlock(&file->lock);
}

/* Waits for the system call of a transfer that was dropped: no write of the
 * link reaches the disk later. */
static void file_link_close(struct link *link)
{
	struct file_channel *file = file_channel(link->channel);

	pthread_mutex_lock(&file->lock);
	while (file->working)
		pthread_cond_wait(&file->over, &file->lock);
	pthread_mutex_unlock(&file->lock);
	free(link);
}

/* --- transfers --- */

static bool is_usable(const struct file_channel *file)
{
	return !file->working || file->job.xfer;
}

static bool file_usable(const struct channel *channel)
{
	struct file_channel *file =
		file_channel((struct channel *)(uintptr_t)channel);
	bool usable;

	pthread_mutex_lock(&file->lock);
	usable = is_usable(file);
	pthread_mutex_unlock(&file->lock);
	return usable;
}

/* Under the lock. */
static void queue(struct file_channel *file, struct xfer *x,
		  uint64_t deadline_ns)
{
	uint32_t at = (file->first + file->queued) % TRANSPORT_MAX_XFERS;

	if (file_link(x->link)->aborted) {
		x->status = -ECONNABORTED;
	} else if (file->queued == TRANSPORT_MAX_XFERS || !is_usable(file)) {
		x->status = XFER_UNSENT;
	} else {
		x->status = -EINPROGRESS;
		file->jobs[at] = (struct file_job){ .xfer = x,
						    .deadline_ns = deadline_ns,
						    .waker = file->base.waker };
		file->queued++;
	}
}

static void file_submit(struct channel *channel, struct xfer *xfers, size_t n,
			uint64_t deadline_ns)
{
	struct file_channel *file = file_channel(channel);

	pthread_mutex_lock(&file->lock);
	for (size_t i = 0; i < n; i++)
		queue(file, &xfers[i], deadline_ns);
	pthread_cond_signal(&file->work);
	pthread_mutex_unlock(&file->lock);
}

static size_t file_wait_until(struct channel *channel, struct xfer *xfers,
			      size_t n, size_t want, uint64_t deadline_ns)
{
	struct file_channel *file = file_channel(channel);
	struct timespec until = clock_timespec(deadline_ns);
	int rc = 0;

	pthread_mutex_lock(&file->lock);
	while (transport_over(xfers, n) < want && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&file->over, &file->lock, &until);
	pthread_mutex_unlock(&file->lock);
	return transport_over(xfers, n);
}

static void file_abandon(struct channel *channel, struct xfer *xfers, size_t n)
{
	struct file_channel *file = file_channel(channel);

	pthread_mutex_lock(&file->lock);
	drop(file, NULL, xfers, n, -ETIMEDOUT);
	pthread_mutex_unlock(&file->lock);
}

static void file_wait(struct channel *channel, struct xfer *xfers, size_t n,
		      uint64_t deadline_ns)
{
	if (file_wait_until(channel, xfers, n, n, deadline_ns) < n)
		file_abandon(channel, xfers, n);
}

/* The channel's thread wakes the thread that submitted. */
static void file_watch(const struct xfer *x, struct watch *watch)
{
	(void)x;
	(void)watch;
}

const struct transport_ops transport_file = {
	.name = "file",
	.channel_create = file_channel_create,
	.channel_destroy = file_channel_destroy,
	.link_connect = file_link_connect,
	.link_abort = file_link_abort,
	.link_close = file_link_close,
	.submit = file_submit,
	.wait_until = file_wait_until,
	.wait = file_wait,
	.abandon = file_abandon,
	.watch = file_watch,
	.usable = file_usable,
};
