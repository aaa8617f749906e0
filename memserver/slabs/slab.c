#include "slab.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "clock.h"
#include "host.h"
#include "log.h"
#include "size.h"

#ifndef MADV_POPULATE_WRITE /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

#ifndef MADV_DONTNEED_LOCKED /* Linux 5.18 */
#define MADV_DONTNEED_LOCKED 24
#endif

/* At a time: a slab size and this are powers of two. */
#define POPULATE_BYTES (8ull << 20)

static void stock_fill_run(struct work *work);

/* --- memory of one slab --- */

/* The range stays locked, where the kernel can do that, so that it is of one
 * piece with its neighbours for ever: a process has 65,530 pieces
 * (vm.max_map_count), and slabs that are locked and unlocked by turns would use
 * them up, two for each slab. */
static void give_memory_back(struct slab *slab)
{
	struct slab_pool *pool = slab->pool;

	if (!pool->hugepages &&
	    madvise(slab->memory, pool->slab_bytes, MADV_DONTNEED_LOCKED) == 0)
		return;
	if (!pool->hugepages)
		munlock(slab->memory, pool->slab_bytes);
	/* Failing would leave one session's bytes for the next one. */
	if (madvise(slab->memory, pool->slab_bytes, MADV_DONTNEED) < 0) {
		log_error("cannot give slab %u back (%s): zeroing it",
			  slab->number, strerror(errno));
		memset(slab->memory, 0, pool->slab_bytes);
	}
}

/* MADV_POPULATE_WRITE reports what a plain touch would turn into a signal.
 * mlock(2) populates as well, where the kernel is too old for it. */
static int populate_part(const struct slab_pool *pool, uint8_t *memory,
			 uint64_t bytes)
{
	bool populated = madvise(memory, bytes, MADV_POPULATE_WRITE) == 0;

	if (!populated && errno != EINVAL)
		return -errno;
	if ((!populated || !pool->hugepages) && mlock(memory, bytes) < 0)
		return -errno;
	return 0;
}

/* In parts, with a look at what is left before each: others take memory too,
 * and the kernel does not refuse what is too much, but kills. */
static int populate(struct slab *slab, struct error *why)
{
	struct slab_pool *pool = slab->pool;
	uint64_t part_bytes = pool->slab_bytes;
	uint64_t done_bytes = 0;
	int err = 0;

	if (!pool->hugepages && part_bytes > POPULATE_BYTES)
		part_bytes = POPULATE_BYTES;
	/* no part where not all will fit */
	if (!pool->hugepages && !host_has_memory(pool->slab_bytes, why))
		return -ENOMEM;
	while (!err && done_bytes < pool->slab_bytes) {
		if (done_bytes && !host_has_memory(part_bytes, why)) {
			err = -ENOMEM;
			break;
		}
		err = populate_part(pool, slab->memory + done_bytes,
				    part_bytes);
		if (err)
			error_set(why, "%s", strerror(-err));
		done_bytes += part_bytes;
	}
	if (err)
		give_memory_back(slab);
	return err;
}

/* One line when memory begins to be refused, and one when it comes again. */
static void tell_shortage(struct slab_pool *pool, int err,
			  const struct error *why)
{
	bool now_short = err != 0;

	if (pool->short_of_memory == now_short)
		return;
	pool->short_of_memory = now_short;
	if (now_short)
		log_error("cannot populate a slab of %s: %s; clients are "
			  "refused until that changes",
			  size_format(pool->slab_bytes).text, why->text);
	else
		log_notice("slabs can be populated again");
}

static int prepare(struct slab *slab)
{
	struct error why;
	int err = populate(slab, &why);

	tell_shortage(slab->pool, err, &why);
	return err ? -ENOMEM : 0;
}

/* --- the pool --- */

/* Aligned to slabs, so that transparent huge pages fit. */
static int reserve(struct slab_pool *pool, struct error *why)
{
	uint64_t bytes = pool->count * pool->slab_bytes;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	uintptr_t start;

	if (pool->hugepages)
		flags |= MAP_HUGETLB; /* reserves the huge pages as well */
	else
		flags |= MAP_NORESERVE;
	pool->mapped_bytes = bytes + (pool->hugepages ? 0 : pool->slab_bytes);
	pool->mapped = mmap(NULL, pool->mapped_bytes, PROT_READ | PROT_WRITE,
			    flags, -1, 0);
	if (pool->mapped == MAP_FAILED) {
		int err = errno;

		error_set(why, "--memory=%s: cannot reserve as much %s: %s",
			  size_format(bytes).text,
			  pool->hugepages ? "huge pages" : "address space",
			  strerror(err));
		return -err;
	}
	start = (uintptr_t)pool->mapped;
	if (!pool->hugepages)
		start = (start + pool->slab_bytes - 1) &
			~(uintptr_t)(pool->slab_bytes - 1);
	pool->base = (uint8_t *)start;
	/* Other machines' pages have no place in a core dump. */
	madvise(pool->base, bytes, MADV_DONTDUMP);
	if (!pool->hugepages)
		madvise(pool->base, bytes, MADV_HUGEPAGE);
	return 0;
}

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
	err = reserve(pool, why);
	if (err)
		return err;
	pool->slabs = calloc(pool->count, sizeof *pool->slabs);
	pool->by_label = calloc(pool->count, sizeof *pool->by_label);
	if (!pool->slabs || !pool->by_label) {
		error_set(why, "no memory for the table of %u slabs",
			  pool->count);
		munmap(pool->mapped, pool->mapped_bytes);
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
	munmap(pool->mapped, pool->mapped_bytes);
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
		list_init(&slab->owned);
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
	err = prepare(slab);
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

/* Somebody may still reach it from outside: nobody else may have it. */
static void keep_for_good(struct slab *slab)
{
	struct slab_pool *pool = slab->pool;

	log_error("slab %u stays registered: it is not handed out again",
		  slab->number);
	pthread_mutex_lock(&pool->lock);
	pool->owned++;
	pthread_mutex_unlock(&pool->lock);
}

/* Work without `done`: the slab is the pool's again as soon as this says so. */
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
		return; /* all goes at once, with the process */
	give_memory_back(slab);
	put_empty(slab);
	slab_stock_fill(pool);
}

void slab_put_back(struct slab *slab)
{
	workq_submit(slab->pool->preparer, &slab->release);
}

/* --- the stock --- */

/* One slab at a time, so that work which somebody waits for gets in between.
 * Where memory is short it is not tried again before something changes. */
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

/* Clients choose labels and mostly count; sessions that have the same ones must
 * not meet in one chain. */
static struct slab **label_chain(struct slab_pool *pool, uint32_t owner,
				 uint64_t label)
{
	uint64_t hash = (label ^ (uint64_t)owner << OWNER_SHIFT) *
			UINT64_C(0x9e3779b97f4a7c15);

	return &pool->by_label[(hash ^ hash >> 32) % pool->count];
}

struct slab *slab_find_label(struct slab_pool *pool, uint32_t owner,
			     uint64_t label)
{
	struct slab *slab = *label_chain(pool, owner, label);

	while (slab && (slab->label != label || owner_of(slab) != owner))
		slab = slab->next_label;
	return slab;
}

static void add_label(struct slab *slab, uint32_t owner, uint64_t label)
{
	struct slab **chain = label_chain(slab->pool, owner, label);

	slab->label = label;
	slab->next_label = *chain;
	*chain = slab;
}

static void remove_label(struct slab *slab)
{
	struct slab **at = label_chain(slab->pool, owner_of(slab), slab->label);

	while (*at != slab)
		at = &(*at)->next_label;
	*at = slab->next_label;
}

void slab_own(struct slab *slab, uint32_t owner, uint64_t label)
{
	struct slab_pool *pool = slab->pool;

	add_label(slab, owner, label);
	pthread_mutex_lock(&pool->lock);
	pool->owned++;
	pthread_mutex_unlock(&pool->lock);
	/* release: the zeros are there before anybody can hold it */
	atomic_store_explicit(&slab->hold, (uint64_t)owner << OWNER_SHIFT,
			      memory_order_release);
}

/* Queued first: what is counted as free can be had by work queued later. */
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

	remove_label(slab);
	atomic_store_explicit(&slab->freed_ns, clock_now_ns(),
			      memory_order_relaxed);
	before = atomic_fetch_and_explicit(&slab->hold, USERS_MASK,
					   memory_order_acq_rel);
	if (before & USERS_MASK)
		return true;
	unowned(slab);
	return false;
}

/* Main loop: the last user has dropped it. */
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
	/* release: what this user did to the bytes comes before their end */
	if (atomic_fetch_sub_explicit(&slab->hold, 1, memory_order_acq_rel) ==
	    1)
		/* no owner, and this was the last user */
		mailbox_post(slab->pool->preparer->done_box, &slab->dropped);
}

struct slab *slab_find(struct slab_pool *pool, uint32_t number, uint32_t owner)
{
	if (number >= pool->count || owner_of(&pool->slabs[number]) != owner)
		return NULL;
	return &pool->slabs[number];
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
