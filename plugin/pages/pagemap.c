#include "pagemap.h"

#include <errno.h>
#include <string.h>

#include "clock.h"
#include "transport/memory.h"

int pagemap_create(struct pagemap *map, uint64_t pages, struct error *why)
{
	uint64_t groups = (pages + PAGE_GROUP_PAGES - 1) / PAGE_GROUP_PAGES;
	uint64_t state_bytes = groups * PAGE_GROUP_PAGES;
	uint64_t bytes = state_bytes + groups * sizeof *map->wraps;
	uint8_t *memory = pages_map_table("a page map", bytes, why);

	if (!memory)
		return -errno;
	memset(map, 0, sizeof *map);
	map->pages = pages;
	map->state = (void *)memory;
	map->wraps = (void *)(memory + state_bytes);
	map->memory_bytes = bytes;
	pthread_mutex_init(&map->lock, NULL);
	clock_cond_init(&map->freed);
	return 0;
}

void pagemap_destroy(struct pagemap *map)
{
	if (!map->state)
		return;
	pages_unmap((void *)map->state, map->memory_bytes);
	pthread_cond_destroy(&map->freed);
	pthread_mutex_destroy(&map->lock);
	memset(map, 0, sizeof *map);
}

/* Changes the page from *OLD to STATE, with the next sequence.  False where the
 * page is not *OLD any more; then *OLD is set to the present byte. */
static bool change(struct pagemap *map, uint64_t page, uint8_t *old,
		   enum page_state state)
{
	_Atomic uint64_t *wraps = &map->wraps[page / PAGE_GROUP_PAGES];
	uint8_t next =
		(uint8_t)(((*old & ~PAGE_STATE_MASK) | state) + PAGE_SEQUENCE);
	bool wrap = (*old & PAGE_SEQUENCE_MASK) == PAGE_SEQUENCE_MASK, done;

	/* The header's proof needs this order: no thread sees the byte's change
	 * without "began", or "over" without the change. */
	if (wrap)
		atomic_fetch_add(wraps, PAGE_WRAP_ONE | PAGE_WRAP_OPEN);
	done = atomic_compare_exchange_strong_explicit(
		&map->state[page], old, next, memory_order_acq_rel,
		memory_order_relaxed);
	if (wrap)
		atomic_fetch_sub(wraps, PAGE_WRAP_OPEN);
	return done;
}

int64_t pagemap_set(struct pagemap *map, uint64_t page, uint64_t n,
		    enum page_state state)
{
	int64_t present = 0, lost = 0;

	for (uint64_t i = page; i < page + n; i++) {
		uint8_t old = atomic_load_explicit(&map->state[i],
						   memory_order_relaxed);
		enum page_state was;

		/* Saves the atomic exchange where the page is absent already.
		 * Most pages are during a swapon --discard. */
		if ((old & PAGE_STATE_MASK) == PAGE_ABSENT &&
		    state == PAGE_ABSENT)
			continue;
		while (!change(map, i, &old, state))
			;
		was = (enum page_state)(old & PAGE_STATE_MASK);
		present += (state == PAGE_PRESENT) - (was == PAGE_PRESENT);
		lost += (state == PAGE_LOST) - (was == PAGE_LOST);
	}
	if (lost)
		atomic_fetch_add(&map->lost, lost);
	return present;
}

int64_t pagemap_lose(struct pagemap *map, uint64_t page, uint64_t n)
{
	int64_t lost = 0;

	for (uint64_t i = page; i < page + n; i++) {
		uint8_t old = atomic_load(&map->state[i]);

		while ((old & PAGE_STATE_MASK) == PAGE_PRESENT) {
			if (!change(map, i, &old, PAGE_LOST))
				continue;
			lost++;
			break;
		}
	}
	if (lost)
		atomic_fetch_add(&map->lost, lost);
	return lost;
}

/* --- locks --- */

static bool take(struct pagemap *map, uint64_t page)
{
	return !(atomic_fetch_or(&map->state[page], PAGE_LOCKED) & PAGE_LOCKED);
}

static bool is_free(struct pagemap *map, uint64_t page)
{
	return !(atomic_load(&map->state[page]) & PAGE_LOCKED);
}

/* Waits until TRY succeeds.  A waiter counts itself and then checks the page.
 * A thread that unlocks a page clears its bit and then checks the count.  So
 * one of the two threads sees the other (both accesses are sequentially
 * consistent). */
static int wait_until(struct pagemap *map, uint64_t page, uint64_t deadline_ns,
		      bool (*try)(struct pagemap *map, uint64_t page))
{
	struct timespec until = clock_timespec(deadline_ns);
	bool done;
	int rc = 0;

	pthread_mutex_lock(&map->lock);
	atomic_fetch_add(&map->waiters, 1);
	while (!(done = try(map, page)) && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&map->freed, &map->lock, &until);
	atomic_fetch_sub(&map->waiters, 1);
	pthread_mutex_unlock(&map->lock);
	return done ? 0 : -ETIMEDOUT;
}

int pagemap_lock(struct pagemap *map, uint64_t page, uint64_t deadline_ns)
{
	if (take(map, page))
		return 0;
	return deadline_ns ? wait_until(map, page, deadline_ns, take)
			   : -ETIMEDOUT;
}

void pagemap_unlock(struct pagemap *map, uint64_t page)
{
	atomic_fetch_and(&map->state[page], (uint8_t)~PAGE_LOCKED);
	if (atomic_load(&map->waiters) == 0)
		return;
	pthread_mutex_lock(&map->lock);
	pthread_cond_broadcast(&map->freed);
	pthread_mutex_unlock(&map->lock);
}

int pagemap_wait_free(struct pagemap *map, uint64_t page, uint64_t deadline_ns)
{
	if (is_free(map, page))
		return 0;
	return deadline_ns ? wait_until(map, page, deadline_ns, is_free)
			   : -ETIMEDOUT;
}
