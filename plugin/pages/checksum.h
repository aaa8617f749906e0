/* What each page's bytes must add up to when they come back: CRC-32C, kept on
 * this machine, so that neither a server nor the network can change a page
 * unseen. */
#ifndef RSWAP_CHECKSUM_H
#define RSWAP_CHECKSUM_H

#include <stdatomic.h>
#include <stdint.h>

#include "crc32c.h"
#include "error.h"
#include "pagemap.h"

/* What a page's bytes add up to.  Any thread; pure. */
static inline uint32_t checksum_page(const void *page)
{
	return crc32c(page, PAGE_BYTES);
}

/* A checksum a page: 4 bytes each.  Any thread; nothing here blocks or
 * allocates, but for create and destroy. */
struct checksums {
	uint64_t pages;
	_Atomic uint32_t *sums; /* [pages], page-aligned */
};

/* All 0.  The memory is populated, so that no later access faults.  0 or a
 * negative errno with a line in WHY. */
int checksums_create(struct checksums *c, uint64_t pages, struct error *why);
void checksums_destroy(struct checksums *c);

/* The last checksum set for PAGE.  Whoever sees it sees what the thread that
 * set it had written before. */
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
