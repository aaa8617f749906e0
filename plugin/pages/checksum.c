#include "checksum.h"

#include <errno.h>
#include <string.h>

#include "transport/memory.h"

int checksums_create(struct checksums *c, uint64_t pages, struct error *why)
{
	size_t bytes = pages * sizeof *c->sums;
	void *sums = pages_map(bytes);

	if (!sums) {
		int rc = -errno;

		error_set(why, "checksums of %zu bytes: %s", bytes,
			  strerror(-rc));
		return rc;
	}
	*c = (struct checksums){ .pages = pages, .sums = sums };
	return 0;
}

void checksums_destroy(struct checksums *c)
{
	pages_unmap((void *)c->sums, c->pages * sizeof *c->sums);
	*c = (struct checksums){ 0 };
}
