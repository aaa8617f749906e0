/* The repairer's copying: reads the chunks that a shard misses from the other
 * shards, and writes them to the shard. */
#include "repair.h"

#include <errno.h>

#include "batch.h"
#include "clock.h"
#include "io/plan.h"
#include "io/transfer.h"
#include "io/verify.h"
#include "servers/core.h"
#include "standing.h"

/* Sleeps as long as the rate demands.  The rate counts all pages that were
 * read, also in vain.  The caller has no page locked and is in no slab. */
static void keep_rate(struct engine *engine)
{
	struct repair *repair = engine->repair;
	uint64_t rate = engine->config.repair_bytes_per_s, due_ns, now_ns;
	uint64_t pages = atomic_load(&repair->read_pages) - repair->rated_pages;

	repair_measure(repair);
	repair->rated_pages += pages;
	now_ns = clock_now_ns();
	if (now_ns - repair->rate_from_ns > NS_PER_S) {
		repair->rate_from_ns = now_ns;
		repair->rate_pages = 0;
	}
	repair->rate_pages += pages;
	if (!rate)
		return;
	due_ns = repair->rate_from_ns +
		 repair->rate_pages * PAGE_BYTES * NS_PER_S / rate;
	if (due_ns > now_ns)
		clock_sleep_ns(due_ns - now_ns);
}

/* The shards that hold PAGE and whose servers are UP, as bits. */
static uint32_t shards_at_hand(const struct engine *engine,
			       const struct slab *slab, uint64_t page)
{
	uint32_t found = plan_holders(engine, slab, page, 1);

	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		const struct slab_shard *shard = &slab->shards[i];

		if (found & 1u << i &&
		    server_state(server_of_shard(engine, shard)) != SERVER_UP)
			found &= ~(1u << i);
	}
	return found;
}

/* How many of the N locked pages to copy at once, after *SKIP pages that need
 * no copy and whose bits are cleared.  The pages to copy are PRESENT and stale
 * in SHARD, and the same other shards have them at hand.  0 where no page is
 * left (*SKIP is N), or where the first page is not at hand. */
static uint32_t pages_to_copy(const struct engine *engine,
			      struct slab_shard *shard, uint64_t page,
			      uint32_t n, uint32_t *skip)
{
	uint32_t chunk = slab_chunk_of_page(&engine->slabs, page), i;
	const struct slab *slab = slab_of_shard(&engine->slabs, shard);
	uint32_t at_hand = UINT32_MAX;

	for (*skip = 0; *skip < n; ++*skip) {
		if (pagemap_get(&engine->pages, page + *skip) == PAGE_PRESENT &&
		    shard_is_stale(shard, chunk + *skip))
			break;
		shard_mark(shard, chunk + *skip, 1, false);
	}
	for (i = *skip; i < n; i++) {
		if (pagemap_get(&engine->pages, page + i) != PAGE_PRESENT ||
		    !shard_is_stale(shard, chunk + i))
			break;
		at_hand &= shards_at_hand(engine, slab, page + i);
		if (!redundancy_is_enough(&engine->redundancy,
					  slab_indexes(slab, at_hand)))
			break;
	}
	return i - *skip;
}

/* Reads the pages of the plan, which are locked, and verifies them.  Returns as
 * verify_run does. */
static int read_pages(struct io *io)
{
	int rc = transfer_read(io);

	if (rc)
		return rc;
	rc = verify_run(io, &io->runs[0]);
	atomic_fetch_add(&io->engine->repair->read_pages,
			 io->runs[0].pages + io->read_again);
	return rc;
}

/* Whether too few shards hold PAGE, which is locked and PRESENT.  That should
 * never happen.  Where it does, no wait brings the page back. */
static bool is_gone(const struct engine *engine, const struct slab *slab,
		    uint64_t page)
{
	uint32_t chunk = slab_chunk_of_page(&engine->slabs, page);

	return !redundancy_is_enough(
		&engine->redundancy,
		slab_indexes_of_chunk(&engine->slabs, slab, chunk));
}

/* Copies N locked pages into shard I of the slab that is entered.  0; -EAGAIN;
 * or -ESTALE: the pages to copy, or the shards to copy from, have changed. */
static int copy_pages(struct engine *engine, struct slab *slab, uint32_t i,
		      uint64_t page, uint32_t n)
{
	struct repair *repair = engine->repair;
	struct lane *lane = lane_of_repair(&engine->lanes);
	struct io_run *run;
	int rc;

	/* Each transfer ends within attempt_ns; the search for a wrong shard
	 * may take several transfers. */
	io_begin(&repair->io, engine, lane,
		 clock_now_ns() + engine->config.timeout_ns);
	repair->io.units = repair->units;
	run = io_one_run(&repair->io, slab, page, n, repair->pages);
	/* Not shard I: the pages are stale there. */
	run->holders = plan_holders(engine, slab, page, n);
	rc = read_pages(&repair->io);
	if (!rc) {
		repair->io.deadline_ns = clock_now_ns() + engine->attempt_ns;
		rc = transfer_fill(&repair->io, i);
	}
	if (!rc) {
		shard_mark(&slab->shards[i],
			   slab_chunk_of_page(&engine->slabs, page), n, false);
		atomic_fetch_add(&repair->copied_pages, n);
	}
	lane_links_release(&engine->lanes, lane);
	/* Pages that different shards hold are read one by one. */
	if (rc == -EIO && n > 1)
		return -ESTALE;
	if (rc == -EIO && is_gone(engine, slab, page)) {
		engine_lose_pages(engine, page, 1);
		return -ESTALE;
	}
	return rc && rc != -ESTALE ? -EAGAIN : rc;
}

/* Copies the pages one by one, as far as possible.  A page that cannot be
 * copied now does not hold up the others. */
static int copy_one_by_one(struct engine *engine, struct slab *slab, uint32_t i,
			   uint64_t page, uint32_t n)
{
	int rc = 0;

	for (uint32_t j = 0; j < n && rc != -EAGAIN; j++) {
		int one = copy_pages(engine, slab, i, page + j, 1);

		rc = one ? one : rc;
	}
	return rc;
}

/* PAGE, which is locked, is not at hand: -ENODATA, or -ESTALE where it is lost.
 */
static int leave_page(struct engine *engine, const struct slab *slab,
		      uint64_t page)
{
	if (!is_gone(engine, slab, page))
		return -ENODATA;
	engine_lose_pages(engine, page, 1);
	return -ESTALE;
}

/* The caller has locked N pages from PAGE.  Returns as copy_pages does, or
 * -ENODATA: the first page to copy is not at hand. */
static int copy_locked(struct engine *engine, struct slab *slab, uint32_t i,
		       uint64_t page, uint32_t n)
{
	uint32_t skip = 0, now = 0;
	int rc = -EAGAIN;

	if (slab_enter(slab) != SLAB_LIVE)
		return -EAGAIN;
	if (shard_is_live(&slab->shards[i])) {
		now = pages_to_copy(engine, &slab->shards[i], page, n, &skip);
		if (now)
			rc = copy_pages(engine, slab, i, page + skip, now);
		else
			rc = skip < n ? leave_page(engine, slab, page + skip)
				      : 0;
		if (rc == -ESTALE && now > 1)
			rc = copy_one_by_one(engine, slab, i, page + skip, now);
	}
	slab_leave(slab);
	return rc;
}

static int copy_batch(struct engine *engine, struct slab *slab, uint32_t i,
		      uint64_t page, uint32_t n)
{
	uint32_t locked = batch_lock(engine, page, n);
	int rc = -EAGAIN;

	if (locked > 0)
		rc = copy_locked(engine, slab, i, page, locked);
	batch_unlock(engine, page, locked);
	keep_rate(engine);
	return rc;
}

void repair_fill(struct engine *engine, struct slab *slab, uint32_t i)
{
	struct slab_table *table = &engine->slabs;
	uint64_t number = slab_number(table, slab), page;
	uint32_t chunk = 0;
	int rc;

	while (!wake_stopping(&engine->wake) &&
	       standing_wants_fill(engine, &slab->shards[i])) {
		chunk = shard_next_stale(table, &slab->shards[i], chunk);
		page = geometry_page(&table->geometry, number, chunk);
		if (chunk == table->geometry.slab_pages ||
		    page == GEOMETRY_NO_PAGE)
			break;
		lane_reap(&engine->lanes, false);
		lane_look_after(&engine->lanes, lane_of_repair(&engine->lanes));
		/* -ESTALE: there is one page less to copy, or one shard less to
		 * copy from.  Make the next attempt at once. */
		rc = copy_batch(engine, slab, i, page,
				batch_pages(engine, page));
		if (rc == -EAGAIN)
			return;
		/* Only a server that is away has the page: go on with the other
		 * pages. */
		if (rc == -ENODATA)
			chunk++;
	}
}
