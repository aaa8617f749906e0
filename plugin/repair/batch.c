#include "batch.h"

#include "clock.h"

uint32_t batch_pages(const struct engine *engine, uint64_t page)
{
	uint32_t n = geometry_pages_from(&engine->slabs.geometry, page);
	uint64_t left = engine->pages.pages - page;

	if (n > left)
		n = (uint32_t)left;
	return n < BATCH_PAGES ? n : BATCH_PAGES;
}

uint32_t batch_lock(struct engine *engine, uint64_t page, uint32_t n)
{
	uint64_t deadline_ns = clock_now_ns() + engine->attempt_ns;
	uint32_t locked = 0;

	while (locked < n && !pagemap_lock(&engine->pages, page + locked,
					   locked ? 0 : deadline_ns))
		locked++;
	return locked;
}

void batch_unlock(struct engine *engine, uint64_t page, uint32_t n)
{
	while (n > 0)
		pagemap_unlock(&engine->pages, page + --n);
}
