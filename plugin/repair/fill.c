/* The keeper's copying: what a part misses is read from the others and written
 * to it. */
#include "repair.h"

#include <errno.h>

#include "io/transfer.h"
#include "clock.h"
#include "engine.h"
#include "io/verify.h"

/* Sleeps as long as it takes to keep to the rate, which is for all pages that
 * were read, also in vain.  With nothing owned nor entered. */
static void keep_rate(struct engine *engine)
{
	struct keeper *k = &engine->keeper;
	uint64_t rate = engine->config.repair_bytes_per_s, due_ns, now_ns;
	uint64_t pages = atomic_load(&k->read_pages) - k->rated_pages;

	k->rated_pages += pages;
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

/* The parts but PART that hold UNIT and whose servers are there, as bits. */
static uint32_t parts_at_hand(const struct engine *engine,
			      const struct slab_part *part, uint32_t unit)
{
	uint32_t found = 0;

	for (uint32_t i = 0; i < engine->slabs.n_parts; i++) {
		const struct slab_part *other = &part->slab->parts[i];

		if (other != part && part_is_live(other) &&
		    !part_is_stale(other, unit) &&
		    peer_state(peer_of_part(engine, other)) == PEER_UP)
			found |= 1u << i;
	}
	return found;
}

/* Whether the parts in BITS are enough to have a page. */
static bool is_enough(const struct engine *engine, const struct slab *slab,
		      uint32_t bits)
{
	uint32_t rows = 0;

	for (; bits; bits &= bits - 1)
		rows |= 1u << slab->parts[__builtin_ctz(bits)].row;
	return (uint32_t)__builtin_popcount(rows) >= engine->redundancy.need;
}

/* The owned pages from PAGE on that are PRESENT and stale in PART, at most N,
 * and that the same other parts have at hand; the bits of others at the front,
 * which need no copy, are cleared: *SKIP.  0 where there is none left (*SKIP is
 * N), or the first one is not at hand. */
static uint32_t pages_to_copy(const struct engine *engine,
			      struct slab_part *part, uint64_t page, uint32_t n,
			      uint32_t *skip)
{
	uint32_t unit = slab_unit_of_page(&engine->slabs, page), i;
	uint32_t at_hand = UINT32_MAX;

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
		at_hand &= parts_at_hand(engine, part, unit + i);
		if (!is_enough(engine, part->slab, at_hand))
			break;
	}
	return i - *skip;
}

/* Reads N owned pages from the parts that are not banned in the lane's run, and
 * verifies them.  As verify_run. */
static int read_pages(struct engine *engine, struct lane *lane, uint32_t n)
{
	/* Each transfer ends within attempt_ns; the search for what is wrong
	 * may take several. */
	uint64_t deadline_ns = clock_now_ns() + engine->config.timeout_ns;
	uint64_t again = lane->read_again;
	struct obstacle obstacle = { 0 };
	int rc = carry_read(engine, lane, deadline_ns, &obstacle);

	if (rc)
		return rc;
	rc = verify_run(engine, lane, &lane->runs[0], deadline_ns, &obstacle);
	atomic_fetch_add(&engine->keeper.read_pages,
			 n + lane->read_again - again);
	return rc;
}

/* PAGE, which is owned, is PRESENT and too few parts hold it.  That is not to
 * be; but where it is, waiting mends nothing. */
static bool is_gone(const struct engine *engine, const struct slab *slab,
		    uint64_t page)
{
	uint32_t unit = slab_unit_of_page(&engine->slabs, page);

	return slab_rows_of_unit(&engine->slabs, slab, unit) <
	       engine->redundancy.need;
}

/* Copies N owned pages into part I of the slab that is entered.  0; -EAGAIN; or
 * -ESTALE: what is to be copied, or from where, is not what it was. */
static int copy_pages(struct engine *engine, struct lane *lane,
		      struct slab *slab, uint32_t i, uint64_t page, uint32_t n)
{
	int rc;

	lane->n_runs = 1;
	lane->runs[0] = (struct lane_run){ .slab = slab,
					   .page = page,
					   .pages = n,
					   .buf = engine->keeper.pages,
					   .banned = 1u << i };
	rc = read_pages(engine, lane, n);
	if (!rc)
		rc = carry_fill(engine, lane, i,
				clock_now_ns() + engine->attempt_ns);
	if (!rc) {
		part_mark(&slab->parts[i],
			  slab_unit_of_page(&engine->slabs, page), n, false);
		atomic_fetch_add(&engine->keeper.copied_pages, n);
	}
	lane_links_release(&engine->lanes, lane);
	/* Pages that different parts hold are read one by one. */
	if (rc == -EIO && n > 1)
		return -ESTALE;
	if (rc == -EIO && is_gone(engine, slab, page)) {
		engine_lose_pages(engine, page, 1);
		return -ESTALE;
	}
	return rc && rc != -ESTALE ? -EAGAIN : rc;
}

/* The same one by one, as far as it goes.  Where a page stays behind for now
 * the others go on: it shall not hold them up. */
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

/* PAGE, which is owned, is not at hand: -ENODATA, or -ESTALE where it is lost.
 */
static int leave_page(struct engine *engine, const struct slab *slab,
		      uint64_t page)
{
	if (!is_gone(engine, slab, page))
		return -ENODATA;
	engine_lose_pages(engine, page, 1);
	return -ESTALE;
}

/* With N pages from PAGE owned.  As copy_pages, or -ENODATA: the first one that
 * is to be copied is not at hand. */
static int copy_owned(struct engine *engine, struct slab *slab, uint32_t i,
		      uint64_t page, uint32_t n)
{
	struct lane *lane = lane_of_keeper(&engine->lanes);
	uint32_t skip = 0, now = 0;
	int rc = -EAGAIN;

	if (slab_enter(slab) != SLAB_LIVE)
		return -EAGAIN;
	if (part_is_live(&slab->parts[i])) {
		now = pages_to_copy(engine, &slab->parts[i], page, n, &skip);
		if (now)
			rc = copy_pages(engine, lane, slab, i, page + skip,
					now);
		else
			rc = skip < n ? leave_page(engine, slab, page + skip)
				      : 0;
		if (rc == -ESTALE && now > 1)
			rc = copy_one_by_one(engine, lane, slab, i, page + skip,
					     now);
	}
	slab_leave(slab);
	return rc;
}

static int copy_batch(struct engine *engine, struct slab *slab, uint32_t i,
		      uint64_t page, uint32_t n)
{
	uint64_t deadline_ns = clock_now_ns() + engine->attempt_ns;
	uint32_t owned = 0;
	int rc = -EAGAIN;

	/* Only the first is waited for: a read of those that are owned already
	 * would wait too. */
	while (owned < n && !pagemap_own(&engine->pages, page + owned,
					 owned ? 0 : deadline_ns))
		owned++;
	if (owned > 0)
		rc = copy_owned(engine, slab, i, page, owned);
	while (owned > 0)
		pagemap_disown(&engine->pages, page + --owned);
	keep_rate(engine);
	return rc;
}

void keeper_fill(struct engine *engine, struct slab *slab, uint32_t i)
{
	struct slab_table *table = &engine->slabs;
	uint64_t first = slab_number(table, slab) * table->geometry.slab_pages;
	uint32_t unit = 0, end = table->geometry.slab_pages, n;
	int rc;

	if (first + end > engine->pages.pages)
		end = (uint32_t)(engine->pages.pages - first);
	while (!keeper_stopping(&engine->keeper) &&
	       keeper_wants_fill(engine, &slab->parts[i])) {
		unit = part_next_stale(table, &slab->parts[i], unit);
		if (unit >= end)
			break;
		n = end - unit < KEEPER_PAGES ? end - unit : KEEPER_PAGES;
		lane_reap(&engine->lanes, false);
		/* Where something has changed (-ESTALE) there is one page less
		 * to copy, or one part less to copy it from: look at once. */
		rc = copy_batch(engine, slab, i, first + unit, n);
		if (rc == -EAGAIN)
			return;
		/* Only a server that is away has it: the others go on. */
		if (rc == -ENODATA)
			unit++;
	}
}
