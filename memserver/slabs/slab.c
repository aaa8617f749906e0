#include "slab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "clock.h"
#include "log.h"
#include "loops/container.h"
#include "slab_memory.h"

static void stock_fill_run(struct work *work);

/* --- the pool --- */

int slab_pool_open(struct slab_pool *pool,
		   const struct slab_pool_config *config,
		   struct workq *preparer, struct error *why)
{
	uint64_t count = config->memory_bytes / config->slab_bytes;
	int err;

	if (count > UINT32_MAX - 1) {
		error_set(why, "too many slabs: use a larger --slab-size");
		return -EINVAL;
	}
	*pool = (struct slab_pool){
		.slab_bytes = config->slab_bytes,
		.count = (uint32_t)count,
		.hugepages = config->hugepages,
		.stock_target = config->stock,
		.preparer = preparer,
		.fill = { .run = stock_fill_run },
	};
	if (getrandom(&pool->label_key, sizeof pool->label_key, 0) !=
	    sizeof pool->label_key) {
		error_set(why, "no random numbers: %s", strerror(errno));
		return -EIO;
	}
	err = slab_memory_reserve(pool, why);
	if (err)
		return err;
	pool->slabs = calloc(pool->count, sizeof *pool->slabs);
	pool->by_label = calloc(pool->count, sizeof *pool->by_label);
	if (!pool->slabs || !pool->by_label) {
		error_set(why, "no memory for the table of %u slabs",
			  pool->count);
		slab_memory_unreserve(pool);
		free(pool->slabs);
		free(pool->by_label);
		return -ENOMEM;
	}
	pthread_mutex_init(&pool->lock, NULL);
	return 0;
}

void slab_pool_wind_up(struct slab_pool *pool)
{
	atomic_store_explicit(&pool->closing, true, memory_order_relaxed);
}

void slab_pool_close(struct slab_pool *pool)
{
	slab_memory_unreserve(pool);
	pthread_mutex_destroy(&pool->lock);
	free(pool->slabs);
	free(pool->by_label);
}

/* Under pool->lock. */
static bool has_empty(const struct slab_pool *pool)
{
	return pool->empty || pool->touched < pool->count;
}

static void release_run(struct work *work);
static void dropped_deliver(struct mail *mail);

static struct slab *take_empty(struct slab_pool *pool)
{
	struct slab *slab;
	bool fresh = false;

	pthread_mutex_lock(&pool->lock);
	slab = pool->empty;
	if (slab) {
		pool->empty = slab->next;
	} else if (pool->touched < pool->count) {
		slab = &pool->slabs[pool->touched];
		slab->number = pool->touched++;
		fresh = true;
	}
	pthread_mutex_unlock(&pool->lock);
	if (fresh) {
		slab->pool = pool;
		slab->memory = pool->base + slab->number * pool->slab_bytes;
		slab->release.run = release_run;
		slab->dropped.deliver = dropped_deliver;
	}
	return slab;
}

static void put_empty(struct slab *slab)
{
	struct slab_pool *pool = slab->pool;

	pthread_mutex_lock(&pool->lock);
	slab->next = pool->empty;
	pool->empty = slab;
	pthread_mutex_unlock(&pool->lock);
}

struct slab *slab_take_ready(struct slab_pool *pool)
{
	struct slab *slab;

	pthread_mutex_lock(&pool->lock);
	slab = pool->stock;
	if (slab) {
		pool->stock = slab->next;
		pool->stocked--;
	}
	pthread_mutex_unlock(&pool->lock);
	if (slab)
		slab_stock_fill(pool);
	return slab;
}

/* A newly populated slab. */
static int take_fresh(struct slab_pool *pool, struct slab **taken)
{
	struct slab *slab = take_empty(pool);
	int err;

	if (!slab)
		return -ENOSPC;
	err = slab_memory_populate(slab);
	if (err) {
		put_empty(slab);
		return err;
	}
	*taken = slab;
	return 0;
}

int slab_take(struct slab_pool *pool, struct slab **slab)
{
	*slab = slab_take_ready(pool);
	return *slab ? 0 : take_fresh(pool, slab);
}

/* A client may still reach the slab from outside, so no other session gets it.
 */
static void keep_for_good(struct slab *slab)
{
	struct slab_pool *pool = slab->pool;

	log_error("slab %u stays registered, so it is not granted again",
		  slab->number);
	pthread_mutex_lock(&pool->lock);
	pool->owned++;
	pool->lost++;
	pthread_mutex_unlock(&pool->lock);
}

/* Work without `done`: put_empty makes the slab the pool's again at once. */
static void release_run(struct work *work)
{
	struct slab *slab = container_of(work, struct slab, release);
	struct slab_pool *pool = slab->pool;

	if (slab->region && slab->unregister(slab->region) < 0) {
		keep_for_good(slab);
		return;
	}
	slab->region = NULL;
	if (atomic_load_explicit(&pool->closing, memory_order_relaxed))
		return; /* the memory goes with the process */
	slab_memory_release(slab);
	put_empty(slab);
	slab_stock_fill(pool);
}

void slab_put_back(struct slab *slab)
{
	workq_submit(slab->pool->preparer, &slab->release);
}

/* --- the stock --- */

/* One slab at a time, so that work which a client waits for comes in between.
 * When memory is short, the next attempt waits until a slab is taken or given
 * back. */
static void stock_fill_run(struct work *work)
{
	struct slab_pool *pool = container_of(work, struct slab_pool, fill);
	struct slab *slab = NULL;
	int err = take_fresh(pool, &slab);

	pthread_mutex_lock(&pool->lock);
	if (slab) {
		slab->next = pool->stock;
		pool->stock = slab;
		pool->stocked++;
	}
	pool->filling = false;
	pthread_mutex_unlock(&pool->lock);
	if (!err)
		slab_stock_fill(pool);
}

void slab_stock_fill(struct slab_pool *pool)
{
	bool fill;

	pthread_mutex_lock(&pool->lock);
	fill = !pool->closing && !pool->filling &&
	       pool->stocked < pool->stock_target && has_empty(pool);
	if (fill)
		pool->filling = true;
	pthread_mutex_unlock(&pool->lock);
	if (fill)
		workq_submit(pool->preparer, &pool->fill);
}

/* --- owning and holding --- */

#define OWNER_SHIFT 32
#define USERS_MASK  UINT32_MAX

static uint32_t owner_of(const struct slab *slab)
{
	return (uint32_t)(atomic_load_explicit(&slab->hold,
					       memory_order_relaxed) >>
			  OWNER_SHIFT);
}

/* Clients choose labels.  One that could choose many for the same chain would
 * have the main loop walk along it for all others. */
static struct slab_chain *label_chain(struct slab_pool *pool, uint32_t owner,
				      uint64_t label)
{
	return &pool->by_label[siphash(&pool->label_key, owner, label) %
			       pool->count];
}

struct slab *slab_find_label(struct slab_pool *pool, uint32_t owner,
			     uint64_t label)
{
	struct slab *slab;

	LIST_FOREACH(slab, label_chain(pool, owner, label), chained)
	{
		if (slab->label == label && owner_of(slab) == owner)
			return slab;
	}
	return NULL;
}

void slab_own(struct slab *slab, uint32_t owner, uint64_t label)
{
	struct slab_pool *pool = slab->pool;

	slab->label = label;
	LIST_INSERT_HEAD(label_chain(pool, owner, label), slab, chained);
	pthread_mutex_lock(&pool->lock);
	pool->owned++;
	pthread_mutex_unlock(&pool->lock);
	/* release: the zeros are there before a user can hold the slab */
	atomic_store_explicit(&slab->hold, (uint64_t)owner << OWNER_SHIFT,
			      memory_order_release);
}

/* Queues first: work that is queued after the count fell can have the slab. */
static void unowned(struct slab *slab)
{
	struct slab_pool *pool = slab->pool;

	slab_put_back(slab);
	pthread_mutex_lock(&pool->lock);
	pool->owned--;
	pthread_mutex_unlock(&pool->lock);
}

bool slab_disown(struct slab *slab)
{
	uint64_t before;

	LIST_REMOVE(slab, chained);
	atomic_store_explicit(&slab->freed_ns, clock_now_ns(),
			      memory_order_relaxed);
	before = atomic_fetch_and_explicit(&slab->hold, USERS_MASK,
					   memory_order_acq_rel);
	if (before & USERS_MASK)
		return true;
	unowned(slab);
	return false;
}

/* Main loop: the last user has dropped the slab. */
static void dropped_deliver(struct mail *mail)
{
	struct slab *slab = container_of(mail, struct slab, dropped);

	unowned(slab);
	if (slab->unheld)
		slab->unheld(slab);
}

bool slab_freed_before(const struct slab *slab, uint32_t owner,
		       uint64_t before_ns)
{
	/* acquire: the time was written before the owner was taken away */
	uint64_t hold = atomic_load_explicit(&slab->hold, memory_order_acquire);

	return hold >> OWNER_SHIFT != owner &&
	       atomic_load_explicit(&slab->freed_ns, memory_order_relaxed) <
		       before_ns;
}

struct slab *slab_hold(struct slab_pool *pool, uint32_t number, uint32_t owner)
{
	struct slab *slab;
	uint64_t hold;

	if (number >= pool->count)
		return NULL;
	slab = &pool->slabs[number];
	hold = atomic_load_explicit(&slab->hold, memory_order_relaxed);
	do {
		if (hold >> OWNER_SHIFT != owner)
			return NULL;
	} while (!atomic_compare_exchange_weak_explicit(
		&slab->hold, &hold, hold + 1, memory_order_acquire,
		memory_order_relaxed));
	return slab;
}

void slab_drop(struct slab *slab)
{
	/* release: the last accesses of this user come before the bytes go */
	if (atomic_fetch_sub_explicit(&slab->hold, 1, memory_order_acq_rel) ==
	    1)
		/* The slab has no owner, and this was the last user. */
		mailbox_post(slab->pool->preparer->done_box, &slab->dropped);
}

struct slab *slab_find(struct slab_pool *pool, uint32_t number, uint32_t owner)
{
	if (number >= pool->count || owner_of(&pool->slabs[number]) != owner)
		return NULL;
	return &pool->slabs[number];
}

uint32_t slab_pool_usable(struct slab_pool *pool)
{
	uint32_t lost;

	pthread_mutex_lock(&pool->lock);
	lost = pool->lost;
	pthread_mutex_unlock(&pool->lock);
	return pool->count - lost;
}

struct slab_figures slab_pool_figures(struct slab_pool *pool)
{
	struct slab_figures figures = { .total = pool->count };

	pthread_mutex_lock(&pool->lock);
	figures.used = pool->owned;
	figures.stock = pool->stocked;
	pthread_mutex_unlock(&pool->lock);
	figures.free_bytes =
		(uint64_t)(figures.total - figures.used) * pool->slab_bytes;
	return figures;
}
