#include "slab.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "clock.h"

/* word: the state in the low bits, references above it. */
#define STATE_BITS 2u
#define STATE_MASK ((1u << STATE_BITS) - 1)
#define ONE_REF	   (1u << STATE_BITS)

static enum slab_state state_of(uint32_t word)
{
	return (enum slab_state)(word & STATE_MASK);
}

struct slab_geometry slab_geometry(uint64_t slab_bytes, uint32_t unit_bytes)
{
	return (struct slab_geometry){
		.slab_bytes = slab_bytes,
		.unit_bytes = unit_bytes,
		.slab_pages = (uint32_t)(slab_bytes / unit_bytes),
	};
}

static size_t table_bytes(const struct slab_table *table)
{
	return table->n * sizeof *table->slabs;
}

int slab_table_create(struct slab_table *table, uint64_t pages,
		      struct slab_geometry geometry, struct reason *why)
{
	pthread_condattr_t attr;

	memset(table, 0, sizeof *table);
	table->geometry = geometry;
	table->n = (pages + geometry.slab_pages - 1) / geometry.slab_pages;
	table->slabs = mmap(NULL, table_bytes(table), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (table->slabs == MAP_FAILED) {
		table->slabs = NULL;
		reason_set(why, "a slab table of %zu bytes: %s",
			   table_bytes(table), strerror(errno));
		return -errno;
	}
	pthread_mutex_init(&table->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&table->changed, &attr);
	pthread_condattr_destroy(&attr);
	return 0;
}

void slab_table_destroy(struct slab_table *table)
{
	if (!table->slabs)
		return;
	munmap(table->slabs, table_bytes(table));
	pthread_cond_destroy(&table->changed);
	pthread_mutex_destroy(&table->lock);
	table->slabs = NULL;
}

enum slab_state slab_state(const struct slab *slab)
{
	return state_of(atomic_load(&slab->word));
}

enum slab_state slab_enter(struct slab *slab)
{
	uint32_t word = atomic_load_explicit(&slab->word, memory_order_relaxed);

	while (state_of(word) == SLAB_LIVE) {
		if (atomic_compare_exchange_weak_explicit(
			    &slab->word, &word, word + ONE_REF,
			    memory_order_acquire, memory_order_relaxed))
			return SLAB_LIVE;
	}
	return state_of(word);
}

void slab_leave(struct slab *slab)
{
	/* Release: what the request did to present_pages is seen by whoever
	 * finds no references left. */
	atomic_fetch_sub_explicit(&slab->word, ONE_REF, memory_order_release);
}

static bool changing(const struct slab *slab)
{
	enum slab_state state = slab_state(slab);

	return state == SLAB_ALLOCATING || state == SLAB_CLOSING;
}

int slab_wait(struct slab_table *table, struct slab *slab, uint64_t deadline_ns)
{
	struct timespec until = clock_timespec(deadline_ns);
	bool wait;
	int rc = 0;

	pthread_mutex_lock(&table->lock);
	/* Looked at once a round: a change may begin without the lock, and the
	 * next one is not what was waited for. */
	while ((wait = changing(slab)) && rc != ETIMEDOUT)
		rc = pthread_cond_timedwait(&table->changed, &table->lock,
					    &until);
	pthread_mutex_unlock(&table->lock);
	return wait ? -ETIMEDOUT : 0;
}

bool slab_begin_alloc(struct slab *slab)
{
	uint32_t word = SLAB_UNMAPPED;

	return atomic_compare_exchange_strong(&slab->word, &word,
					      SLAB_ALLOCATING);
}

/* Ends ALLOCATING or CLOSING, where the caller alone may change the word. */
static void settle(struct slab_table *table, struct slab *slab,
		   enum slab_state state)
{
	pthread_mutex_lock(&table->lock);
	atomic_store(&slab->word, state);
	pthread_cond_broadcast(&table->changed);
	pthread_mutex_unlock(&table->lock);
}

void slab_finish_alloc(struct slab_table *table, struct slab *slab,
		       uint32_t peer, const struct remote_slab *remote)
{
	slab->peer = peer;
	slab->remote = *remote;
	slab->empty_ticks = 0;
	atomic_fetch_add(&slab->generation, 1);
	settle(table, slab, SLAB_LIVE);
}

void slab_cancel_alloc(struct slab_table *table, struct slab *slab)
{
	settle(table, slab, SLAB_UNMAPPED);
}

bool slab_begin_free(struct slab *slab)
{
	uint32_t word = SLAB_LIVE;

	return atomic_compare_exchange_strong(&slab->word, &word, SLAB_CLOSING);
}

bool slab_begin_lose(struct slab *slab)
{
	uint32_t word = atomic_load(&slab->word);

	while (state_of(word) == SLAB_LIVE) {
		if (atomic_compare_exchange_weak(&slab->word, &word,
						 (word & ~STATE_MASK) |
							 SLAB_CLOSING))
			return true;
	}
	return false;
}

bool slab_entered(const struct slab *slab)
{
	return atomic_load(&slab->word) >= ONE_REF;
}

void slab_finish_close(struct slab_table *table, struct slab *slab,
		       enum slab_state state)
{
	settle(table, slab, state);
}
