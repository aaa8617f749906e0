#include "checksum.h"

#include <errno.h>
#include <string.h>

#include <isa-l/crc.h>

#include "pagemap.h"
#include "pages.h"

uint32_t checksum_bytes(const void *bytes, size_t n)
{
	/* ISA-L leaves the inversions to its caller, and takes what it only
	 * reads without const. */
	return ~crc32_iscsi((unsigned char *)(uintptr_t)bytes, (int)n,
			    UINT32_MAX);
}

uint32_t checksum_page(const void *page)
{
	return checksum_bytes(page, PAGE_BYTES);
}

int checksums_create(struct checksums *c, uint64_t pages, struct reason *why)
{
	size_t bytes = pages * sizeof *c->sums;
	void *sums = pages_map(bytes);

	if (!sums) {
		int rc = -errno;

		reason_set(why, "checksums of %zu bytes: %s", bytes,
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
