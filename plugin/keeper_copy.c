/* The keeper's copying: what a part misses is read from the others and written
 * to it. */
#include "keeper.h"

#include <errno.h>

#include "carry.h"
#include "clock.h"
#include "engine.h"
#include "verify.h"

/* Sleeps as long as it takes to keep to the rate. */
static void keep_rate(struct engine *engine, uint32_t pages)
{
	struct keeper *k = &engine->keeper;
	uint64_t rate = engine->config.repair_bytes_per_s, due_ns, now_ns;

	atomic_fetch_add(&k->copied_pages, pages);
	now_ns = clock_now_ns();
	if (now_ns - k->rate_from_ns > NS_PER_S) {
		k->rate_from_ns = now_ns;
		k->rate_pages = 0;
	}
	k->rate_pages += pages;
	if (!rate)
		return;
	due_ns = k->rate_from_ns + k->rate_pages * PAGE_BYTES * NS_PER_S / rate;
	if (due_ns > now_ns)
		clock_sleep_ns(due_ns - now_ns);
}

/* The owned pages from PAGE on that are PRESENT and stale in PART, at most N;
 * the bits of others at the front, which need no copy, are cleared: *SKIP. */
static uint32_t pages_to_copy(const struct engine *engine,
			      struct slab_part *part, uint64_t page, uint32_t n,
			      uint32_t *skip)
{
	uint32_t unit = slab_unit_of_page(&engine->slabs, page), i;

	for (*skip = 0; *skip < n; ++*skip) {
		if (pagemap_get(&engine->pages, page + *skip) == PAGE_PRESENT &&
		    part_is_stale(part, unit + *skip))
			break;
		part_mark(part, unit + *skip, 1, false);
	}
	for (i = *skip; i < n; i++) {
		if (pagemap_get(&engine->pages, page + i) != PAGE_PRESENT ||
		    !part_is_stale(part, unit + i))
			break;
	}
	return i - *skip;
}

/* Copies N owned pages into part I of the slab that is entered.  0, -EAGAIN, or
 * -EIO where nobody has them any more. */
static int copy_pages(struct engine *engine, struct lane *lane,
		      struct slab *slab, uint32_t i, uint64_t page, uint32_t n)
{
	uint64_t deadline_ns = clock_now_ns() + engine->attempt_ns;
	struct obstacle obstacle = { 0 };
	int rc;

	lane->n_runs = 1;
	lane->runs[0] = (struct lane_run){ .slab = slab,
					   .page = page,
					   .pages = n,
					   .buf = engine->keeper.pages,
					   .banned = 1u << i };
	rc = carry_read(engine, lane, deadline_ns, &obstacle);
	if (!rc)
		rc = verify_run(engine, lane, &lane->runs[0], deadline_ns,
				&obstacle);
	if (!rc)
		rc = carry_fill(engine, lane, i, deadline_ns);
	if (!rc)
		part_mark(&slab->parts[i],
			  slab_unit_of_page(&engine->slabs, page), n, false);
	lane_links_release(&engine->lanes, lane);
	return rc == -EIO ? rc : rc ? -EAGAIN : 0;
}

/* 0, -EAGAIN, or -EIO where nobody has one of them any more. */
static int copy_one_by_one(struct engine *engine, struct lane *lane,
			   struct slab *slab, uint32_t i, uint64_t page,
			   uint32_t n)
{
	int rc = 0;

	for (uint32_t j = 0; j < n && rc != -EAGAIN; j++) {
		int one = copy_pages(engine, lane, slab, i, page + j, 1);

		rc = one ? one : rc;
	}
	return rc;
}

/* With N pages from PAGE owned.  *COPIED: how many may have been. */
static int copy_owned(struct engine *engine, struct slab *slab, uint32_t i,
		      uint64_t page, uint32_t n, uint32_t *copied)
{
	struct lane *lane = lane_of_keeper(&engine->lanes);
	uint32_t skip = 0, now = 0;
	int rc = -EAGAIN;

	if (slab_enter(slab) != SLAB_LIVE)
		return -EAGAIN;
	if (part_is_live(&slab->parts[i])) {
		now = pages_to_copy(engine, &slab->parts[i], page, n, &skip);
		rc = now ? copy_pages(engine, lane, slab, i, page + skip, now)
			 : 0;
		/* Pages that different parts hold are read one by one. */
		if (rc == -EIO && now > 1)
			rc = copy_one_by_one(engine, lane, slab, i, page + skip,
					     now);
	}
	slab_leave(slab);
	*copied = now;
	return rc;
}

static int copy_batch(struct engine *engine, struct slab *slab, uint32_t i,
		      uint64_t page, uint32_t n)
{
	uint64_t deadline_ns = clock_now_ns() + engine->attempt_ns;
	uint32_t owned = 0, copied = 0;
	int rc = -EAGAIN;

	/* Only the first is waited for: a read of those that are owned already
	 * would wait too. */
	while (owned < n && !pagemap_own(&engine->pages, page + owned,
					 owned ? 0 : deadline_ns))
		owned++;
	if (owned > 0)
		rc = copy_owned(engine, slab, i, page, owned, &copied);
	while (owned > 0)
		pagemap_disown(&engine->pages, page + --owned);
	if (!rc)
		keep_rate(engine, copied);
	return rc;
}

void keeper_fill(struct engine *engine, struct slab *slab, uint32_t i)
{
	struct slab_table *table = &engine->slabs;
	uint64_t first = slab_number(table, slab) * table->geometry.slab_pages;
	uint32_t unit = 0, end = table->geometry.slab_pages, n;

	if (first + end > engine->pages.pages)
		end = (uint32_t)(engine->pages.pages - first);
	while (!keeper_stopping(&engine->keeper) &&
	       keeper_wants_fill(engine, &slab->parts[i])) {
		unit = part_next_stale(table, &slab->parts[i], unit);
		if (unit >= end)
			break;
		n = end - unit < KEEPER_PAGES ? end - unit : KEEPER_PAGES;
		lane_reap(&engine->lanes, false);
		switch (copy_batch(engine, slab, i, first + unit, n)) {
		case 0:
			break;
		case -EIO:
			unit++; /* nobody has it; a write will mend that */
			break;
		default:
			return;
		}
	}
}
