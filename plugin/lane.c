#include "lane.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

static void cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

/* Reads keep a quarter of the lanes to themselves, and at least one, where
 * there are two. */
static uint32_t max_writers(uint32_t lanes)
{
	uint32_t reserved = lanes < 4 ? lanes / 2 : lanes / 4;

	return lanes - reserved;
}

int lane_pool_create(struct lane_pool *pool, uint32_t n, uint32_t n_peers,
		     const struct channel_config *config, struct reason *why)
{
	memset(pool, 0, sizeof *pool);
	pool->n_peers = n_peers;
	pool->max_writers = max_writers(n);
	pool->channel_config = *config;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_mutex_init(&pool->channels_lock, NULL);
	cond_init(&pool->read_ready);
	cond_init(&pool->write_ready);
	pool->lanes = calloc(n, sizeof *pool->lanes);
	if (!pool->lanes)
		goto no_memory;
	for (uint32_t i = 0; i < n; i++) {
		struct lane *lane = &pool->lanes[i];

		pool->n++;
		lane->links = calloc(n_peers, sizeof *lane->links);
		if (!lane->links)
			goto no_memory;
		lane->next_free = pool->free;
		pool->free = lane;
		pool->n_free++;
	}
	return 0;
no_memory:
	reason_set(why, "out of memory for %u lanes", n);
	lane_pool_destroy(pool);
	return -ENOMEM;
}

void lane_pool_destroy(struct lane_pool *pool)
{
	for (uint32_t i = 0; i < pool->n; i++) {
		struct lane *lane = &pool->lanes[i];

		for (size_t t = 0; t < LANE_TRANSPORTS; t++) {
			struct channel *channel = lane->channels[t];

			if (channel)
				channel->ops->channel_destroy(channel);
		}
		free(lane->links);
	}
	free(pool->lanes);
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

struct lane *lane_get(struct lane_pool *pool, enum lane_use use,
		      uint64_t deadline_ns)
{
	pthread_cond_t *ready =
		use == LANE_READ ? &pool->read_ready : &pool->write_ready;
	uint32_t *waiters =
		use == LANE_READ ? &pool->read_waiters : &pool->write_waiters;
	struct timespec until = clock_timespec(deadline_ns);
	struct lane *lane = NULL;
	int rc = 0;

	pthread_mutex_lock(&pool->lock);
	while (!pool->closed && !may_take(pool, use) && rc != ETIMEDOUT) {
		++*waiters;
		rc = pthread_cond_timedwait(ready, &pool->lock, &until);
		--*waiters;
	}
	if (!pool->closed && may_take(pool, use)) {
		lane = pool->free;
		pool->free = lane->next_free;
		pool->n_free--;
		pool->n_writers += use == LANE_WRITE;
	}
	pthread_mutex_unlock(&pool->lock);
	return lane;
}

void lane_put(struct lane_pool *pool, struct lane *lane, enum lane_use use)
{
	bool wake_reader, wake_writer;

	pthread_mutex_lock(&pool->lock);
	lane->next_free = pool->free;
	pool->free = lane;
	pool->n_free++;
	pool->n_writers -= use == LANE_WRITE;
	/* Both, as a reader that counts may already have been woken by another
	 * put, and a writer must not be forgotten over it. */
	wake_reader = pool->read_waiters;
	wake_writer =
		pool->write_waiters && pool->n_writers < pool->max_writers;
	pthread_mutex_unlock(&pool->lock);
	if (wake_reader)
		pthread_cond_signal(&pool->read_ready);
	if (wake_writer)
		pthread_cond_signal(&pool->write_ready);
}

bool lane_pool_close(struct lane_pool *pool, uint64_t deadline_ns)
{
	struct timespec until = clock_timespec(deadline_ns);
	bool home;
	int rc = 0;

	pthread_mutex_lock(&pool->lock);
	pool->closed = true;
	pthread_cond_broadcast(&pool->read_ready);
	pthread_cond_broadcast(&pool->write_ready);
	/* A lane that comes home wakes a reader: this thread is now one. */
	pool->read_waiters++;
	while (pool->n_free < pool->n && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&pool->read_ready, &pool->lock,
					    &until);
	pool->read_waiters--;
	home = pool->n_free == pool->n;
	pthread_mutex_unlock(&pool->lock);
	return home;
}

int lane_channel(struct lane_pool *pool, struct lane *lane,
		 const struct transport_ops *transport,
		 struct channel **channel, struct reason *why)
{
	size_t t = 0;
	int rc = 0;

	while (transports[t] != transport)
		t++;
	/* Sessions build their links side by side. */
	pthread_mutex_lock(&pool->channels_lock);
	if (!lane->channels[t])
		rc = transport->channel_create(&pool->channel_config,
					       &lane->channels[t], why);
	*channel = lane->channels[t];
	pthread_mutex_unlock(&pool->channels_lock);
	return rc;
}

bool lane_link_hold(struct lane *lane, uint32_t peer)
{
	struct lane_link *l = &lane->links[peer];
	uint32_t word = LINK_UP;

	if (l->held)
		return true;
	l->held = atomic_compare_exchange_strong(&l->word, &word,
						 LINK_UP | LINK_BUSY);
	return l->held;
}

void lane_links_release(struct lane_pool *pool, struct lane *lane)
{
	for (uint32_t peer = 0; peer < pool->n_peers; peer++) {
		struct lane_link *l = &lane->links[peer];

		if (l->held) {
			l->held = false;
			atomic_fetch_and(&l->word, ~LINK_BUSY);
		}
	}
}

void lane_links_up(struct lane_pool *pool, uint32_t peer)
{
	for (uint32_t i = 0; i < pool->n; i++)
		atomic_fetch_or(&pool->lanes[i].links[peer].word, LINK_UP);
}

void lane_links_break(struct lane_pool *pool, uint32_t peer)
{
	for (uint32_t i = 0; i < pool->n; i++) {
		struct lane_link *l = &pool->lanes[i].links[peer];

		atomic_fetch_and(&l->word, ~LINK_UP);
		if (l->link)
			l->link->ops->link_abort(l->link);
	}
}

bool lane_links_busy(const struct lane_pool *pool, uint32_t peer)
{
	for (uint32_t i = 0; i < pool->n; i++) {
		if (atomic_load(&pool->lanes[i].links[peer].word) & LINK_BUSY)
			return true;
	}
	return false;
}

void lane_links_close(struct lane_pool *pool, uint32_t peer)
{
	for (uint32_t i = 0; i < pool->n; i++) {
		struct lane_link *l = &pool->lanes[i].links[peer];

		if (l->link)
			l->link->ops->link_close(l->link);
		l->link = NULL;
	}
}
