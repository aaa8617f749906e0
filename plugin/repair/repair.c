#include "repair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "engine.h"
#include "io/transfer.h"
#include "log.h"
#include "servers/placement.h"

/* Between two passes: when there is nothing to do, and when there is. */
#define IDLE_NS (1 * NS_PER_S)
#define BUSY_NS (5 * NS_PER_MS)
/* The same after passes that found things to do and could do none, as a server
 * is away: twice as long each time, up to this. */
#define STUCK_MAX_NS (100 * NS_PER_MS)
/* The least between two passes: a thread that waits for a pass has the pass
 * begun at once, and may wait for many passes. */
#define LEAST_NS NS_PER_MS

/* The share of the time that passes may take which copy nothing and only wait
 * for servers: a large device has half a million slabs. */
#define WAITING_SHARD 10

/* How many slabs of a server that is away are begun elsewhere at a time. */
#define AWAY_AT_A_TIME 4

/* For how many passes that are IDLE_NS apart a slab has to be empty: a slab
 * that was only just allocated is empty until the write that needs it enters
 * it, and a slab that is emptied and filled by turns is better kept. */
#define EMPTY_TICKS 3

bool repair_stopping(struct repair *k)
{
	bool stop;

	pthread_mutex_lock(&k->lock);
	stop = k->stop;
	pthread_mutex_unlock(&k->lock);
	return stop;
}

/* --- the shards of a slab --- */

/* Another LIVE shard with the shard index of SHARD, or NULL. */
static struct slab_shard *twin_of(const struct engine *engine,
				  const struct slab_shard *shard)
{
	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		struct slab_shard *other = &shard->slab->shards[i];

		if (other != shard && shard_is_live(other) &&
		    other->index == shard->index)
			return other;
	}
	return NULL;
}

static bool has_repair_shard(const struct engine *engine,
			     const struct slab *slab)
{
	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		const struct slab_shard *shard = &slab->shards[i];

		if (shard_state(shard) == SHARD_SPARE ||
		    (shard_state(shard) == SHARD_ASKED &&
		     atomic_load(&shard->for_repair)))
			return true;
	}
	return false;
}

static bool other_server_has_room(const struct engine *engine,
				  const struct slab *slab)
{
	const struct server *server =
		placement_pick(engine, slab, SERVER_UP, false);

	return server && !server->local;
}

/* Whether SERVER has been away for so long that its shards are begun anew on
 * other servers.  Only where pages can be had without the server. */
static bool is_away_for_long(const struct engine *engine,
			     const struct server *server)
{
	uint64_t after_ns = engine->config.repair_after_ns;

	return engine->redundancy.shards > 1 && after_ns &&
	       server_is_away(server, after_ns);
}

static bool is_away(const struct engine *engine, const struct slab_shard *shard)
{
	return is_away_for_long(engine, server_of_shard(engine, shard));
}

/* Whether a server that stays has, or is about to have, the shard index of a
 * shard that lies in the fallback. */
static bool has_remote_twin(const struct engine *engine,
			    const struct slab_shard *shard)
{
	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		const struct slab_shard *other = &shard->slab->shards[i];

		if (other != shard && shard_state(other) != SHARD_NONE &&
		    other->index == shard->index &&
		    !server_of_shard(engine, other)->local &&
		    !is_away(engine, other) &&
		    atomic_load(
			    &server_of_shard(engine, other)->release_slabs) ==
			    0)
			return true;
	}
	return false;
}

/* Whether SHARD is to be moved away, as far as its server is concerned. */
static bool is_leaving(const struct engine *engine,
		       const struct slab_shard *shard)
{
	const struct server *server = server_of_shard(engine, shard);

	if (server->local)
		return has_remote_twin(engine, shard) ||
		       other_server_has_room(engine, shard->slab);
	return atomic_load(&server->release_slabs) > 0 ||
	       is_away(engine, shard);
}

/* Whether all of the shard's pages can be had from servers that are UP now.  A
 * page that cannot be had would keep the new twin from ever being whole, and
 * there are only a few twins at a time. */
static bool can_do_without(const struct engine *engine,
			   const struct slab_shard *shard)
{
	uint32_t indexes = 0;

	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		const struct slab_shard *other = &shard->slab->shards[i];

		if (other != shard && shard_is_live(other) &&
		    atomic_load(&other->stale_chunks) == 0 &&
		    server_state(server_of_shard(engine, other)) == SERVER_UP)
			indexes |= 1u << other->index;
	}
	return (uint32_t)__builtin_popcount(indexes) >= engine->redundancy.need;
}

/* Whether one more of the server's slabs may be moved: no more than the server
 * asked for.  Of a server that is away, only a few at a time, because the
 * server may be back at any moment. */
static bool may_move_one_more(const struct engine *engine,
			      const struct slab_shard *shard)
{
	const struct server *server = server_of_shard(engine, shard);

	return server->local ||
	       server->moving < atomic_load(&server->release_slabs) ||
	       (is_away(engine, shard) && server->moving < AWAY_AT_A_TIME &&
		can_do_without(engine, shard));
}

/* --- attaching and detaching --- */

/* All pages of the slab that are PRESENT are stale in SHARD. */
static void mark_present_stale(struct engine *engine, struct slab_shard *shard)
{
	struct slab_table *table = &engine->slabs;
	uint64_t first =
		slab_number(table, shard->slab) * table->geometry.slab_pages;

	shard_mark_all_current(table, shard);
	for (uint32_t i = 0; i < table->geometry.slab_pages; i++) {
		if (first + i < engine->pages.pages &&
		    pagemap_get(&engine->pages, first + i) == PAGE_PRESENT)
			shard_mark(shard, i, 1, true);
	}
}

/* Whether the slab, in CLOSING, still needs a shard with that shard index. */
static bool wants_index(const struct engine *engine, const struct slab *slab,
			uint8_t index)
{
	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		const struct slab_shard *shard = &slab->shards[i];

		if (shard_is_live(shard) && shard->index == index)
			return is_leaving(engine, shard) &&
			       !twin_of(engine, shard);
	}
	return true;
}

/* Makes a shard that is SPARE one of the slab's, all of it stale. */
static void attach(struct engine *engine, struct slab_shard *shard)
{
	struct slab *slab = shard->slab;
	uint8_t spare = SHARD_SPARE;

	if (!slab_close(&engine->slabs, slab)) {
		/* The slab is gone meanwhile, or is being allocated anew: the
		 * next pass handles the shard. */
		if (slab_state(slab) == SLAB_UNMAPPED)
			placement_give_back(engine, shard, SHARD_SPARE);
		return;
	}
	/* The shard may have been lost, and asked for anew, while the slab was
	 * being closed.  Or a session that found the slab UNMAPPED may lose the
	 * shard now. */
	if (shard_state(shard) == SHARD_SPARE) {
		if (wants_index(engine, slab, shard->index)) {
			mark_present_stale(engine, shard);
			atomic_compare_exchange_strong(&shard->state, &spare,
						       SHARD_LIVE);
		} else {
			placement_give_back(engine, shard, SHARD_SPARE);
		}
	}
	slab_finish_close(&engine->slabs, slab, SLAB_LIVE);
	engine->repair.steps++;
}

/* Of two shards with the same shard index: whether OLD is given back. */
static bool goes_before(const struct engine *engine,
			const struct slab_shard *old,
			const struct slab_shard *other)
{
	bool leaving = is_leaving(engine, old);
	uint32_t stale = atomic_load(&old->stale_chunks);
	uint32_t other_stale = atomic_load(&other->stale_chunks);

	if (leaving != is_leaving(engine, other))
		return leaving;
	return stale != other_stale ? stale > other_stale : old > other;
}

/* Whether SHARD is not worth copying to, because its twin stays. */
static bool is_given_up(const struct engine *engine,
			const struct slab_shard *shard)
{
	const struct slab_shard *twin = twin_of(engine, shard);

	return twin &&
	       server_state(server_of_shard(engine, twin)) == SERVER_UP &&
	       goes_before(engine, shard, twin);
}

bool repair_wants_fill(const struct engine *engine,
		       const struct slab_shard *shard)
{
	return shard_is_live(shard) && atomic_load(&shard->stale_chunks) > 0 &&
	       server_state(server_of_shard(engine, shard)) == SERVER_UP &&
	       !is_given_up(engine, shard);
}

/* Gives OLD back, whose twin holds everything. */
static void detach(struct engine *engine, struct slab_shard *old)
{
	struct server *server = server_of_shard(engine, old);
	struct slab *slab = old->slab;
	struct slab_shard *twin;
	uint32_t asked = atomic_load(&server->release_slabs);

	if (!slab_close(&engine->slabs, slab))
		return;
	twin = shard_is_live(old) ? twin_of(engine, old) : NULL;
	if (twin && atomic_load(&twin->stale_chunks) == 0) {
		placement_give_back(engine, old, SHARD_LIVE);
		if (asked > 0 && asked != UINT32_MAX)
			atomic_compare_exchange_strong(&server->release_slabs,
						       &asked, asked - 1);
		engine->repair.steps++;
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
		if (!has_repair_shard(engine, slab)) {
			if (placement_ask_for_repair(engine, slab, index))
				engine->repair.steps++;
			else
				*stuck = true;
		}
		return; /* one at a time */
	}
}

/* Moves a shard, or gives it back where its twin is whole. */
static void move(struct engine *engine, struct slab_shard *shard, bool *stuck)
{
	struct slab_shard *twin = twin_of(engine, shard);
	struct server *server = server_of_shard(engine, shard);

	if (twin) {
		if (is_given_up(engine, shard) &&
		    atomic_load(&twin->stale_chunks) == 0)
			detach(engine, shard);
		return;
	}
	/* no unused shard: another shard of this slab moves */
	if (!is_leaving(engine, shard) ||
	    has_repair_shard(engine, shard->slab) ||
	    !slab_unused_shard(&engine->slabs, shard->slab) ||
	    !may_move_one_more(engine, shard))
		return;
	if (placement_ask_for_repair(engine, shard->slab, shard->index)) {
		server->moving++;
		engine->repair.steps++;
	} else {
		*stuck = true;
	}
}

/* The state of a slab's shards: shard indexes that are there, and figures.
 * False where it is not LIVE. */
static bool examine(struct engine *engine, struct slab *slab, uint32_t *indexes,
		    struct repair_sums *sums)
{
	bool moves = has_repair_shard(engine, slab);
	uint32_t whole = 0; /* shard indexes that a server has all of */

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
		moves = moves || twin_of(engine, shard);
		server_of_shard(engine, shard)->moving +=
			moves && is_leaving(engine, shard);
		*indexes |= 1u << shard->index;
		if (stale == 0 && !is_away(engine, shard))
			whole |= 1u << shard->index;
	}
	slab_leave(slab);
	sums->short_slabs += whole != (1u << engine->redundancy.shards) - 1;
	sums->moving_slabs += moves;
	return true;
}

/* Shards that servers gave to the repairer. */
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
		if (repair_wants_fill(engine, shard))
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

/* Says once that the slabs of a server are begun elsewhere. */
static void tell_away(const struct engine *engine, struct server *server)
{
	bool away = is_away_for_long(engine, server);

	if (away && !server->told_away && atomic_load(&server->slabs) > 0)
		log_notice("server %s is away for %llu s: what it has of "
			   "%u slabs is begun on other servers",
			   server->text.text,
			   (unsigned long long)(engine->config.repair_after_ns /
						NS_PER_S),
			   atomic_load(&server->slabs));
	server->told_away = away;
}

/* True where there is more to do at once. */
static bool pass(struct engine *engine, bool tick)
{
	struct repair *k = &engine->repair;
	struct repair_sums sums = { 0 };

	for (uint32_t i = 0; i < engine->n_servers; i++) {
		engine->servers[i].moving = 0;
		tell_away(engine, &engine->servers[i]);
	}
	for (uint64_t i = 0; i < engine->slabs.n && !repair_stopping(k); i++) {
		struct slab *slab = &engine->slabs.slabs[i];

		tend(engine, slab, &sums);
		if (tick)
			free_empty(engine, slab);
	}
	if (!repair_stopping(k))
		repair_tell(engine, &sums);
	return sums.short_slabs + sums.moving_slabs > sums.stuck_slabs;
}

/* Sleeps until poked, or NS are over; not less than LEAST_NS. */
static void rest(struct repair *k, uint64_t ns)
{
	struct timespec until = clock_timespec(clock_now_ns() + ns);
	int rc = 0;

	pthread_mutex_lock(&k->lock);
	k->passes++;
	pthread_cond_broadcast(&k->passed);
	pthread_mutex_unlock(&k->lock);
	clock_sleep_ns(LEAST_NS);
	pthread_mutex_lock(&k->lock);
	while (!k->poke && !k->stop && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&k->poked, &k->lock, &until);
	k->poke = false;
	pthread_mutex_unlock(&k->lock);
}

/* Its own lane is never parked. */
static void look_after_lane(struct engine *engine)
{
	lane_look_after(&engine->lanes, lane_of_repair(&engine->lanes));
}

static void *repair_main(void *arg)
{
	struct engine *engine = arg;
	struct repair *k = &engine->repair;
	uint64_t next_tick_ns = clock_now_ns() + IDLE_NS;
	uint64_t pause_ns = BUSY_NS;

	while (!repair_stopping(k)) {
		bool tick = clock_left_ns(next_tick_ns) == 0, busy, lanes;
		uint64_t begin_ns = clock_now_ns(), steps = k->steps;
		uint64_t copied = atomic_load(&k->copied_pages), rest_ns;

		if (tick)
			next_tick_ns = clock_now_ns() + IDLE_NS;
		lane_reap(&engine->lanes, false);
		look_after_lane(engine);
		busy = pass(engine, tick);
		lanes = atomic_load(&engine->lanes.n_parked) > 0 ||
			lane_in_flight(lane_of_repair(&engine->lanes));
		copied = atomic_load(&k->copied_pages) - copied;
		if (copied > 0 || k->steps > steps || lanes)
			pause_ns = BUSY_NS;
		else if (pause_ns < STUCK_MAX_NS)
			pause_ns *= 2;
		rest_ns = pause_ns;
		if (copied == 0)
			rest_ns += WAITING_SHARD * (clock_now_ns() - begin_ns);
		rest(k, busy || lanes ? rest_ns : clock_left_ns(next_tick_ns));
	}
	attempt_abandon(engine, lane_of_repair(&engine->lanes));
	return NULL;
}

int repair_create(struct engine *engine, struct error *why)
{
	struct repair *k = &engine->repair;

	memset(k, 0, sizeof *k);
	k->pages = aligned_alloc(PAGE_BYTES, REPAIR_PAGES * PAGE_BYTES);
	if (!k->pages) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	memset(k->pages, 0, REPAIR_PAGES * PAGE_BYTES);
	pthread_mutex_init(&k->lock, NULL);
	clock_cond_init(&k->poked);
	clock_cond_init(&k->passed);
	return 0;
}

void repair_destroy(struct engine *engine)
{
	struct repair *k = &engine->repair;

	if (!k->pages)
		return;
	free(k->pages);
	pthread_cond_destroy(&k->passed);
	pthread_cond_destroy(&k->poked);
	pthread_mutex_destroy(&k->lock);
	k->pages = NULL;
}

int repair_start(struct engine *engine, struct error *why)
{
	struct repair *k = &engine->repair;
	int rc = pthread_create(&k->thread, NULL, repair_main, engine);

	if (rc) {
		error_set(why, "the repair thread: %s", strerror(rc));
		return -rc;
	}
	k->running = true;
	return 0;
}

void repair_stop(struct engine *engine)
{
	struct repair *k = &engine->repair;

	if (!k->running)
		return;
	pthread_mutex_lock(&k->lock);
	k->stop = true;
	pthread_cond_signal(&k->poked);
	pthread_mutex_unlock(&k->lock);
	pthread_join(k->thread, NULL);
	k->running = false;
}

void repair_wake(struct engine *engine)
{
	struct repair *k = &engine->repair;

	pthread_mutex_lock(&k->lock);
	k->poke = true;
	pthread_cond_signal(&k->poked);
	pthread_mutex_unlock(&k->lock);
}

void repair_wait(struct engine *engine, uint64_t deadline_ns)
{
	struct timespec until = clock_timespec(deadline_ns);
	struct repair *k = &engine->repair;
	uint64_t passes;
	int rc = 0;

	pthread_mutex_lock(&k->lock);
	passes = k->passes;
	k->poke = true;
	pthread_cond_signal(&k->poked);
	while (k->passes == passes && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&k->passed, &k->lock, &until);
	pthread_mutex_unlock(&k->lock);
}
