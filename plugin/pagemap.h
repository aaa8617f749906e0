/* The page map: what is known of each 4 KiB page of the device.
 *
 *            write                    write, all zeros or trim
 *   ABSENT --------> PRESENT          any ----------------> ABSENT
 *                      |  ^
 *         its copy gone v  | write
 *                      LOST
 *
 * One byte a page, changed by atomic exchange, so that whoever changes a page
 * learns what it was and can keep the count of present pages of its slab exact.
 * The map knows no slab and no transport.  Any thread; nothing here blocks or
 * allocates, but for create and destroy.
 */
#ifndef RSWAP_PAGEMAP_H
#define RSWAP_PAGEMAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "reason.h"

#define PAGE_BYTES 4096u

enum page_state {
	PAGE_ABSENT = 0,  /* reads as zeros, without a network trip */
	PAGE_PRESENT = 1, /* its bytes are in its slab */
	PAGE_LOST = 2,	  /* was written; its bytes are gone: reads fail */
};

struct pagemap {
	uint64_t pages;
	_Atomic uint8_t *state; /* [pages], page-aligned */
	_Atomic int64_t lost;	/* how many pages are LOST */
};

/* All pages ABSENT.  The memory is populated, so that no later access faults.
 * 0 or a negative errno. */
int pagemap_create(struct pagemap *map, uint64_t pages, struct reason *why);
void pagemap_destroy(struct pagemap *map);

static inline enum page_state pagemap_get(const struct pagemap *map,
					  uint64_t page)
{
	/* Acquire: pairs with the release in pagemap_set, so that whoever sees
	 * PRESENT sees the slab that the page is in. */
	return (enum page_state)atomic_load_explicit(&map->state[page],
						     memory_order_acquire);
}

/* Sets N pages from PAGE to STATE and returns by how much the number of present
 * pages among them changed. */
int64_t pagemap_set(struct pagemap *map, uint64_t page, uint64_t n,
		    enum page_state state);

/* PRESENT pages of the N from PAGE become LOST; how many did. */
int64_t pagemap_lose(struct pagemap *map, uint64_t page, uint64_t n);

/* How many of at most N pages from PAGE have the same state as the first: at
 * least 1 for N above 0. */
uint64_t pagemap_run(const struct pagemap *map, uint64_t page, uint64_t n);

#endif
