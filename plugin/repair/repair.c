#include "repair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/transfer.h"
#include "clock.h"
#include "engine.h"
#include "log.h"
#include "servers/placement.h"

/* Between two passes: when there is nothing to do, and when there is. */
#define IDLE_NS (1 * NS_PER_S)
#define BUSY_NS (5 * NS_PER_MS)
/* The same after passes that found things to do and could do none, as a server
 * is away: twice as long each time, up to this. */
#define STUCK_MAX_NS (100 * NS_PER_MS)
/* In any case: who waits for a pass has it begun at once, and may wait for
 * many.
 */
#define LEAST_NS NS_PER_MS

/* The part of its time that a pass may take which copies nothing and only waits
 * for others: a large device has half a million slabs. */
#define WAITING_PART 10

/* Slabs of a server that is away that are begun elsewhere at the same time. */
#define AWAY_AT_A_TIME 4

/* For how many passes that are IDLE_NS apart a slab has to be empty: one that
 * was only just allocated is empty until the write that it is for gets to it,
 * and one that is emptied and filled by turns is better kept. */
#define EMPTY_TICKS 3

bool keeper_stopping(struct keeper *k)
{
	bool stop;

	pthread_mutex_lock(&k->lock);
	stop = k->stop;
	pthread_mutex_unlock(&k->lock);
	return stop;
}

/* --- the parts of a slab --- */

/* Another LIVE part with the row of PART, or NULL. */
static struct slab_part *twin_of(const struct engine *engine,
				 const struct slab_part *part)
{
	for (uint32_t i = 0; i < engine->slabs.n_parts; i++) {
		struct slab_part *other = &part->slab->parts[i];

		if (other != part && part_is_live(other) &&
		    other->row == part->row)
			return other;
	}
	return NULL;
}

static bool has_keepers_part(const struct engine *engine,
			     const struct slab *slab)
{
	for (uint32_t i = 0; i < engine->slabs.n_parts; i++) {
		const struct slab_part *part = &slab->parts[i];

		if (part_state(part) == PART_SPARE ||
		    (part_state(part) == PART_ASKED &&
		     atomic_load(&part->keepers)))
			return true;
	}
	return false;
}

static bool other_server_has_room(const struct engine *engine,
				  const struct slab *slab)
{
	const struct peer *peer = place_pick(engine, slab, PEER_UP, false);

	return peer && !peer->local;
}

/* Whether PEER has been away for so long that what it has is begun anew on
 * other servers.  Only where pages can be had without it. */
static bool is_away_for_long(const struct engine *engine,
			     const struct peer *peer)
{
	uint64_t after_ns = engine->config.repair_after_ns;

	return engine->redundancy.parts > 1 && after_ns &&
	       peer_is_away(peer, after_ns);
}

static bool is_away(const struct engine *engine, const struct slab_part *part)
{
	return is_away_for_long(engine, peer_of_part(engine, part));
}

/* Whether a server that stays has, or is about to have, the row of a part that
 * lies in the fallback. */
static bool has_remote_twin(const struct engine *engine,
			    const struct slab_part *part)
{
	for (uint32_t i = 0; i < engine->slabs.n_parts; i++) {
		const struct slab_part *other = &part->slab->parts[i];

		if (other != part && part_state(other) != PART_NONE &&
		    other->row == part->row &&
		    !peer_of_part(engine, other)->local &&
		    !is_away(engine, other) &&
		    atomic_load(&peer_of_part(engine, other)->release_slabs) ==
			    0)
			return true;
	}
	return false;
}

/* Whether PART is to be moved away, as far as its server is concerned. */
static bool is_leaving(const struct engine *engine,
		       const struct slab_part *part)
{
	const struct peer *peer = peer_of_part(engine, part);

	if (peer->local)
		return has_remote_twin(engine, part) ||
		       other_server_has_room(engine, part->slab);
	return atomic_load(&peer->release_slabs) > 0 || is_away(engine, part);
}

/* Whether all of the part's pages can be had from servers that are there now.
 * One that cannot would keep its new twin from ever being whole, and of such
 * twins there are only a few at a time. */
static bool can_do_without(const struct engine *engine,
			   const struct slab_part *part)
{
	uint32_t rows = 0;

	for (uint32_t i = 0; i < engine->slabs.n_parts; i++) {
		const struct slab_part *other = &part->slab->parts[i];

		if (other != part && part_is_live(other) &&
		    atomic_load(&other->stale_units) == 0 &&
		    peer_state(peer_of_part(engine, other)) == PEER_UP)
			rows |= 1u << other->row;
	}
	return (uint32_t)__builtin_popcount(rows) >= engine->redundancy.need;
}

/* Whether one more of its slabs may be moved: no more than were asked for, and
 * of a server that is away a few at a time, as it may be back any moment. */
static bool may_move_one_more(const struct engine *engine,
			      const struct slab_part *part)
{
	const struct peer *peer = peer_of_part(engine, part);

	return peer->local ||
	       peer->moving < atomic_load(&peer->release_slabs) ||
	       (is_away(engine, part) && peer->moving < AWAY_AT_A_TIME &&
		can_do_without(engine, part));
}

/* --- attaching and detaching --- */

/* All pages of the slab that are PRESENT are stale in PART. */
static void mark_present_stale(struct engine *engine, struct slab_part *part)
{
	struct slab_table *table = &engine->slabs;
	uint64_t first =
		slab_number(table, part->slab) * table->geometry.slab_pages;

	part_mark_all_current(table, part);
	for (uint32_t i = 0; i < table->geometry.slab_pages; i++) {
		if (first + i < engine->pages.pages &&
		    pagemap_get(&engine->pages, first + i) == PAGE_PRESENT)
			part_mark(part, i, 1, true);
	}
}

/* Whether the slab, in CLOSING, still wants a part with that row. */
static bool wants_row(const struct engine *engine, const struct slab *slab,
		      uint8_t row)
{
	for (uint32_t i = 0; i < engine->slabs.n_parts; i++) {
		const struct slab_part *part = &slab->parts[i];

		if (part_is_live(part) && part->row == row)
			return is_leaving(engine, part) &&
			       !twin_of(engine, part);
	}
	return true;
}

/* Makes a part that is SPARE one of the slab's, all of it stale. */
static void attach(struct engine *engine, struct slab_part *part)
{
	struct slab *slab = part->slab;
	uint8_t spare = PART_SPARE;

	if (!slab_close(&engine->slabs, slab)) {
		/* Gone meanwhile; or being allocated anew: the next pass sees
		 * to it. */
		if (slab_state(slab) == SLAB_UNMAPPED)
			place_give_back(engine, part, PART_SPARE);
		return;
	}
	/* It may have been lost, and taken by others, while the slab was being
	 * closed; or be lost now, by a session that found the slab UNMAPPED. */
	if (part_state(part) == PART_SPARE) {
		if (wants_row(engine, slab, part->row)) {
			mark_present_stale(engine, part);
			atomic_compare_exchange_strong(&part->state, &spare,
						       PART_LIVE);
		} else {
			place_give_back(engine, part, PART_SPARE);
		}
	}
	slab_finish_close(&engine->slabs, slab, SLAB_LIVE);
	engine->keeper.steps++;
}

/* Of two parts with the same row: whether OLD is the one that goes. */
static bool goes_before(const struct engine *engine,
			const struct slab_part *old,
			const struct slab_part *other)
{
	bool leaving = is_leaving(engine, old);
	uint32_t stale = atomic_load(&old->stale_units);
	uint32_t other_stale = atomic_load(&other->stale_units);

	if (leaving != is_leaving(engine, other))
		return leaving;
	return stale != other_stale ? stale > other_stale : old > other;
}

/* Whether PART is not worth copying to, as its twin stays. */
static bool is_given_up(const struct engine *engine,
			const struct slab_part *part)
{
	const struct slab_part *twin = twin_of(engine, part);

	return twin && peer_state(peer_of_part(engine, twin)) == PEER_UP &&
	       goes_before(engine, part, twin);
}

bool keeper_wants_fill(const struct engine *engine,
		       const struct slab_part *part)
{
	return part_is_live(part) && atomic_load(&part->stale_units) > 0 &&
	       peer_state(peer_of_part(engine, part)) == PEER_UP &&
	       !is_given_up(engine, part);
}

/* Gives OLD back, whose twin holds everything. */
static void detach(struct engine *engine, struct slab_part *old)
{
	struct peer *peer = peer_of_part(engine, old);
	struct slab *slab = old->slab;
	struct slab_part *twin;
	uint32_t asked = atomic_load(&peer->release_slabs);

	if (!slab_close(&engine->slabs, slab))
		return;
	twin = part_is_live(old) ? twin_of(engine, old) : NULL;
	if (twin && atomic_load(&twin->stale_units) == 0) {
		place_give_back(engine, old, PART_LIVE);
		if (asked > 0 && asked != UINT32_MAX)
			atomic_compare_exchange_strong(&peer->release_slabs,
						       &asked, asked - 1);
		engine->keeper.steps++;
	}
	slab_finish_close(&engine->slabs, slab, SLAB_LIVE);
}

/* --- one slab --- */

/* A row that no part has. */
static void repair_rows(struct engine *engine, struct slab *slab, uint32_t rows,
			bool *stuck)
{
	for (uint8_t row = 0; row < engine->redundancy.parts; row++) {
		if (rows & 1u << row)
			continue;
		if (!has_keepers_part(engine, slab)) {
			if (place_ask_keepers(engine, slab, row))
				engine->keeper.steps++;
			else
				*stuck = true;
		}
		return; /* one at a time */
	}
}

/* A part that moves, or has moved. */
static void move(struct engine *engine, struct slab_part *part, bool *stuck)
{
	struct slab_part *twin = twin_of(engine, part);
	struct peer *peer = peer_of_part(engine, part);

	if (twin) {
		if (is_given_up(engine, part) &&
		    atomic_load(&twin->stale_units) == 0)
			detach(engine, part);
		return;
	}
	/* no unused part: another one of this slab moves */
	if (!is_leaving(engine, part) || has_keepers_part(engine, part->slab) ||
	    !slab_unused_part(&engine->slabs, part->slab) ||
	    !may_move_one_more(engine, part))
		return;
	if (place_ask_keepers(engine, part->slab, part->row)) {
		peer->moving++;
		engine->keeper.steps++;
	} else {
		*stuck = true;
	}
}

/* The state of a slab's parts: rows that are there, and figures.  False where
 * it is not LIVE. */
static bool examine(struct engine *engine, struct slab *slab, uint32_t *rows,
		    struct keeper_sums *sums)
{
	bool moves = has_keepers_part(engine, slab);
	uint32_t whole = 0; /* rows that a server has all of */

	*rows = 0;
	if (slab_enter(slab) != SLAB_LIVE)
		return false;
	for (uint32_t i = 0; i < engine->slabs.n_parts; i++) {
		const struct slab_part *part = &slab->parts[i];
		uint32_t stale;

		if (!part_is_live(part))
			continue;
		stale = atomic_load(&part->stale_units);
		sums->stale_pages += stale;
		moves = moves || twin_of(engine, part);
		peer_of_part(engine, part)->moving +=
			moves && is_leaving(engine, part);
		*rows |= 1u << part->row;
		if (stale == 0 && !is_away(engine, part))
			whole |= 1u << part->row;
	}
	slab_leave(slab);
	sums->short_slabs += whole != (1u << engine->redundancy.parts) - 1;
	sums->moving_slabs += moves;
	return true;
}

/* Parts that servers gave to the keeper. */
static void take_given(struct engine *engine, struct slab *slab)
{
	for (uint32_t i = 0; i < engine->slabs.n_parts; i++) {
		struct slab_part *part = &slab->parts[i];

		if (part_state(part) == PART_SPARE)
			attach(engine, part);
	}
}

static void tend(struct engine *engine, struct slab *slab,
		 struct keeper_sums *sums)
{
	bool stuck = false;
	uint32_t rows;

	take_given(engine, slab);
	if (!examine(engine, slab, &rows, sums))
		return;
	repair_rows(engine, slab, rows, &stuck);
	for (uint32_t i = 0; i < engine->slabs.n_parts; i++) {
		struct slab_part *part = &slab->parts[i];

		/* Nobody else changes which parts are LIVE but a session that
		 * is lost, after which what follows finds nothing to do. */
		if (!part_is_live(part))
			continue;
		if (keeper_wants_fill(engine, part))
			keeper_fill(engine, slab, i);
		move(engine, part, &stuck);
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
	for (uint32_t i = 0; i < engine->slabs.n_parts; i++) {
		if (part_is_live(&slab->parts[i]))
			place_give_back(engine, &slab->parts[i], PART_LIVE);
	}
	slab->empty_ticks = 0;
	slab_finish_close(&engine->slabs, slab, SLAB_UNMAPPED);
}

/* --- passes --- */

/* Says once that the slabs of a server are begun elsewhere. */
static void tell_away(const struct engine *engine, struct peer *peer)
{
	bool away = is_away_for_long(engine, peer);

	if (away && !peer->told_away && atomic_load(&peer->slabs) > 0)
		log_notice("server %s is away for %llu s: what it has of "
			   "%u slabs is begun on other servers",
			   peer->text.text,
			   (unsigned long long)(engine->config.repair_after_ns /
						NS_PER_S),
			   atomic_load(&peer->slabs));
	peer->told_away = away;
}

/* True where there is more to do at once. */
static bool pass(struct engine *engine, bool tick)
{
	struct keeper *k = &engine->keeper;
	struct keeper_sums sums = { 0 };

	for (uint32_t i = 0; i < engine->n_peers; i++) {
		engine->peers[i].moving = 0;
		tell_away(engine, &engine->peers[i]);
	}
	for (uint64_t i = 0; i < engine->slabs.n && !keeper_stopping(k); i++) {
		struct slab *slab = &engine->slabs.slabs[i];

		tend(engine, slab, &sums);
		if (tick)
			free_empty(engine, slab);
	}
	if (!keeper_stopping(k))
		keeper_tell(engine, &sums);
	return sums.short_slabs + sums.moving_slabs > sums.stuck_slabs;
}

/* Sleeps until poked, or NS are over; not less than LEAST_NS. */
static void rest(struct keeper *k, uint64_t ns)
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
	lane_look_after(&engine->lanes, lane_of_keeper(&engine->lanes));
}

static void *keeper_main(void *arg)
{
	struct engine *engine = arg;
	struct keeper *k = &engine->keeper;
	uint64_t next_tick_ns = clock_now_ns() + IDLE_NS;
	uint64_t pause_ns = BUSY_NS;

	while (!keeper_stopping(k)) {
		bool tick = clock_left_ns(next_tick_ns) == 0, busy, lanes;
		uint64_t begin_ns = clock_now_ns(), steps = k->steps;
		uint64_t copied = atomic_load(&k->copied_pages), rest_ns;

		if (tick)
			next_tick_ns = clock_now_ns() + IDLE_NS;
		lane_reap(&engine->lanes, false);
		look_after_lane(engine);
		busy = pass(engine, tick);
		lanes = atomic_load(&engine->lanes.n_parked) > 0 ||
			lane_in_flight(lane_of_keeper(&engine->lanes));
		copied = atomic_load(&k->copied_pages) - copied;
		if (copied > 0 || k->steps > steps || lanes)
			pause_ns = BUSY_NS;
		else if (pause_ns < STUCK_MAX_NS)
			pause_ns *= 2;
		rest_ns = pause_ns;
		if (copied == 0)
			rest_ns += WAITING_PART * (clock_now_ns() - begin_ns);
		rest(k, busy || lanes ? rest_ns : clock_left_ns(next_tick_ns));
	}
	carry_end(engine, lane_of_keeper(&engine->lanes));
	return NULL;
}

int keeper_create(struct engine *engine, struct reason *why)
{
	struct keeper *k = &engine->keeper;

	memset(k, 0, sizeof *k);
	k->pages = aligned_alloc(PAGE_BYTES, KEEPER_PAGES * PAGE_BYTES);
	if (!k->pages) {
		reason_set(why, "out of memory");
		return -ENOMEM;
	}
	memset(k->pages, 0, KEEPER_PAGES * PAGE_BYTES);
	pthread_mutex_init(&k->lock, NULL);
	clock_cond_init(&k->poked);
	clock_cond_init(&k->passed);
	return 0;
}

void keeper_destroy(struct engine *engine)
{
	struct keeper *k = &engine->keeper;

	if (!k->pages)
		return;
	free(k->pages);
	pthread_cond_destroy(&k->passed);
	pthread_cond_destroy(&k->poked);
	pthread_mutex_destroy(&k->lock);
	k->pages = NULL;
}

int keeper_start(struct engine *engine, struct reason *why)
{
	struct keeper *k = &engine->keeper;
	int rc = pthread_create(&k->thread, NULL, keeper_main, engine);

	if (rc) {
		reason_set(why, "the keeper's thread: %s", strerror(rc));
		return -rc;
	}
	k->running = true;
	return 0;
}

void keeper_stop(struct engine *engine)
{
	struct keeper *k = &engine->keeper;

	if (!k->running)
		return;
	pthread_mutex_lock(&k->lock);
	k->stop = true;
	pthread_cond_signal(&k->poked);
	pthread_mutex_unlock(&k->lock);
	pthread_join(k->thread, NULL);
	k->running = false;
}

void keeper_poke(struct engine *engine)
{
	struct keeper *k = &engine->keeper;

	pthread_mutex_lock(&k->lock);
	k->poke = true;
	pthread_cond_signal(&k->poked);
	pthread_mutex_unlock(&k->lock);
}

void keeper_wait(struct engine *engine, uint64_t deadline_ns)
{
	struct timespec until = clock_timespec(deadline_ns);
	struct keeper *k = &engine->keeper;
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
