#include "checksum.h"

#include <errno.h>

#include "transport/memory.h"

int checksums_create(struct checksums *c, uint64_t pages, struct error *why)
{
	size_t bytes = pages * sizeof *c->sums;
	void *sums = pages_map_table("checksums", bytes, why);

	if (!sums)
		return -errno;
	*c = (struct checksums){ .pages = pages, .sums = sums };
	return 0;
}

void checksums_destroy(struct checksums *c)
{
	pages_unmap((void *)c->sums, c->pages * sizeof *c->sums);
	*c = (struct checksums){ 0 };
}
