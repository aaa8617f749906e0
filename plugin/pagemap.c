#include "pagemap.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

int pagemap_create(struct pagemap *map, uint64_t pages, struct reason *why)
{
	void *state = mmap(NULL, pages, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (state == MAP_FAILED) {
		reason_set(why, "a page map of %llu bytes: %s",
			   (unsigned long long)pages, strerror(errno));
		return -errno;
	}
	*map = (struct pagemap){ .pages = pages, .state = state };
	return 0;
}

void pagemap_destroy(struct pagemap *map)
{
	if (map->state)
		munmap((void *)map->state, map->pages);
	*map = (struct pagemap){ 0 };
}

int64_t pagemap_set(struct pagemap *map, uint64_t page, uint64_t n,
		    enum page_state state)
{
	int64_t present = 0, lost = 0;

	for (uint64_t i = page; i < page + n; i++) {
		uint8_t old = atomic_load_explicit(&map->state[i],
						   memory_order_relaxed);

		/* Spares the exchange where a trim meets an absent page, which
		 * is most of a swapon --discard. */
		if (old == state && state == PAGE_ABSENT)
			continue;
		old = atomic_exchange_explicit(&map->state[i], (uint8_t)state,
					       memory_order_acq_rel);
		present += (state == PAGE_PRESENT) - (old == PAGE_PRESENT);
		lost += (state == PAGE_LOST) - (old == PAGE_LOST);
	}
	if (lost)
		atomic_fetch_add(&map->lost, lost);
	return present;
}

int64_t pagemap_lose(struct pagemap *map, uint64_t page, uint64_t n)
{
	int64_t lost = 0;

	for (uint64_t i = page; i < page + n; i++) {
		uint8_t old = PAGE_PRESENT;

		lost += atomic_compare_exchange_strong(&map->state[i], &old,
						       PAGE_LOST);
	}
	if (lost)
		atomic_fetch_add(&map->lost, lost);
	return lost;
}

uint64_t pagemap_run(const struct pagemap *map, uint64_t page, uint64_t n)
{
	enum page_state first;
	uint64_t i;

	if (n == 0)
		return 0;
	first = pagemap_get(map, page);
	for (i = 1; i < n && pagemap_get(map, page + i) == first; i++)
		;
	return i;
}
