/* The page map: what is known of each 4 KiB page of the device.
 *
 *            write                    write of zeros, or trim
 *   ABSENT --------> PRESENT          any ----------------> ABSENT
 *                     |   ^
 *    too few copies   v   | write
 *                     LOST
 *
 * The map has one byte for each page, changed by atomic operations.  So a
 * thread that changes a page learns the state before, and can keep the count of
 * present pages of the page's slab exact:
 *
 *   bit 7 ... 3   2       1 0
 *   sequence      LOCKED  state
 *
 * LOCKED: a thread has locked the page.  It moves the page's bytes to where
 * they are kept (a write, or a repair), or finds out which of the copies are
 * wrong.  So two writes of a page follow each other on every server that holds
 * the page, and no write falls between a repair's read and its write.  A thread
 * locks several pages in ascending order, and then waits only for its transfers
 * until it has unlocked them.
 *
 * A reader takes the page's version before and after it reads.  Where both
 * versions are the same, and not LOCKED, it has read what the page held at that
 * time, and not half of one write and half of another.  The sequence goes up
 * with every change of state or bytes.  The sequence has 5 bits, so one change
 * in 32 wraps it.  A wrap counts up a counter that 128 pages share, so that 32
 * changes during one read are noticed as well as one change.  A version has the
 * byte and the counter.  A counter for each page would cost more memory than
 * the page map.  The shared counter costs 0.0015 % of the device, and sometimes
 * a second read, because a neighbour's sequence wrapped.
 *
 *   group's word, bit 63 ... 16   15 ... 0
 *   wraps that began              of these, not yet over
 *
 * Why two versions cannot be equal by mistake.  A change that wraps does three
 * things in this order: the word says "began", the byte changes, the word says
 * "over".  A version takes the word first, and is not valid where a wrap is not
 * over.  Say that the byte wrapped between two versions.  Then the wrap was not
 * over at the first version.  Either the wrap had begun, and the first version
 * is not valid.  Or the wrap began later; the second version has a byte from
 * after the wrap, so its word counts the wrap, and the versions differ.  (2^48
 * wraps during one read could make them equal: so many take centuries.)
 *
 * The map knows no slab and no transport.  Any thread.  Only pagemap_create
 * allocates; only pagemap_lock and pagemap_wait_free block.
 *
 * Lock: `lock` serves the threads that wait for a page, and is a leaf.
 */
#ifndef RSWAP_PAGEMAP_H
#define RSWAP_PAGEMAP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"

#define PAGE_BYTES 4096u

enum page_state {
	PAGE_ABSENT = 0,  /* reads as zeros, without a network trip */
	PAGE_PRESENT = 1, /* its bytes are in its slab */
	PAGE_LOST = 2,	  /* was written; its bytes are gone: reads fail */
};

#define PAGE_STATE_MASK	   0x03u
#define PAGE_LOCKED	   0x04u
#define PAGE_SEQUENCE	   0x08u /* one more */
#define PAGE_SEQUENCE_MASK 0xf8u

/* The pages that share a word for their wraps. */
#define PAGE_GROUP_PAGES 128u

#define PAGE_WRAP_OPEN 0x1u	/* one more that is not over */
#define PAGE_WRAP_MASK 0xffffu	/* how many are not over */
#define PAGE_WRAP_ONE  0x10000u /* one more that began */

struct pagemap {
	uint64_t pages;
	_Atomic uint8_t *state;	 /* [pages], page-aligned */
	_Atomic uint64_t *wraps; /* [groups], behind the states */
	uint64_t memory_bytes;	 /* of both */
	_Atomic int64_t lost;	 /* how many pages are LOST */

	_Atomic uint32_t waiters;
	pthread_mutex_t lock;
	pthread_cond_t freed;
};

/* All pages ABSENT.  The memory is populated, so that no later access faults.
 * 0 or a negative errno. */
int pagemap_create(struct pagemap *map, uint64_t pages, struct error *why);
void pagemap_destroy(struct pagemap *map);

/* A page's version, which a reader compares with a later version. */
struct page_version {
	uint64_t wraps; /* of its group */
	uint8_t byte;
};

static inline struct page_version pagemap_version(const struct pagemap *map,
						  uint64_t page)
{
	struct page_version version;

	/* The word first, as the comment above says.  Acquire pairs with the
	 * releases in pagemap_set, so that a thread that sees PRESENT also sees
	 * the slab that the page is in. */
	version.wraps = atomic_load_explicit(
		&map->wraps[page / PAGE_GROUP_PAGES], memory_order_acquire);
	version.byte =
		atomic_load_explicit(&map->state[page], memory_order_acquire);
	return version;
}

static inline enum page_state page_version_state(struct page_version version)
{
	return (enum page_state)(version.byte & PAGE_STATE_MASK);
}

static inline bool page_version_locked(struct page_version version)
{
	return version.byte & PAGE_LOCKED;
}

/* Whether the page is the same as when VERSION was taken.  LOCKED: the caller
 * has locked the page since then, which does not count as a change. */
static inline bool pagemap_unchanged(const struct pagemap *map, uint64_t page,
				     struct page_version version, bool locked)
{
	uint8_t byte =
		atomic_load_explicit(&map->state[page], memory_order_acquire);

	if (locked)
		byte &= (uint8_t)~PAGE_LOCKED;
	return byte == version.byte && !(version.wraps & PAGE_WRAP_MASK) &&
	       atomic_load_explicit(&map->wraps[page / PAGE_GROUP_PAGES],
				    memory_order_acquire) == version.wraps;
}

static inline enum page_state pagemap_get(const struct pagemap *map,
					  uint64_t page)
{
	return (enum page_state)(
		atomic_load_explicit(&map->state[page], memory_order_acquire) &
		PAGE_STATE_MASK);
}

/* Locks the page for the caller, as soon as no other thread has locked the
 * page. 0 or -ETIMEDOUT; with a DEADLINE_NS of 0 it does not wait. */
int pagemap_lock(struct pagemap *map, uint64_t page, uint64_t deadline_ns);
void pagemap_unlock(struct pagemap *map, uint64_t page);
/* Waits while the page is locked.  0 or -ETIMEDOUT. */
int pagemap_wait_free(struct pagemap *map, uint64_t page, uint64_t deadline_ns);

/* Sets N pages from PAGE to STATE, whether or not they are locked, and returns
 * by how much the number of present pages among them changed. */
int64_t pagemap_set(struct pagemap *map, uint64_t page, uint64_t n,
		    enum page_state state);

/* PRESENT pages of the N from PAGE become LOST.  Returns how many did. */
int64_t pagemap_lose(struct pagemap *map, uint64_t page, uint64_t n);

#endif
