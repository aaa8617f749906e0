/* The checksum (CRC-32C) of each page.  The checksums are kept on this machine,
 * so that neither a server nor the network can change a page unseen. */
#ifndef RSWAP_CHECKSUM_H
#define RSWAP_CHECKSUM_H

#include <stdatomic.h>
#include <stdint.h>

#include "crc32c.h"
#include "error.h"
#include "pagemap.h"

/* The checksum of a page's bytes.  Any thread; pure. */
static inline uint32_t checksum_page(const void *page)
{
	return crc32c(page, PAGE_BYTES);
}

/* One checksum for each page: 4 bytes each.  Any thread; nothing here blocks or
 * allocates, except create and destroy. */
struct checksums {
	uint64_t pages;
	_Atomic uint32_t *sums; /* [pages], page-aligned */
};

/* All checksums are 0.  The memory is populated, so that no later access
 * faults.  0 or a negative errno with a line in WHY. */
int checksums_create(struct checksums *c, uint64_t pages, struct error *why);
void checksums_destroy(struct checksums *c);

/* The last checksum set for PAGE.  A thread that sees the checksum also sees
 * what the thread that set the checksum had written before. */
static inline uint32_t checksums_get(const struct checksums *c, uint64_t page)
{
	return atomic_load_explicit(&c->sums[page], memory_order_acquire);
}

static inline void checksums_set(struct checksums *c, uint64_t page,
				 uint32_t sum)
{
	atomic_store_explicit(&c->sums[page], sum, memory_order_release);
}

#endif
