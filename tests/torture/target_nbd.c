#include <errno.h>

#include <libnbd.h>

#include "target.h"

static int result(int rc)
{
	int error = nbd_get_errno();

	if (rc >= 0)
		return 0;
	return error > 0 ? -error : -EIO;
}

static uint32_t flags(bool fua)
{
	return fua ? LIBNBD_CMD_FLAG_FUA : 0;
}

static int read_pages(struct target *target, void *buf, uint64_t bytes,
		      uint64_t offset)
{
	return result(nbd_pread(target->nbd, buf, bytes, offset, 0));
}

static int write_pages(struct target *target, const void *buf, uint64_t bytes,
		       uint64_t offset, bool fua)
{
	return result(nbd_pwrite(target->nbd, buf, bytes, offset, flags(fua)));
}

static int trim_pages(struct target *target, uint64_t bytes, uint64_t offset,
		      bool fua)
{
	return result(nbd_trim(target->nbd, bytes, offset, flags(fua)));
}

static int zero_pages(struct target *target, uint64_t bytes, uint64_t offset,
		      bool fua)
{
	return result(nbd_zero(target->nbd, bytes, offset, flags(fua)));
}

static int flush(struct target *target)
{
	return result(nbd_flush(target->nbd, 0));
}

static bool is_dead(struct target *target)
{
	return nbd_aio_is_dead(target->nbd) > 0 ||
	       nbd_aio_is_closed(target->nbd) > 0;
}

static void end(struct target *target)
{
	nbd_shutdown(target->nbd, 0);
	nbd_close(target->nbd);
}

static const struct target_ops ops = {
	.read = read_pages,
	.write = write_pages,
	.trim = trim_pages,
	.zero = zero_pages,
	.flush = flush,
	.error = nbd_get_error,
	.is_dead = is_dead,
	.close = end,
};

bool target_open_nbd(struct target *target, const char *socket, const char *uri,
		     const char **why)
{
	int rc = -1;

	*target = (struct target){ .ops = &ops, .nbd = nbd_create(), .fd = -1 };
	if (target->nbd)
		rc = socket ? nbd_connect_unix(target->nbd, socket)
			    : nbd_connect_uri(target->nbd, uri);
	if (rc < 0) {
		*why = nbd_get_error();
		return false;
	}
	target->bytes = (uint64_t)nbd_get_size(target->nbd);
	target->may_be_many = nbd_can_multi_conn(target->nbd) > 0;
	return true;
}
