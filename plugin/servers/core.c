#include "core.h"

#include <sched.h>

#include "clock.h"
#include "times.h"

uint64_t engine_answer_ns(const struct engine_config *config)
{
	uint64_t ns = config->timeout_ns / 3;

	return ns < TIMES_ANSWER_MAX_S * NS_PER_S
		       ? ns
		       : TIMES_ANSWER_MAX_S * NS_PER_S;
}

uint64_t engine_reach_ns(const struct engine_config *config)
{
	return config->timeout_ns < TIMES_REACH_MAX_S * NS_PER_S
		       ? config->timeout_ns
		       : TIMES_REACH_MAX_S * NS_PER_S;
}

/* --- what happens --- */

void engine_count(struct engine *engine, enum engine_event event, uint64_t n)
{
	int cpu = sched_getcpu();
	uint32_t i = cpu < 0 ? 0 : (uint32_t)cpu % ENGINE_CPUS;

	/* The thread may have moved on to another processor meanwhile. */
	atomic_fetch_add_explicit(&engine->cpus[i].events[event], n,
				  memory_order_relaxed);
}

uint64_t engine_counted(const struct engine *engine, enum engine_event event)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < ENGINE_CPUS; i++)
		sum += atomic_load_explicit(&engine->cpus[i].events[event],
					    memory_order_relaxed);
	return sum;
}

/* --- pages and the counts of their slabs --- */

/* Calls CHANGE for each slab, on the part of the range that is in the slab.
 * Returns by how much the number of present pages changed. */
static int64_t by_slab(struct engine *engine, uint64_t page, uint64_t n,
		       int64_t (*change)(struct pagemap *map, uint64_t page,
					 uint64_t n, enum page_state state),
		       enum page_state state)
{
	struct slab_table *table = &engine->slabs;
	int64_t sum = 0;

	while (n > 0) {
		uint64_t slab = slab_of_page(table, page);
		uint64_t here = geometry_pages_from(&table->geometry, page);
		uint64_t now = here < n ? here : n;
		int64_t present = change(&engine->pages, page, now, state);

		if (present)
			atomic_fetch_add(&table->slabs[slab].present_pages,
					 (int32_t)present);
		sum += present;
		page += now;
		n -= now;
	}
	return sum;
}

void engine_set_pages(struct engine *engine, uint64_t page, uint64_t n,
		      enum page_state state)
{
	by_slab(engine, page, n, pagemap_set, state);
}

static int64_t lose(struct pagemap *map, uint64_t page, uint64_t n,
		    enum page_state state)
{
	(void)state;
	return -pagemap_lose(map, page, n);
}

int64_t engine_lose_pages(struct engine *engine, uint64_t page, uint64_t n)
{
	int64_t lost = -by_slab(engine, page, n, lose, PAGE_LOST);

	atomic_fetch_add(&engine->counters.pages_lost, (uint64_t)lost);
	return lost;
}
