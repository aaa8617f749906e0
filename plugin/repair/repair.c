#include "repair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balance.h"
#include "batch.h"
#include "clock.h"
#include "events.h"
#include "io/transfer.h"
#include "servers/core.h"
#include "log.h"
#include "servers/placement.h"
#include "standing.h"

/* The time between two passes: when there is nothing to do, and when there is.
 */
#define IDLE_NS (1 * NS_PER_S)
#define BUSY_NS (5 * NS_PER_MS)
/* After passes that found something to do and could do nothing, because a
 * server is away, the rest doubles each time, up to this. */
#define STUCK_MAX_NS (100 * NS_PER_MS)
/* The shortest time between two passes.  A thread that waits for a pass makes
 * the next pass begin at once, and may wait for many passes. */
#define LEAST_NS NS_PER_MS

/* A pass that copies nothing is followed by a rest that is so many times as
 * long as the pass: a large device has half a million slabs. */
#define WAITING_SHARE 10

/* A slab is freed when it was empty in so many passes, IDLE_NS apart.  A slab
 * that was just allocated is empty until the write that needs it enters it, and
 * a slab that is emptied and filled by turns is better kept. */
#define EMPTY_TICKS 3

/* --- attaching and detaching --- */

/* All pages of the slab that are PRESENT are stale in SHARD. */
static void mark_present_stale(struct engine *engine, struct slab_shard *shard)
{
	struct slab_table *table = &engine->slabs;
	uint64_t slab = slab_number_of_shard(table, shard);

	shard_mark_all_current(table, shard);
	for (uint32_t i = 0; i < table->geometry.slab_pages; i++) {
		uint64_t page = geometry_page(&table->geometry, slab, i);

		if (page != GEOMETRY_NO_PAGE &&
		    pagemap_get(&engine->pages, page) == PAGE_PRESENT)
			shard_mark(shard, i, 1, true);
	}
}

/* Attaches a SPARE shard to its slab, with every PRESENT page stale in it. */
static void attach(struct engine *engine, struct slab_shard *shard)
{
	struct slab *slab = slab_of_shard(&engine->slabs, shard);
	uint8_t spare = SHARD_SPARE;

	if (!slab_close(&engine->slabs, slab)) {
		/* The slab was freed meanwhile.  Or it is being allocated anew:
		 * then the next pass handles the shard. */
		if (slab_state(slab) == SLAB_UNMAPPED)
			placement_give_back(engine, shard, SHARD_SPARE);
		return;
	}
	/* The shard may have been lost, and asked for anew, while the slab was
	 * being closed.  Or a session that found the slab UNMAPPED may lose the
	 * shard now. */
	if (shard_state(shard) == SHARD_SPARE) {
		if (standing_wants_index(engine, slab, shard->index)) {
			mark_present_stale(engine, shard);
			atomic_compare_exchange_strong(&shard->state, &spare,
						       SHARD_LIVE);
		} else {
			placement_give_back(engine, shard, SHARD_SPARE);
		}
	}
	slab_finish_close(&engine->slabs, slab, SLAB_LIVE);
	engine->repair->steps++;
}

/* Gives OLD back, whose twin holds everything. */
static void detach(struct engine *engine, struct slab_shard *old)
{
	struct server *server = server_of_shard(engine, old);
	struct slab *slab = slab_of_shard(&engine->slabs, old);
	struct slab_shard *twin;
	uint32_t asked = atomic_load(&server->shared.release_slabs);

	if (!slab_close(&engine->slabs, slab))
		return;
	/* Closing may have waited for a request that found the twin's server
	 * gone. */
	twin = shard_is_live(old) && standing_is_given_up(engine, old)
		       ? standing_twin(engine, old)
		       : NULL;
	if (twin && atomic_load(&twin->stale_chunks) == 0) {
		placement_give_back(engine, old, SHARD_LIVE);
		balance_count(server);
		if (asked > 0 && asked != UINT32_MAX)
			atomic_compare_exchange_strong(
				&server->shared.release_slabs, &asked,
				asked - 1);
		engine->repair->steps++;
	}
	slab_finish_close(&engine->slabs, slab, SLAB_LIVE);
}

/* --- one slab --- */

/* Asks for a shard for a shard index that no shard has. */
static void repair_indexes(struct engine *engine, struct slab *slab,
			   uint32_t indexes, bool *stuck)
{
	for (uint8_t index = 0; index < engine->redundancy.shards; index++) {
		if (indexes & 1u << index)
			continue;
		if (!standing_has_new(engine, slab)) {
			if (placement_ask_for_repair(engine, slab, index, NULL))
				engine->repair->steps++;
			else
				*stuck = true;
		}
		return; /* one at a time */
	}
}

/* Moves a shard, or gives it back where its twin is whole. */
static void move(struct engine *engine, struct slab_shard *shard, bool *stuck)
{
	struct slab *slab = slab_of_shard(&engine->slabs, shard);
	struct slab_shard *twin = standing_twin(engine, shard);
	struct server *server = server_of_shard(engine, shard);
	const struct rebalance *only;

	if (twin) {
		if (standing_is_given_up(engine, shard) &&
		    atomic_load(&twin->stale_chunks) == 0)
			detach(engine, shard);
		return;
	}
	/* no unused shard: another shard of this slab is moving */
	if (!standing_is_leaving(engine, shard) ||
	    standing_has_new(engine, slab) ||
	    !slab_unused_shard(&engine->slabs, slab) ||
	    !standing_may_move(engine, shard))
		return;
	only = standing_is_unloading(engine, shard) ? &engine->repair->balance
						    : NULL;
	if (placement_ask_for_repair(engine, slab, shard->index, only)) {
		server->repair.moving++;
		engine->repair->steps++;
	} else if (!only) {
		*stuck = true;
	}
}

/* Counts SHARD if it is to be moved away and has no twin yet. */
static void count_leaving(const struct engine *engine,
			  const struct slab_shard *shard, uint64_t pages)
{
	struct server *server = server_of_shard(engine, shard);

	if (!standing_is_leaving(engine, shard) || standing_twin(engine, shard))
		return;
	server->repair.leaving_slabs++;
	server->repair.leaving_pages += pages;
}

/* The pages that are to be moved away.  A server may ask for fewer slabs than
 * it holds. */
static uint64_t leaving_pages(const struct engine *engine)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < engine->n_servers; i++) {
		const struct server *server = &engine->servers[i];
		uint64_t slabs = server->repair.leaving_slabs;
		uint64_t asked = atomic_load(&server->shared.release_slabs);

		if (balance_unloads(server))
			asked = server->repair.unload_slabs;
		if (asked > 0 && asked < slabs)
			sum += server->repair.leaving_pages * asked / slabs;
		else
			sum += server->repair.leaving_pages;
	}
	return sum;
}

/* Reads the state of a slab's shards: *INDEXES gets the shard indexes that are
 * LIVE, and SUMS the figures.  False where the slab is not LIVE. */
static bool examine(struct engine *engine, struct slab *slab, uint32_t *indexes,
		    struct repair_sums *sums)
{
	bool moves = standing_has_new(engine, slab);
	uint32_t whole = 0; /* shard indexes that a server has all of */
	/* for a moment it may be below 0 */
	int32_t present = atomic_load(&slab->present_pages);
	uint64_t pages = present > 0 ? (uint64_t)present : 0;
	uint32_t all = redundancy_all(&engine->redundancy);

	*indexes = 0;
	if (slab_enter(slab) != SLAB_LIVE)
		return false;
	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		const struct slab_shard *shard = &slab->shards[i];
		uint32_t stale;

		if (!shard_is_live(shard))
			continue;
		stale = atomic_load(&shard->stale_chunks);
		sums->stale_pages += stale;
		if (stale && !standing_is_given_up(engine, shard))
			sums->left_pages += stale;
		count_leaving(engine, shard, pages);
		moves = moves || standing_twin(engine, shard);
		server_of_shard(engine, shard)->repair.moving +=
			moves && standing_is_leaving(engine, shard);
		*indexes |= 1u << shard->index;
		if (stale == 0 && !standing_is_away(engine, shard))
			whole |= 1u << shard->index;
	}
	slab_leave(slab);
	sums->short_slabs += whole != all;
	sums->left_pages +=
		(uint64_t)__builtin_popcount(all & ~*indexes) * pages;
	sums->moving_slabs += moves;
	return true;
}

/* Attaches the shards that servers gave to the repairer. */
static void take_given(struct engine *engine, struct slab *slab)
{
	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		struct slab_shard *shard = &slab->shards[i];

		if (shard_state(shard) == SHARD_SPARE)
			attach(engine, shard);
	}
}

static void tend(struct engine *engine, struct slab *slab,
		 struct repair_sums *sums)
{
	bool stuck = false;
	uint32_t indexes;

	take_given(engine, slab);
	if (!examine(engine, slab, &indexes, sums))
		return;
	repair_indexes(engine, slab, indexes, &stuck);
	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		struct slab_shard *shard = &slab->shards[i];

		/* Besides this thread only a session that is lost changes which
		 * shards are LIVE.  Then the steps below find nothing to do. */
		if (!shard_is_live(shard))
			continue;
		if (standing_wants_fill(engine, shard))
			repair_fill(engine, slab, i);
		move(engine, shard, &stuck);
	}
	sums->stuck_slabs += stuck;
}

/* --- freeing --- */

static void free_empty(struct engine *engine, struct slab *slab)
{
	if (slab_state(slab) != SLAB_LIVE ||
	    atomic_load(&slab->present_pages) != 0) {
		slab->empty_ticks = 0;
		return;
	}
	if (++slab->empty_ticks < EMPTY_TICKS || !slab_begin_free(slab))
		return;
	/* Only now is the count final. */
	if (atomic_load(&slab->present_pages) != 0) {
		slab_finish_close(&engine->slabs, slab, SLAB_LIVE);
		return;
	}
	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		if (shard_is_live(&slab->shards[i]))
			placement_give_back(engine, &slab->shards[i],
					    SHARD_LIVE);
	}
	slab->empty_ticks = 0;
	slab_finish_close(&engine->slabs, slab, SLAB_UNMAPPED);
}

/* --- passes --- */

/* Logs once that the shards of a server are copied elsewhere. */
static void tell_away(const struct engine *engine, struct server *server)
{
	bool away = standing_server_is_away(engine, server);

	if (away && !server->repair.told_recovering &&
	    atomic_load(&server->shared.slabs) > 0) {
		struct net_text text = server_text(server);

		events_add(EVENT_SERVER_AWAY, text.text,
			   "its shards of %u slabs are copied elsewhere",
			   atomic_load(&server->shared.slabs));
		log_notice("server %s has been away for %llu s: its shards of "
			   "%u slabs are copied to other servers",
			   text.text,
			   (unsigned long long)(engine->config.repair_after_ns /
						NS_PER_S),
			   atomic_load(&server->shared.slabs));
	}
	server->repair.told_recovering = away;
}

/* True where there is more to do at once. */
static bool pass(struct engine *engine, bool tick)
{
	struct repair_sums sums = { 0 };

	for (uint32_t i = 0; i < engine->n_servers; i++) {
		engine->servers[i].repair.moving = 0;
		engine->servers[i].repair.leaving_slabs = 0;
		engine->servers[i].repair.leaving_pages = 0;
		tell_away(engine, &engine->servers[i]);
	}
	for (uint64_t i = 0;
	     i < engine->slabs.n && !wake_stopping(&engine->wake); i++) {
		struct slab *slab = &engine->slabs.slabs[i];

		tend(engine, slab, &sums);
		if (tick)
			free_empty(engine, slab);
	}
	sums.left_pages += leaving_pages(engine);
	if (!wake_stopping(&engine->wake))
		repair_tell(engine, &sums);
	return sums.short_slabs + sums.moving_slabs > sums.stuck_slabs;
}

/* The lane of the repairer is never parked, so lane_reap does not find it. */
static void look_after_lane(struct engine *engine)
{
	lane_look_after(&engine->lanes, lane_of_repair(&engine->lanes));
}

static void *repair_main(void *arg)
{
	struct engine *engine = arg;
	struct repair *repair = engine->repair;
	uint64_t next_tick_ns = clock_now_ns() + IDLE_NS;
	uint64_t pause_ns = BUSY_NS;

	while (!wake_stopping(&engine->wake)) {
		bool tick = clock_left_ns(next_tick_ns) == 0, busy, lanes;
		uint64_t begin_ns = clock_now_ns(), steps = repair->steps;
		uint64_t copied = atomic_load(&repair->copied_pages);
		uint64_t rest_ns, scrub_ns = UINT64_MAX;

		if (tick)
			next_tick_ns = clock_now_ns() + IDLE_NS;
		lane_reap(&engine->lanes, false);
		look_after_lane(engine);
		recent_turn(&engine->recent);
		busy = pass(engine, tick);
		lanes = atomic_load(&engine->lanes.n_parked) > 0 ||
			lane_in_flight(lane_of_repair(&engine->lanes));
		if (tick)
			balance_turn(engine);
		copied = atomic_load(&repair->copied_pages) - copied;
		if (copied > 0 || repair->steps > steps || lanes)
			pause_ns = BUSY_NS;
		else if (pause_ns < STUCK_MAX_NS)
			pause_ns *= 2;
		rest_ns = pause_ns;
		if (copied == 0) {
			rest_ns += WAITING_SHARE * (clock_now_ns() - begin_ns);
			scrub_ns = scrub_turn(engine);
		}
		if (!busy && !lanes)
			rest_ns = clock_left_ns(next_tick_ns);
		wake_rest(&engine->wake, LEAST_NS,
			  scrub_ns < rest_ns ? scrub_ns : rest_ns);
	}
	attempt_abandon(engine, lane_of_repair(&engine->lanes));
	return NULL;
}

/* A batch is one attempt of the repairer's lane. */
_Static_assert(BATCH_PAGES <= LANE_PAGES, "a lane has no room for a batch");

static uint8_t *make_buffer(uint64_t bytes)
{
	uint64_t whole_bytes = (bytes + PAGE_BYTES - 1) & -(uint64_t)PAGE_BYTES;
	uint8_t *buffer = aligned_alloc(PAGE_BYTES, whole_bytes);

	if (buffer)
		memset(buffer, 0, whole_bytes);
	return buffer;
}

static void free_repair(struct repair *repair)
{
	if (repair && repair->units != repair->pages)
		free(repair->units);
	if (repair)
		free(repair->pages);
	free(repair);
}

int repair_create(struct engine *engine, struct error *why)
{
	const struct codec *codec = &engine->codec;
	struct repair *repair = calloc(1, sizeof *repair);

	if (repair) {
		repair->pages = make_buffer(BATCH_PAGES * PAGE_BYTES);
		repair->units =
			codec->direct
				? repair->pages
				: make_buffer(codec_bytes(codec, BATCH_PAGES));
	}
	if (!repair || !repair->pages || !repair->units) {
		free_repair(repair);
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	wake_init(&engine->wake);
	engine->repair = repair;
	return 0;
}

void repair_destroy(struct engine *engine)
{
	if (!engine->repair)
		return;
	wake_destroy(&engine->wake);
	free_repair(engine->repair);
	engine->repair = NULL;
}

int repair_start(struct engine *engine, struct error *why)
{
	struct repair *repair = engine->repair;
	int rc = pthread_create(&repair->thread, NULL, repair_main, engine);

	if (rc) {
		error_set(why, "the repair thread: %s", strerror(rc));
		return -rc;
	}
	repair->running = true;
	return 0;
}

void repair_stop(struct engine *engine)
{
	struct repair *repair = engine->repair;

	if (!repair || !repair->running)
		return;
	wake_stop(&engine->wake);
	pthread_join(repair->thread, NULL);
	repair->running = false;
}
