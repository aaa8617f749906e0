#include "slab.h"

#include <errno.h>
#include <string.h>

#include "clock.h"
#include "transport/memory.h"

/* word: the state in the low bits, references above it. */
#define STATE_BITS 2u
#define STATE_MASK ((1u << STATE_BITS) - 1)
#define ONE_REF	   (1u << STATE_BITS)

static enum slab_state state_of(uint32_t word)
{
	return (enum slab_state)(word & STATE_MASK);
}

/* How the table's memory is laid out: slabs, shards, stale bits. */
static uint64_t layout(struct slab_table *table)
{
	uint64_t shards = table->n * table->n_shards;

	table->stale_words = (table->geometry.slab_pages + 63) / 64;
	return table->n * sizeof(struct slab) +
	       shards * sizeof(struct slab_shard) +
	       shards * table->stale_words * sizeof(uint64_t);
}

static void lay_out(struct slab_table *table)
{
	struct slab_shard *shard;
	_Atomic uint64_t *stale;

	table->slabs = table->memory;
	table->shards = (struct slab_shard *)(table->slabs + table->n);
	shard = table->shards;
	stale = (_Atomic uint64_t *)(shard + table->n * table->n_shards);
	for (uint64_t i = 0; i < table->n; i++) {
		table->slabs[i].shards = shard;
		for (uint32_t j = 0; j < table->n_shards; j++, shard++) {
			shard->stale = stale;
			stale += table->stale_words;
		}
	}
}

int slab_table_create(struct slab_table *table, struct slab_geometry geometry,
		      uint32_t n_shards, struct error *why)
{
	memset(table, 0, sizeof *table);
	table->geometry = geometry;
	table->n_shards = n_shards;
	table->n = geometry_slabs(&geometry);
	table->memory_bytes = layout(table);
	table->memory =
		pages_map_table("a slab table", table->memory_bytes, why);
	if (!table->memory)
		return -errno;
	lay_out(table);
	pthread_mutex_init(&table->lock, NULL);
	clock_cond_init(&table->changed);
	return 0;
}

void slab_table_destroy(struct slab_table *table)
{
	if (!table->memory)
		return;
	pages_unmap(table->memory, table->memory_bytes);
	pthread_cond_destroy(&table->changed);
	pthread_mutex_destroy(&table->lock);
	memset(table, 0, sizeof *table);
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
	/* Release: the thread that finds no references left sees this request's
	 * changes of present_pages. */
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
	/* The state is read once in each round, because another change may
	 * begin without the lock.  This thread does not wait for that change.
	 */
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

/* Ends ALLOCATING or CLOSING.  In these states only the caller may change the
 * word. */
static void settle(struct slab_table *table, struct slab *slab,
		   enum slab_state state)
{
	pthread_mutex_lock(&table->lock);
	atomic_store(&slab->word, state);
	pthread_cond_broadcast(&table->changed);
	pthread_mutex_unlock(&table->lock);
}

void slab_finish_alloc(struct slab_table *table, struct slab *slab)
{
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

/* From LIVE to CLOSING, also while requests are in the slab. */
static bool begin_close(struct slab *slab)
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

static bool has_requests(const struct slab *slab)
{
	return atomic_load(&slab->word) >= ONE_REF;
}

/* How often to check whether the last request has left a slab. */
#define LEAVE_POLL_NS (NS_PER_MS / 4)

/* How long to wait at a time for the thread that changes the slab. */
#define CHANGE_NS (100 * NS_PER_MS)

bool slab_close(struct slab_table *table, struct slab *slab)
{
	while (!begin_close(slab)) {
		enum slab_state state = slab_state(slab);

		if (state == SLAB_UNMAPPED || state == SLAB_ALLOCATING)
			return false;
		slab_wait(table, slab, clock_now_ns() + CHANGE_NS);
	}
	while (has_requests(slab))
		clock_sleep_ns(LEAVE_POLL_NS);
	return true;
}

void slab_finish_close(struct slab_table *table, struct slab *slab,
		       enum slab_state state)
{
	settle(table, slab, state);
}

/* --- shards --- */

/* Sets or clears one bit, and keeps the count. */
static void mark_chunk(struct slab_shard *shard, uint32_t chunk, bool stale)
{
	_Atomic uint64_t *word = &shard->stale[chunk / 64];
	uint64_t bit = UINT64_C(1) << chunk % 64;
	bool was = (stale ? atomic_fetch_or(word, bit)
			  : atomic_fetch_and(word, ~bit)) &
		   bit;

	if (was != stale)
		atomic_fetch_add(&shard->stale_chunks, stale ? 1 : -1u);
}

void shard_mark(struct slab_shard *shard, uint32_t chunk, uint32_t n,
		bool stale)
{
	/* Most of the time no chunk is stale. */
	if (!stale && atomic_load(&shard->stale_chunks) == 0)
		return;
	for (uint32_t i = 0; i < n; i++)
		mark_chunk(shard, chunk + i, stale);
}

void shard_mark_all_current(struct slab_table *table, struct slab_shard *shard)
{
	memset((void *)shard->stale, 0, table->stale_words * sizeof(uint64_t));
	atomic_store(&shard->stale_chunks, 0);
}

uint32_t shard_next_stale(const struct slab_table *table,
			  const struct slab_shard *shard, uint32_t chunk)
{
	uint32_t end = table->geometry.slab_pages;

	while (chunk < end) {
		uint64_t bits =
			atomic_load(&shard->stale[chunk / 64]) >> chunk % 64;

		if (bits)
			return chunk + (uint32_t)__builtin_ctzll(bits);
		chunk = (chunk / 64 + 1) * 64;
	}
	return end;
}

struct slab_shard *slab_unused_shard(const struct slab_table *table,
				     struct slab *slab)
{
	for (uint32_t i = 0; i < table->n_shards; i++) {
		if (shard_state(&slab->shards[i]) == SHARD_NONE)
			return &slab->shards[i];
	}
	return NULL;
}

uint32_t slab_holders(const struct slab_table *table, const struct slab *slab,
		      uint32_t chunk)
{
	uint32_t holders = 0;

	for (uint32_t i = 0; i < table->n_shards; i++) {
		const struct slab_shard *shard = &slab->shards[i];

		if (shard_is_live(shard) && !shard_is_stale(shard, chunk))
			holders |= 1u << i;
	}
	return holders;
}

uint32_t slab_indexes_of_chunk(const struct slab_table *table,
			       const struct slab *slab, uint32_t chunk)
{
	return slab_indexes(slab, slab_holders(table, slab, chunk));
}
