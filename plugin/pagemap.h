/* The page map: what is known of each 4 KiB page of the device.
 *
 *            write                    write, all zeros or trim
 *   ABSENT --------> PRESENT          any ----------------> ABSENT
 *                      |  ^
 *         its copy gone v  | write
 *                      LOST
 *
 * One byte a page, changed by atomic operations, so that whoever changes a page
 * learns what it was and can keep the count of present pages of its slab exact:
 *
 *   bit 7 ... 3   2     1 0
 *   sequence      BUSY  state
 *
 * BUSY: somebody owns the page, that is, moves its bytes to where they are kept
 * (a write, or a repair).  So two writes of a page follow each other wherever
 * it is kept, and nothing is written between a repair's read and its write.
 * Whoever owns several pages took them in ascending order, and waits for none
 * but its transfers while it does.  The sequence goes up with every change of
 * state or bytes: a reader looks at the byte before and after, and where it is
 * the same, and not BUSY, it has read what the page held at that time, and not
 * half of one write and half of another.  (32 writes of the page during one
 * read would deceive it; the checksum is for that and worse.)
 *
 * The map knows no slab and no transport.  Any thread; nothing here allocates
 * but create, nor blocks but own and wait_free.
 *
 * Lock: `lock` is for those who wait for a page, and is a leaf.
 */
#ifndef RSWAP_PAGEMAP_H
#define RSWAP_PAGEMAP_H

#include <pthread.h>
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

#define PAGE_STATE_MASK 0x03u
#define PAGE_BUSY	0x04u
#define PAGE_SEQUENCE	0x08u /* one more */

struct pagemap {
	uint64_t pages;
	_Atomic uint8_t *state; /* [pages], page-aligned */
	_Atomic int64_t lost;	/* how many pages are LOST */

	_Atomic uint32_t waiters;
	pthread_mutex_t lock;
	pthread_cond_t freed;
};

/* All pages ABSENT.  The memory is populated, so that no later access faults.
 * 0 or a negative errno. */
int pagemap_create(struct pagemap *map, uint64_t pages, struct reason *why);
void pagemap_destroy(struct pagemap *map);

/* The whole byte, for a reader that will look again. */
static inline uint8_t pagemap_look(const struct pagemap *map, uint64_t page)
{
	/* Acquire: pairs with the release in pagemap_set, so that whoever sees
	 * PRESENT sees the slab that the page is in. */
	return atomic_load_explicit(&map->state[page], memory_order_acquire);
}

static inline enum page_state pagemap_get(const struct pagemap *map,
					  uint64_t page)
{
	return (enum page_state)(pagemap_look(map, page) & PAGE_STATE_MASK);
}

/* Makes the page the caller's own, as soon as it is nobody's.  0 or -ETIMEDOUT;
 * with a DEADLINE_NS of 0 it does not wait. */
int pagemap_own(struct pagemap *map, uint64_t page, uint64_t deadline_ns);
void pagemap_disown(struct pagemap *map, uint64_t page);
/* Waits while the page is somebody's.  0 or -ETIMEDOUT. */
int pagemap_wait_free(struct pagemap *map, uint64_t page, uint64_t deadline_ns);

/* Sets N pages from PAGE to STATE, whosever they are, and returns by how much
 * the number of present pages among them changed. */
int64_t pagemap_set(struct pagemap *map, uint64_t page, uint64_t n,
		    enum page_state state);

/* PRESENT pages of the N from PAGE become LOST; how many did. */
int64_t pagemap_lose(struct pagemap *map, uint64_t page, uint64_t n);

/* How many of at most N pages from PAGE have the same state as the first: at
 * least 1 for N above 0. */
uint64_t pagemap_run(const struct pagemap *map, uint64_t page, uint64_t n);

#endif
