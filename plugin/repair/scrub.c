#include "scrub.h"

#include <errno.h>

#include "batch.h"
#include "clock.h"
#include "events.h"
#include "io/plan.h"
#include "io/transfer.h"
#include "io/verify.h"
#include "log.h"
#include "repair.h"
#include "servers/core.h"

/* How long the repair thread scrubs before it looks after the slabs again. */
#define TURN_NS (50 * NS_PER_MS)

/* A slab that is changing, or a page that is locked, is free again soon. */
#define AGAIN_NS NS_PER_MS

/* --- sets of shards, as bits --- */

/* The shards in SET whose servers are UP. */
static uint32_t shards_up(const struct engine *engine, const struct slab *slab,
			  uint32_t set)
{
	uint32_t up = 0;

	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		const struct slab_shard *shard = &slab->shards[i];

		if (set & 1u << i &&
		    server_state(server_of_shard(engine, shard)) == SERVER_UP)
			up |= 1u << i;
	}
	return up;
}

/* Adds to SET shards of FROM, as long as a page needs more, and the index of
 * each is another one. */
static uint32_t add_shards(const struct engine *engine, const struct slab *slab,
			   uint32_t set, uint32_t from)
{
	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		uint32_t index = 1u << slab->shards[i].index;

		if (from & 1u << i && !(slab_indexes(slab, set) & index) &&
		    __builtin_popcount(set) < (int)engine->redundancy.need)
			set |= 1u << i;
	}
	return set;
}

/* A set of shards that gives a page back and has one of those that are LEFT, of
 * all that are at HAND.  0 where no more of these can be read. */
static uint32_t next_set(const struct engine *engine, const struct slab *slab,
			 uint32_t left, uint32_t hand)
{
	uint32_t first = left & -left, set;

	if (!first)
		return 0;
	set = add_shards(engine, slab, first, left);
	set = add_shards(engine, slab, set, hand);
	return redundancy_is_enough(&engine->redundancy,
				    slab_indexes(slab, set))
		       ? set
		       : 0;
}

/* --- reading --- */

/* The next read comes so much later that READ_PAGES keep to the rate.  Any
 * thread may change the rate meanwhile, also to no limit. */
static void keep_rate(struct scrub *scrub, uint64_t read_pages)
{
	uint64_t bytes_per_s = atomic_load(&scrub->bytes_per_s);

	if (bytes_per_s)
		scrub->due_ns +=
			read_pages * PAGE_BYTES * NS_PER_S / bytes_per_s;
}

/* Reads N locked pages of a slab that is entered from the shards in SET.
 * Returns as verify_run does, or -EIO where a server did not give them: then it
 * is not asked for more meanwhile, as requests wait for these pages. */
static int read_from(struct engine *engine, struct slab *slab, uint64_t page,
		     uint32_t n, uint32_t set)
{
	struct repair *repair = engine->repair;
	struct lane *lane = lane_of_repair(&engine->lanes);
	struct io_run *run;
	int rc;

	io_begin(&repair->io, engine, lane,
		 clock_now_ns() + engine->config.timeout_ns);
	repair->io.units = repair->units;
	run = io_one_run(&repair->io, slab, page, n, repair->pages);
	run->holders = set;
	rc = transfer_read(&repair->io);
	rc = rc ? -EIO : verify_run(&repair->io, run);
	lane_links_release(&engine->lanes, lane);
	keep_rate(&repair->scrub, n + repair->io.read_again);
	return rc;
}

/* One of the N locked pages, which all were PRESENT, was wrong with some shard:
 * verify_run has judged the first one. */
static void note_wrong(struct engine *engine, uint64_t page, uint32_t n)
{
	struct scrub *scrub = &engine->repair->scrub;

	atomic_fetch_add(&scrub->wrong_pages, 1);
	for (uint32_t i = 0; i < n; i++) {
		if (pagemap_get(&engine->pages, page + i) == PAGE_LOST)
			atomic_fetch_add(&scrub->lost_pages, 1);
	}
}

/* Reads N locked pages, which are PRESENT and which the same shards hold, from
 * each of these.  False where the rest has to be done page by page: verify_run
 * judges one page of a run.
 *
 * Only shards that gave a right page are done.  A shard that is found wrong
 * holds the page no more, and of the others of its set nothing is known.  After
 * -EAGAIN nothing is known of any: the transfer may have damaged the bytes, or
 * the server that could have told which chunk is right did not answer.  So the
 * same set is read once more.  A page of which nothing is known after that is
 * unread, as requests wait for it. */
static bool scrub_pages(struct engine *engine, struct slab *slab, uint64_t page,
			uint32_t n)
{
	uint32_t done = 0, holders, hand, set;
	bool again = false;
	int rc = 0;

	while ((holders = plan_holders(engine, slab, page, n)),
	       (hand = shards_up(engine, slab, holders)),
	       (set = next_set(engine, slab, hand & ~done, hand))) {
		rc = read_from(engine, slab, page, n, set);
		if (rc == -ESTALE)
			note_wrong(engine, page, n);
		if (rc && rc != -ESTALE && (rc != -EAGAIN || again))
			break;
		if (rc && n > 1)
			return false;
		if (pagemap_get(&engine->pages, page) != PAGE_PRESENT)
			return true;
		again = rc == -EAGAIN;
		if (!rc)
			done |= set;
	}
	if (holders & ~done)
		atomic_fetch_add(&engine->repair->scrub.unread_pages, n);
	return true;
}

/* How many of the N locked pages from PAGE on are PRESENT and held by the same
 * shards. */
static uint32_t pages_alike(const struct engine *engine,
			    const struct slab *slab, uint64_t page, uint32_t n)
{
	uint32_t holders = plan_holders(engine, slab, page, 1), i = 0;

	while (i < n && pagemap_get(&engine->pages, page + i) == PAGE_PRESENT &&
	       plan_holders(engine, slab, page + i, 1) == holders)
		i++;
	return i;
}

static void scrub_one(struct engine *engine, struct slab *slab, uint64_t page)
{
	/* It may have become LOST when it was read with others. */
	if (pagemap_get(&engine->pages, page) == PAGE_PRESENT)
		scrub_pages(engine, slab, page, 1);
}

static void scrub_locked(struct engine *engine, struct slab *slab,
			 uint64_t page, uint32_t n)
{
	while (n > 0) {
		uint32_t now = pages_alike(engine, slab, page, n);

		if (now > 0 && !scrub_pages(engine, slab, page, now)) {
			for (uint32_t i = 0; i < now; i++)
				scrub_one(engine, slab, page + i);
		}
		atomic_fetch_add(&engine->repair->scrub.done_pages, now);
		now = now ? now : 1;
		page += now;
		n -= now;
	}
}

/* --- going through the device --- */

static void next_slab(struct scrub *scrub)
{
	scrub->slab++;
	scrub->chunk = 0;
}

/* The next batch, or the step over a slab that has no page. */
static void scrub_batch(struct engine *engine)
{
	struct scrub *scrub = &engine->repair->scrub;
	struct slab *slab = &engine->slabs.slabs[scrub->slab];
	const struct slab_geometry *geometry = &engine->slabs.geometry;
	uint64_t page = GEOMETRY_NO_PAGE;
	uint32_t n;

	/* A slab that is becoming LIVE has no page yet. */
	if ((slab_state(slab) == SLAB_LIVE ||
	     slab_state(slab) == SLAB_CLOSING) &&
	    scrub->chunk < geometry->slab_pages)
		page = geometry_page(geometry, scrub->slab, scrub->chunk);
	if (page == GEOMETRY_NO_PAGE) {
		next_slab(scrub);
		return;
	}
	n = batch_lock(engine, page, batch_pages(engine, page));
	if (n > 0 && slab_enter(slab) == SLAB_LIVE) {
		scrub_locked(engine, slab, page, n);
		slab_leave(slab);
		scrub->chunk += n;
	} else {
		scrub->due_ns = clock_now_ns() + AGAIN_NS;
	}
	batch_unlock(engine, page, n);
}

static uint64_t present_pages(const struct engine *engine)
{
	int64_t sum = 0;

	for (uint64_t i = 0; i < engine->slabs.n; i++)
		sum += atomic_load(&engine->slabs.slabs[i].present_pages);
	return sum > 0 ? (uint64_t)sum : 0;
}

static void begin(struct engine *engine)
{
	struct scrub *scrub = &engine->repair->scrub;

	atomic_store(&scrub->pages, present_pages(engine));
	atomic_store(&scrub->done_pages, 0);
	atomic_store(&scrub->wrong_pages, 0);
	atomic_store(&scrub->lost_pages, 0);
	atomic_store(&scrub->unread_pages, 0);
	scrub->slab = scrub->chunk = 0;
	scrub->due_ns = clock_now_ns();
	atomic_store(&scrub->began_ns, scrub->due_ns);
	atomic_store(&scrub->ended_ns, 0);
	atomic_store(&scrub->state, SCRUB_RUNNING);
	atomic_fetch_add(&scrub->begun, 1);
	events_add(EVENT_SCRUB_BEGUN, "", "%llu pages to read in all copies",
		   (unsigned long long)atomic_load(&scrub->pages));
}

static void end(struct scrub *scrub, enum scrub_state state)
{
	unsigned long long done = atomic_load(&scrub->done_pages);
	unsigned long long wrong = atomic_load(&scrub->wrong_pages);
	unsigned long long lost = atomic_load(&scrub->lost_pages);
	unsigned long long unread = atomic_load(&scrub->unread_pages);
	const char *name = state == SCRUB_DONE ? "done" : "stopped";

	atomic_store(&scrub->wanted, false);
	atomic_store(&scrub->ended_ns, clock_now_ns());
	atomic_store(&scrub->state, state);
	events_add(state == SCRUB_DONE ? EVENT_SCRUB_DONE : EVENT_SCRUB_STOPPED,
		   "", "%llu pages: %llu wrong, %llu of them lost, %llu unread",
		   done, wrong, lost, unread);
	if (wrong)
		log_error("scrub %s: of %llu pages %llu were wrong on some "
			  "server, %llu of them are lost, and %llu could not "
			  "be read from every server",
			  name, done, wrong, lost, unread);
	else
		log_notice("scrub %s: of %llu pages none was wrong, and %llu "
			   "could not be read from every server",
			   name, done, unread);
}

uint64_t scrub_turn(struct engine *engine)
{
	struct scrub *scrub = &engine->repair->scrub;
	uint64_t until_ns = clock_now_ns() + TURN_NS, now_ns;

	if (atomic_load(&scrub->state) != SCRUB_RUNNING) {
		if (!atomic_load(&scrub->wanted))
			return UINT64_MAX;
		begin(engine);
	}
	while ((now_ns = clock_now_ns()) < until_ns &&
	       !wake_stopping(&engine->wake)) {
		if (!atomic_load(&scrub->wanted)) {
			end(scrub, SCRUB_STOPPED);
			return UINT64_MAX;
		}
		if (scrub->slab == engine->slabs.n) {
			end(scrub, SCRUB_DONE);
			return UINT64_MAX;
		}
		if (scrub->due_ns > now_ns)
			return scrub->due_ns - now_ns;
		/* What was not done in time is not caught up with. */
		scrub->due_ns = now_ns;
		scrub_batch(engine);
	}
	return 0;
}

void scrub_start(struct engine *engine, uint64_t bytes_per_s)
{
	struct scrub *scrub = &engine->repair->scrub;

	atomic_store(&scrub->bytes_per_s, bytes_per_s);
	atomic_store(&scrub->wanted, true);
	wake_up(&engine->wake);
}

void scrub_stop(struct engine *engine)
{
	atomic_store(&engine->repair->scrub.wanted, false);
	wake_up(&engine->wake);
}

const char *scrub_state_name(int state)
{
	static const char *const names[] = {
		[SCRUB_IDLE] = "never",
		[SCRUB_RUNNING] = "running",
		[SCRUB_DONE] = "done",
		[SCRUB_STOPPED] = "stopped",
	};

	return names[state];
}
