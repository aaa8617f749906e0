#include "fallback.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "pages/pagemap.h"
#include "size.h"
#include "transport/file.h"

#define HEADER_BYTES FALLBACK_HEADER_BYTES
/* A device that begins with so many zeros is free: file systems, partition
 * tables, volume managers and swap have their signatures there. */
#define VACANT_BYTES (128u << 10)

static const char magic[] = "rswap fallback 1\n";

/* A fallback that is being opened. */
struct opening {
	const struct fallback_config *config;
	uint64_t slot_bytes;
	struct error *why;
	struct stat stat;
	int fd;
	bool created;
	uint64_t old_bytes; /* its old size */
	uint8_t *buffer;    /* VACANT_BYTES, aligned */
};

static int refuse(const struct opening *o, int rc, const char *what)
{
	error_set(o->why, "fallback=%s: %s", o->config->path, what);
	return rc;
}

static int refuse_errno(const struct opening *o, int error, const char *what)
{
	error_set(o->why, "fallback=%s: %s: %s", o->config->path, what,
		  strerror(error));
	return -error;
}

/* --- opening --- */

static int refuse_open(const struct opening *o, int error)
{
	switch (error) {
	case EBUSY:
		return refuse(o, -error,
			      "the device is in use (mounted, swapped on, or "
			      "another's fallback)");
	case EINVAL:
		return refuse(
			o, -error,
			"its file system has no direct I/O, without which "
			"writing a page needs memory for a second page");
	default:
		return refuse_errno(o, error, "cannot open it");
	}
}

/* Creates the file without O_DIRECT, because some file systems refuse O_DIRECT
 * only after they have created the file. */
static int create_file(struct opening *o)
{
	int fd = open(o->config->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
		      S_IRUSR | S_IWUSR);

	if (fd < 0)
		return refuse_errno(o, errno, "cannot create it");
	close(fd);
	o->created = true;
	return 0;
}

/* No other kind of file is opened, because opening a device may have an effect
 * (a watchdog). */
static int check_kind(const struct opening *o, mode_t mode)
{
	if (S_ISREG(mode) || S_ISBLK(mode))
		return 0;
	return refuse(o, -EINVAL,
		      "is neither a regular file nor a block device");
}

static int open_path(struct opening *o)
{
	int flags = O_RDWR | O_DIRECT | O_CLOEXEC;
	int rc = 0;

	if (stat(o->config->path, &o->stat) == 0) {
		rc = check_kind(o, o->stat.st_mode);
		/* O_EXCL fails where another program uses the device, and keeps
		 * other programs from claiming it later. */
		if (S_ISBLK(o->stat.st_mode))
			flags |= O_EXCL;
	} else if (errno == ENOENT) {
		rc = create_file(o);
	}
	if (rc)
		return rc;
	o->fd = open(o->config->path, flags);
	return o->fd < 0 ? refuse_open(o, errno) : 0;
}

/* Takes the file for this process alone.  For a block device O_EXCL did so. */
static int lock_file(const struct opening *o)
{
	if (S_ISBLK(o->stat.st_mode) || flock(o->fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return refuse(o, -EBUSY, "another nbdkit uses it");
	return refuse_errno(o, errno, "cannot lock it");
}

static int check_memory(struct opening *o)
{
	struct statfs fs;

	if (fstat(o->fd, &o->stat) < 0 || fstatfs(o->fd, &fs) < 0)
		return refuse_errno(o, errno, "cannot read its state");
	if (S_ISREG(o->stat.st_mode) &&
	    (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC))
		return refuse(o, -EINVAL,
			      "is in memory (tmpfs): swapping to it frees no "
			      "memory");
	return 0;
}

/* --- the contents --- */

static bool all_zeros(const uint8_t *bytes, size_t n)
{
	return n == 0 || (bytes[0] == 0 && !memcmp(bytes, bytes + 1, n - 1));
}

/* Refuses a disk or file with other contents, because overwriting the wrong
 * disk is worse than asking for one more command. */
static int check_vacant(const struct opening *o)
{
	ssize_t n = pread(o->fd, o->buffer, VACANT_BYTES, 0);

	if (n < 0)
		return refuse_errno(o, errno, "cannot read it");
	if (n >= (ssize_t)sizeof magic &&
	    !memcmp(o->buffer, magic, sizeof magic))
		return 0;
	if (all_zeros(o->buffer, (size_t)n))
		return 0;
	return refuse(o, -EEXIST,
		      "holds something that is not rswap's; to have it "
		      "overwritten, clear its first 128 KiB: dd if=/dev/zero "
		      "conv=notrunc bs=128K count=1 of=...");
}

/* Writing the header also checks that writing works. */
static int write_header(const struct opening *o)
{
	ssize_t n;

	memset(o->buffer, 0, HEADER_BYTES);
	memcpy(o->buffer, magic, sizeof magic);
	n = pwrite(o->fd, o->buffer, HEADER_BYTES, 0);
	if (n == HEADER_BYTES)
		return 0;
	return n < 0 && errno == EINVAL
		       ? refuse(o, -EINVAL,
				"does not take direct I/O in blocks of 4096 "
				"bytes")
		       : refuse_errno(o, n < 0 ? errno : EIO,
				      "cannot write to it");
}

/* --- the size --- */

static int refuse_size(const struct opening *o, uint64_t bytes)
{
	struct size_text slot = size_format(o->slot_bytes);

	error_set(o->why, "fallback=%s: %s are less than one slab of %s",
		  o->config->path, size_format(bytes).text, slot.text);
	return -EINVAL;
}

static int device_slots(const struct opening *o, uint64_t *n_slots)
{
	uint64_t bytes, wanted = o->config->size_bytes;

	if (ioctl(o->fd, BLKGETSIZE64, &bytes) < 0)
		return refuse_errno(o, errno, "cannot tell its size");
	bytes = bytes > HEADER_BYTES ? bytes - HEADER_BYTES : 0;
	if (wanted > bytes) {
		struct size_text text = size_format(wanted);

		error_set(o->why,
			  "fallback=%s: fallback-size=%s is more than the %s "
			  "that it has for slabs",
			  o->config->path, text.text, size_format(bytes).text);
		return -EINVAL;
	}
	if (wanted)
		bytes = wanted;
	*n_slots = bytes / o->slot_bytes;
	return *n_slots ? 0 : refuse_size(o, bytes);
}

static int file_slots(const struct opening *o, uint64_t *n_slots)
{
	uint64_t bytes = o->config->size_bytes;

	if (!bytes && o->old_bytes > HEADER_BYTES)
		bytes = o->old_bytes - HEADER_BYTES;
	*n_slots = bytes ? bytes / o->slot_bytes : o->config->default_slots;
	return *n_slots ? 0 : refuse_size(o, bytes);
}

static int refuse_room(const struct opening *o, uint64_t bytes, int error)
{
	struct size_text free = { "?" };
	struct statfs fs;

	switch (error) {
	case ENOSPC:
	case EDQUOT:
		if (fstatfs(o->fd, &fs) == 0)
			free = size_format((uint64_t)fs.f_bavail *
					   (uint64_t)fs.f_bsize);
		error_set(o->why,
			  "fallback=%s: %s do not fit its file system, which "
			  "has %s free: give a smaller fallback-size",
			  o->config->path, size_format(bytes).text, free.text);
		return -error;
	case EOPNOTSUPP:
		return refuse(
			o, -error,
			"its file system cannot reserve room (fallocate), "
			"and a write must not fail for lack of room");
	case ETXTBSY:
		return refuse(o, -error, "is swapped on");
	default:
		return refuse_errno(o, error, "cannot reserve room");
	}
}

static int reserve_file(const struct opening *o, uint64_t bytes)
{
	int flags = 0;

	/* A copy-on-write file system (btrfs) needs new blocks for every write.
	 * This flag makes it write this file in place.  Only an empty file
	 * takes the flag, and few file systems know it, so errors are ignored.
	 */
	if (o->old_bytes == 0 && ioctl(o->fd, FS_IOC_GETFLAGS, &flags) == 0) {
		flags |= FS_NOCOW_FL;
		(void)ioctl(o->fd, FS_IOC_SETFLAGS, &flags);
	}
	while (fallocate(o->fd, 0, 0, (off_t)bytes) < 0) {
		int error = errno;

		if (error == EINTR)
			continue;
		/* Frees the blocks that fallocate got before it failed. */
		(void)!ftruncate(o->fd, (off_t)o->old_bytes);
		return refuse_room(o, bytes, error);
	}
	return 0;
}

/* Computes the number of slots before anything in the file is changed. */
static int measure(const struct opening *o, uint64_t *n_slots)
{
	uint64_t limit = (INT64_MAX - HEADER_BYTES) / o->slot_bytes;
	int rc = S_ISBLK(o->stat.st_mode) ? device_slots(o, n_slots)
					  : file_slots(o, n_slots);

	if (rc)
		return rc;
	if (limit > UINT32_MAX)
		limit = UINT32_MAX;
	return *n_slots > limit ? refuse(o, -EFBIG, "is too large") : 0;
}

/* --- opening and closing --- */

static int prepare(struct opening *o, uint64_t *n_slots)
{
	int rc = open_path(o);

	if (!rc)
		rc = check_memory(o);
	if (!rc)
		rc = lock_file(o);
	if (rc)
		return rc;
	o->old_bytes = (uint64_t)o->stat.st_size;
	rc = check_vacant(o);
	if (!rc)
		rc = measure(o, n_slots);
	if (!rc && S_ISREG(o->stat.st_mode))
		rc = reserve_file(o, HEADER_BYTES + *n_slots * o->slot_bytes);
	return rc ? rc : write_header(o);
}

/* Closes the file, and removes a file that fallback_open created. */
static void back_out(const struct opening *o)
{
	if (o->created)
		unlink(o->config->path);
	if (o->fd >= 0)
		close(o->fd);
}

int fallback_open(struct fallback *fallback,
		  const struct fallback_config *config, struct error *why)
{
	struct opening o = { .config = config,
			     .slot_bytes = config->slab_bytes /
					   config->chunk_bytes *
					   file_room_bytes(config->chunk_bytes),
			     .why = why,
			     .fd = -1 };
	uint64_t n_slots = 0;
	int rc;

	*fallback = (struct fallback){ .fd = -1 };
	o.buffer = aligned_alloc(PAGE_BYTES, VACANT_BYTES);
	rc = o.buffer ? prepare(&o, &n_slots)
		      : refuse_errno(&o, ENOMEM, "cannot open it");
	free(o.buffer);
	if (!rc) {
		fallback->used = calloc(n_slots, 1);
		fallback->group = file_group_create(o.fd, config->chunk_bytes);
		if (!fallback->used || !fallback->group ||
		    fallback_slots_create(fallback))
			rc = refuse_errno(&o, ENOMEM, "cannot keep its slots");
	}
	if (rc) {
		back_out(&o);
		fallback_close(fallback);
		return rc;
	}
	fallback->fd = o.fd;
	fallback->slot_bytes = o.slot_bytes;
	fallback->slab_bytes = config->slab_bytes;
	fallback->n_slots = (uint32_t)n_slots;
	atomic_store(&fallback->free_slots, (uint32_t)n_slots);
	return 0;
}

void fallback_close(struct fallback *fallback)
{
	/* A struct that is all zeros was never opened. */
	if (fallback->group) {
		file_group_destroy(fallback->group);
		if (fallback->fd >= 0)
			close(fallback->fd);
	}
	fallback_slots_destroy(fallback);
	free(fallback->used);
	*fallback = (struct fallback){ .fd = -1 };
}
