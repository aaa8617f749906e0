/* A block device, past the page cache: what the kernel makes of a request goes
 * to the device at once, in parts where it is too large for one. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "target.h"

/* A device that answers a part of a request says no errno. */
static int result(ssize_t n, uint64_t bytes)
{
	if (n < 0)
		return -errno;
	errno = (uint64_t)n == bytes ? 0 : EIO;
	return -errno;
}

static int read_pages(struct target *target, void *buf, uint64_t bytes,
		      uint64_t offset)
{
	return result(pread(target->fd, buf, bytes, (off_t)offset), bytes);
}

static int write_pages(struct target *target, const void *buf, uint64_t bytes,
		       uint64_t offset, bool fua)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf,
			     .iov_len = bytes };

	return result(pwritev2(target->fd, &iov, 1, (off_t)offset,
			       fua ? RWF_DSYNC : 0),
		      bytes);
}

static int order(struct target *target, unsigned long what, uint64_t bytes,
		 uint64_t offset)
{
	uint64_t range[2] = { offset, bytes };

	return result(ioctl(target->fd, what, range), 0);
}

static int trim_pages(struct target *target, uint64_t bytes, uint64_t offset,
		      bool fua)
{
	(void)fua;
	return order(target, BLKDISCARD, bytes, offset);
}

static int zero_pages(struct target *target, uint64_t bytes, uint64_t offset,
		      bool fua)
{
	(void)fua;
	return order(target, BLKZEROOUT, bytes, offset);
}

static int flush(struct target *target)
{
	return result(fdatasync(target->fd), 0);
}

static const char *error(void)
{
	return strerror(errno);
}

static bool is_dead(struct target *target)
{
	uint64_t bytes = 0;

	return ioctl(target->fd, BLKGETSIZE64, &bytes) || !bytes;
}

static void end(struct target *target)
{
	close(target->fd);
}

static const struct target_ops ops = {
	.read = read_pages,
	.write = write_pages,
	.trim = trim_pages,
	.zero = zero_pages,
	.flush = flush,
	.error = error,
	.is_dead = is_dead,
	.close = end,
};

bool target_open_block(struct target *target, const char *path,
		       const char **why)
{
	*target = (struct target){
		.ops = &ops,
		.fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC),
		.may_be_many = true,
	};
	if (target->fd >= 0 && !ioctl(target->fd, BLKGETSIZE64, &target->bytes))
		return true;
	*why = strerror(errno);
	return false;
}
