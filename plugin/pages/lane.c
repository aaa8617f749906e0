#include "lane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "concurrency.h"
#include "transport/memory.h"

#define CACHE_LINE_BYTES 64u

uint64_t lane_counters_bytes(const struct lane_pool *pool)
{
	uint64_t bytes =
		sizeof(struct lane_counters) +
		pool->config.servers * sizeof(struct lane_transfers[LANE_USES]);

	return (bytes + CACHE_LINE_BYTES - 1) & ~(CACHE_LINE_BYTES - 1ull);
}

static struct lane_counters *make_counters(const struct lane_pool *pool)
{
	uint64_t bytes = lane_counters_bytes(pool);
	struct lane_counters *counters = aligned_alloc(CACHE_LINE_BYTES, bytes);

	if (counters)
		memset(counters, 0, bytes);
	return counters;
}

static int make_lanes(struct lane_pool *pool)
{
	uint32_t n = pool->config.lanes + 1;

	pool->lanes = calloc(n, sizeof *pool->lanes);
	if (!pool->lanes)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		struct lane *lane = &pool->lanes[i];

		pool->n++;
		lane->links = calloc(pool->config.servers, sizeof *lane->links);
		lane->counters = make_counters(pool);
		if (!lane->links || !lane->counters)
			return -ENOMEM;
	}
	return 0;
}

/* Page-aligned and populated, as transports register it or read into it. */
static int make_scratch(struct lane_pool *pool)
{
	uint64_t bytes = pool->config.scratch_bytes * pool->n;
	void *p;

	if (!bytes)
		return 0;
	p = pages_map(bytes);
	if (!p)
		return -errno;
	pool->scratch = p;
	pool->scratch_bytes = bytes;
	for (uint32_t i = 0; i < pool->n; i++)
		pool->lanes[i].scratch =
			(uint8_t *)p + i * pool->config.scratch_bytes;
	return 0;
}

static void free_lane(struct lane_pool *pool, struct lane *lane)
{
	lane->next = pool->free;
	pool->free = lane;
	pool->n_free++;
}

/* Takes a lane that is free.  NULL where there is none.  The caller holds the
 * lock. */
static struct lane *pop_free(struct lane_pool *pool)
{
	struct lane *lane = pool->free;

	if (lane) {
		pool->free = lane->next;
		pool->n_free--;
	}
	return lane;
}

int lane_pool_create(struct lane_pool *pool,
		     const struct lane_pool_config *config, struct error *why)
{
	int rc;

	memset(pool, 0, sizeof *pool);
	pool->config = *config;
	pool->max_writers = concurrency_writes(config->lanes);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_mutex_init(&pool->channels_lock, NULL);
	clock_cond_init(&pool->read_ready);
	clock_cond_init(&pool->write_ready);
	rc = make_lanes(pool);
	if (!rc)
		rc = make_scratch(pool);
	if (rc) {
		error_set(why, "out of memory for %u lanes", config->lanes);
		lane_pool_destroy(pool);
		return rc;
	}
	for (uint32_t i = 0; i < config->lanes; i++)
		free_lane(pool, &pool->lanes[i]);
	return 0;
}

void lane_pool_destroy(struct lane_pool *pool)
{
	for (uint32_t i = 0; i < pool->n; i++) {
		struct lane *lane = &pool->lanes[i];

		for (size_t t = 0; t < N_TRANSPORTS; t++) {
			struct channel *channel = lane->channels[t];

			if (channel)
				channel->ops->channel_destroy(channel);
		}
		free(lane->links);
		free(lane->counters);
	}
	free(pool->lanes);
	pages_unmap(pool->scratch, pool->scratch_bytes);
	pthread_cond_destroy(&pool->write_ready);
	pthread_cond_destroy(&pool->read_ready);
	pthread_mutex_destroy(&pool->channels_lock);
	pthread_mutex_destroy(&pool->lock);
	memset(pool, 0, sizeof *pool);
}

static bool may_take(const struct lane_pool *pool, enum lane_use use)
{
	if (pool->n_free == 0)
		return false;
	return use == LANE_READ || pool->n_writers < pool->max_writers;
}

/* How late a transfer may be while requests wait for lanes.  A server that is
 * merely busy has answered long before. */
#define SHORTAGE_LATE_NS (300 * NS_PER_MS)

/* How long a thread that waits for a lane sleeps: REAP_NS before it reaps
 * parked lanes, UNPARK_NS where no lane is parked yet, because parking wakes no
 * thread. */
#define REAP_NS	  (NS_PER_MS)
#define UNPARK_NS (10 * NS_PER_MS)

/* Sleeps until a lane may be free.  The caller holds the lock. */
static int await_lane(struct lane_pool *pool, pthread_cond_t *ready,
		      uint32_t *waiters, uint64_t deadline_ns)
{
	uint64_t nap_ns = pool->parked ? REAP_NS : UNPARK_NS;
	uint64_t until_ns = deadline_ns;
	struct timespec until;
	int rc;

	if (clock_left_ns(deadline_ns) > nap_ns)
		until_ns = clock_now_ns() + nap_ns;
	until = clock_timespec(until_ns);
	++*waiters;
	rc = pthread_cond_timedwait(ready, &pool->lock, &until);
	--*waiters;
	if (pool->parked) {
		pthread_mutex_unlock(&pool->lock);
		lane_reap(pool, true);
		pthread_mutex_lock(&pool->lock);
	}
	return rc == ETIMEDOUT && clock_left_ns(deadline_ns) > 0 ? 0 : rc;
}

struct lane *lane_get(struct lane_pool *pool, enum lane_use use,
		      uint64_t deadline_ns)
{
	pthread_cond_t *ready =
		use == LANE_READ ? &pool->read_ready : &pool->write_ready;
	uint32_t *waiters =
		use == LANE_READ ? &pool->read_waiters : &pool->write_waiters;
	struct lane *lane = NULL;
	int rc = 0;

	pthread_mutex_lock(&pool->lock);
	while (!pool->closed && !may_take(pool, use) && rc != ETIMEDOUT)
		rc = deadline_ns ? await_lane(pool, ready, waiters, deadline_ns)
				 : ETIMEDOUT;
	if (!pool->closed && may_take(pool, use)) {
		lane = pop_free(pool);
		pool->n_writers += use == LANE_WRITE;
	}
	pthread_mutex_unlock(&pool->lock);
	return lane;
}

/* Wakes a thread that waits for a lane, after the pool has got a lane or has a
 * writer less. */
static void signal_waiters(struct lane_pool *pool, bool reader, bool writer)
{
	/* Wakes a reader and a writer: another lane_put may already have woken
	 * the reader that is counted, and then this lane is for the writer. */
	if (reader)
		pthread_cond_signal(&pool->read_ready);
	if (writer)
		pthread_cond_signal(&pool->write_ready);
}

static void take_back(struct lane_pool *pool, struct lane *lane, bool writer)
{
	bool wake_reader, wake_writer;

	lane_no_parking(pool, lane);
	pthread_mutex_lock(&pool->lock);
	free_lane(pool, lane);
	pool->n_writers -= writer;
	wake_reader = pool->read_waiters;
	wake_writer =
		pool->write_waiters && pool->n_writers < pool->max_writers;
	pthread_mutex_unlock(&pool->lock);
	signal_waiters(pool, wake_reader, wake_writer);
}

/* --- lanes with late transfers --- */

bool lane_may_park(struct lane_pool *pool, struct lane *lane)
{
	uint32_t n = atomic_load(&pool->n_may_park);

	if (lane->may_park || lane == lane_of_repair(pool))
		return true;
	while (!lane->may_park && n < pool->config.lanes / 2)
		lane->may_park = atomic_compare_exchange_weak(&pool->n_may_park,
							      &n, n + 1);
	return lane->may_park;
}

void lane_no_parking(struct lane_pool *pool, struct lane *lane)
{
	if (lane->may_park)
		atomic_fetch_sub(&pool->n_may_park, 1);
	lane->may_park = false;
}

/* The caller holds the lock. */
static void push_parked(struct lane_pool *pool, struct lane *lane)
{
	lane->next = pool->parked;
	pool->parked = lane;
	atomic_fetch_add(&pool->n_parked, 1);
}

static void park_again(struct lane_pool *pool, struct lane *lane)
{
	pthread_mutex_lock(&pool->lock);
	push_parked(pool, lane);
	pthread_mutex_unlock(&pool->lock);
}

/* Parks a lane that a request held.  Where a write did, another write may have
 * a lane now. */
static void park(struct lane_pool *pool, struct lane *lane, bool writer)
{
	bool wake_writer;

	lane->parked_ns = clock_now_ns();
	pthread_mutex_lock(&pool->lock);
	push_parked(pool, lane);
	pool->n_writers -= writer;
	wake_writer = writer && pool->write_waiters;
	pthread_mutex_unlock(&pool->lock);
	signal_waiters(pool, false, wake_writer);
	pool->config.parked(pool->config.owner);
}

void lane_put(struct lane_pool *pool, struct lane *lane, enum lane_use use)
{
	if (!lane_in_flight(lane) && lane_is_usable(lane)) {
		/* A late transfer may have ended since its link was kept. */
		lane_links_release(pool, lane);
		take_back(pool, lane, use == LANE_WRITE);
		return;
	}
	park(pool, lane, use == LANE_WRITE);
}

struct lane *lane_exchange(struct lane_pool *pool, struct lane *lane)
{
	struct lane *other;

	if (lane == lane_of_repair(pool))
		return lane;
	pthread_mutex_lock(&pool->lock);
	other = pool->closed ? NULL : pop_free(pool);
	pthread_mutex_unlock(&pool->lock);
	if (!other)
		return lane;
	park(pool, lane, false);
	return other;
}

static void abort_link(struct link *link)
{
	link->ops->link_abort(link);
}

/* Whether STATUS is a failure of the server or of the network. */
static bool is_failure(int status)
{
	return status && status != XFER_UNSENT;
}

/* Since when nobody waits for a transfer: since its lane was parked, or, as the
 * repairer's lane is in use all the time, at the most since it was submitted.
 */
static uint64_t late_since_ns(const struct lane *lane,
			      const struct lane_tag *tag)
{
	return tag->sent_ns > lane->parked_ns ? tag->sent_ns : lane->parked_ns;
}

static bool is_too_late(const struct lane_pool *pool, const struct lane *lane,
			const struct lane_tag *tag, bool shortage)
{
	uint64_t late_ns = clock_now_ns() - late_since_ns(lane, tag);

	return late_ns > pool->config.late_ns ||
	       (shortage && late_ns > SHORTAGE_LATE_NS);
}

/* Gives up the lane's servers that failed, or that are too late. */
static void judge_late(struct lane_pool *pool, struct lane *lane, bool shortage)
{
	for (size_t t = 0; t < N_TRANSPORTS; t++) {
		struct lane_set *set = &lane->sets[t];

		for (uint32_t i = 0; i < set->submitted; i++) {
			struct lane_tag *tag = &set->tags[i];
			bool going = xfer_in_progress(&set->xfers[i]);

			if (tag->over ||
			    (going && !is_too_late(pool, lane, tag, shortage)))
				continue;
			tag->over = !going;
			if (going || is_failure(xfer_status(&set->xfers[i])))
				pool->config.give_up(pool->config.owner,
						     tag->server);
			/* The session aborts its links, too, but may first wait
			 * for an answer of the same server. */
			if (going)
				abort_link(set->xfers[i].link);
		}
	}
}

/* How long a transfer may take to end after it was aborted. */
#define ABORTED_NS (3 * NS_PER_S)

/* Whether all that is in flight should have ended long ago. */
static bool is_overdue(const struct lane_pool *pool, const struct lane *lane)
{
	uint64_t since_ns = 0;

	for (size_t t = 0; t < N_TRANSPORTS; t++) {
		const struct lane_set *set = &lane->sets[t];

		for (uint32_t i = 0; i < set->submitted; i++) {
			uint64_t ns = late_since_ns(lane, &set->tags[i]);

			if (xfer_in_progress(&set->xfers[i]) && ns > since_ns)
				since_ns = ns;
		}
	}
	return clock_left_ns(since_ns + pool->config.late_ns + ABORTED_NS) == 0;
}

/* A device that was removed or reset never completes its transfers.  So the
 * transport ends these transfers itself. */
static void abandon(struct lane *lane)
{
	for (size_t t = 0; t < N_TRANSPORTS; t++) {
		struct lane_set *set = &lane->sets[t];
		struct channel *channel = lane->channels[t];

		if (set->submitted > 0)
			channel->ops->abandon(channel, set->xfers,
					      set->submitted);
	}
}

/* Checks which transfers have ended in a lane that no request holds, and gives
 * up servers that are too late. */
static void look_after(struct lane_pool *pool, struct lane *lane, bool shortage)
{
	lane_wait(lane, 0);
	if (lane_in_flight(lane)) /* the check may find half a reply */
		lane_wait(lane, 0);
	judge_late(pool, lane, shortage);
	if (lane_in_flight(lane) && is_overdue(pool, lane))
		abandon(lane);
}

void lane_look_after(struct lane_pool *pool, struct lane *lane)
{
	if (lane_in_flight(lane))
		look_after(pool, lane, false);
	lane_links_release(pool, lane);
}

static struct lane *take_parked(struct lane_pool *pool)
{
	struct lane *lanes;

	pthread_mutex_lock(&pool->lock);
	lanes = pool->parked;
	pool->parked = NULL;
	pthread_mutex_unlock(&pool->lock);
	return lanes;
}

/* Frees a lane that was taken from the parked ones, or parks it again. */
static void let_go(struct lane_pool *pool, struct lane *lane)
{
	/* Read before the links are released: the link of a transfer that ends
	 * in between is released the next time.  A channel that is not usable
	 * becomes usable when a session closes a link, and the session can
	 * close the link only after this release. */
	bool is_free = !lane_in_flight(lane) && lane_is_usable(lane);

	lane_links_release(pool, lane);
	if (!is_free)
		park_again(pool, lane);
	else
		take_back(pool, lane, false);
}

void lane_reap(struct lane_pool *pool, bool shortage)
{
	struct lane *lane, *next;

	if (atomic_load(&pool->n_parked) == 0)
		return;
	for (lane = take_parked(pool); lane; lane = next) {
		next = lane->next;
		atomic_fetch_sub(&pool->n_parked, 1);
		look_after(pool, lane, shortage);
		let_go(pool, lane);
	}
}

bool lane_pool_close(struct lane_pool *pool, uint64_t deadline_ns)
{
	uint32_t lanes = pool->config.lanes;
	bool home;
	int rc = 0;

	pthread_mutex_lock(&pool->lock);
	pool->closed = true;
	pthread_cond_broadcast(&pool->read_ready);
	pthread_cond_broadcast(&pool->write_ready);
	/* lane_put wakes a waiting reader, so this thread counts as one. */
	while (pool->n_free < lanes && rc != ETIMEDOUT)
		rc = await_lane(pool, &pool->read_ready, &pool->read_waiters,
				deadline_ns);
	home = pool->n_free == lanes;
	pthread_mutex_unlock(&pool->lock);
	return home;
}

struct channel_config lane_channel_config(struct lane_pool *pool,
					  const struct lane *lane)
{
	struct channel_config config = pool->config.channel;

	config.memory = lane->scratch;
	config.memory_bytes = pool->config.scratch_bytes;
	/* The repairer keeps its units outside of the lane. */
	if (lane == lane_of_repair(pool))
		config.outside_bytes = config.buffer_bytes;
	return config;
}

int lane_channel(struct lane_pool *pool, struct lane *lane,
		 const struct transport_ops *transport,
		 struct channel **channel, struct error *why)
{
	struct channel *found;
	size_t t = transport_number(transport);
	int rc = 0;

	/* Sessions build their links side by side. */
	pthread_mutex_lock(&pool->channels_lock);
	found = lane->channels[t];
	if (!found) {
		const struct channel_config config =
			lane_channel_config(pool, lane);

		rc = transport->channel_create(&config, &found, why);
		if (!rc)
			lane->channels[t] = found;
	}
	*channel = found;
	pthread_mutex_unlock(&pool->channels_lock);
	return rc;
}
