#include "figures.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"

static uint64_t load(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* The repairer's lane is the last. */
static uint32_t n_lanes(const struct lane_pool *pool)
{
	return pool->n ? pool->n - 1 : 0;
}

void figures_sum(const struct lane_pool *pool, struct lane_sum *sum)
{
	memset(sum, 0, sizeof *sum);
	for (uint32_t i = 0; i < n_lanes(pool); i++) {
		const struct lane_counters *c = pool->lanes[i].counters;

		for (int use = 0; use < LANE_USES; use++) {
			latency_sum_up(&sum->requests[use], &c->requests[use]);
			sum->bytes[use] += load(&c->bytes[use]);
		}
		sum->retries += load(&c->retries);
		sum->hedges += load(&c->hedges);
	}
}

void figures_sum_transfers(const struct lane_pool *pool, uint32_t server,
			   enum lane_use use, struct transfer_sum *sum)
{
	memset(sum, 0, sizeof *sum);
	for (uint32_t i = 0; i < n_lanes(pool); i++) {
		const struct lane_transfers *t =
			&pool->lanes[i].counters->transfers[server][use];

		latency_sum_up(&sum->latency, &t->latency);
		sum->bytes += load(&t->bytes);
		sum->errors += load(&t->errors);
	}
}

/* --- lately --- */

/* The place of SUBJECT in a note. */
static uint32_t place(const struct recent *recent, uint32_t subject)
{
	return subject == RECENT_REQUESTS ? recent->pool->config.servers
					  : subject;
}

static void sum_latency(const struct lane_pool *pool, uint32_t subject,
			enum lane_use use, struct latency_sum *sum)
{
	memset(sum, 0, sizeof *sum);
	for (uint32_t i = 0; i < n_lanes(pool); i++) {
		const struct lane_counters *c = pool->lanes[i].counters;

		latency_sum_up(sum,
			       subject == RECENT_REQUESTS
				       ? &c->requests[use]
				       : &c->transfers[subject][use].latency);
	}
}

static uint64_t note_bytes(const struct recent *recent)
{
	return (recent->pool->config.servers + 1ull) *
	       sizeof(struct latency_sum[LANE_USES]);
}

int recent_create(struct recent *recent, const struct lane_pool *pool)
{
	*recent = (struct recent){ .pool = pool };
	pthread_mutex_init(&recent->lock, NULL);
	recent->older.sums = calloc(1, note_bytes(recent));
	recent->newer.sums = calloc(1, note_bytes(recent));
	if (!recent->older.sums || !recent->newer.sums) {
		recent_destroy(recent);
		return -ENOMEM;
	}
	recent->older.at_ns = recent->newer.at_ns = clock_now_ns();
	return 0;
}

void recent_destroy(struct recent *recent)
{
	if (!recent->pool)
		return;
	free(recent->older.sums);
	free(recent->newer.sums);
	pthread_mutex_destroy(&recent->lock);
	*recent = (struct recent){ 0 };
}

uint64_t recent_memory_bytes(const struct recent *recent)
{
	return recent->pool ? 2 * note_bytes(recent) : 0;
}

static void take_note(struct recent *recent)
{
	const struct lane_pool *pool = recent->pool;
	struct recent_note note = recent->older;

	note.at_ns = clock_now_ns();
	for (int use = 0; use < LANE_USES; use++) {
		for (uint32_t i = 0; i < pool->config.servers; i++)
			sum_latency(pool, i, (enum lane_use)use,
				    &note.sums[i][use]);
		sum_latency(pool, RECENT_REQUESTS, (enum lane_use)use,
			    &note.sums[pool->config.servers][use]);
	}
	recent->older = recent->newer;
	recent->newer = note;
}

void recent_turn(struct recent *recent)
{
	/* A reader may be an ordinary thread that waits for a processor. */
	if (pthread_mutex_trylock(&recent->lock))
		return;
	if (clock_left_ns(recent->newer.at_ns + RECENT_NS) == 0)
		take_note(recent);
	pthread_mutex_unlock(&recent->lock);
}

uint64_t recent_sum(struct recent *recent, uint32_t subject, enum lane_use use,
		    struct latency_sum *sum)
{
	uint64_t ns;

	sum_latency(recent->pool, subject, use, sum);
	pthread_mutex_lock(&recent->lock);
	latency_subtract(sum, &recent->older.sums[place(recent, subject)][use]);
	ns = clock_now_ns() - recent->older.at_ns;
	pthread_mutex_unlock(&recent->lock);
	return ns;
}

static void forget(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, 0, memory_order_relaxed);
}

void figures_forget(const struct lane_pool *pool, struct recent *recent,
		    uint32_t server)
{
	pthread_mutex_lock(&recent->lock);
	for (int use = 0; use < LANE_USES; use++) {
		for (uint32_t i = 0; i < pool->n; i++) {
			struct lane_transfers *t =
				&pool->lanes[i]
					 .counters->transfers[server][use];

			latency_forget(&t->latency);
			forget(&t->bytes);
			forget(&t->errors);
		}
		memset(&recent->older.sums[server][use], 0,
		       sizeof recent->older.sums[server][use]);
		memset(&recent->newer.sums[server][use], 0,
		       sizeof recent->newer.sums[server][use]);
	}
	pthread_mutex_unlock(&recent->lock);
}
