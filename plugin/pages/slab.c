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

struct slab_geometry slab_geometry(uint64_t slab_bytes, uint32_t unit_bytes)
{
	return (struct slab_geometry){
		.slab_bytes = slab_bytes,
		.unit_bytes = unit_bytes,
		.slab_pages = (uint32_t)(slab_bytes / unit_bytes),
	};
}

/* How the table's memory is laid out: slabs, parts, stale bits. */
static uint64_t layout(struct slab_table *table)
{
	uint64_t parts = table->n * table->n_parts;

	table->stale_words = (table->geometry.slab_pages + 63) / 64;
	return table->n * sizeof(struct slab) +
	       parts * sizeof(struct slab_part) +
	       parts * table->stale_words * sizeof(uint64_t);
}

static void lay_out(struct slab_table *table)
{
	struct slab_part *part;
	_Atomic uint64_t *stale;

	table->slabs = table->memory;
	part = (struct slab_part *)(table->slabs + table->n);
	stale = (_Atomic uint64_t *)(part + table->n * table->n_parts);
	for (uint64_t i = 0; i < table->n; i++) {
		table->slabs[i].parts = part;
		for (uint32_t j = 0; j < table->n_parts; j++, part++) {
			part->slab = &table->slabs[i];
			part->stale = stale;
			stale += table->stale_words;
		}
	}
}

int slab_table_create(struct slab_table *table, uint64_t pages,
		      struct slab_geometry geometry, uint32_t n_parts,
		      struct reason *why)
{
	memset(table, 0, sizeof *table);
	table->geometry = geometry;
	table->n_parts = n_parts;
	table->n = (pages + geometry.slab_pages - 1) / geometry.slab_pages;
	table->memory_bytes = layout(table);
	table->memory = pages_map(table->memory_bytes);
	if (!table->memory) {
		reason_set(why, "a slab table of %llu bytes: %s",
			   (unsigned long long)table->memory_bytes,
			   strerror(errno));
		return -errno;
	}
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

bool slab_begin_close(struct slab *slab)
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

/* How often to look whether the last request has left a slab. */
#define LEAVE_POLL_NS (NS_PER_MS / 4)

/* How long to wait at a time for those who change it. */
#define CHANGE_NS (100 * NS_PER_MS)

bool slab_close(struct slab_table *table, struct slab *slab)
{
	while (!slab_begin_close(slab)) {
		enum slab_state state = slab_state(slab);

		if (state == SLAB_UNMAPPED || state == SLAB_ALLOCATING)
			return false;
		slab_wait(table, slab, clock_now_ns() + CHANGE_NS);
	}
	while (slab_entered(slab))
		clock_sleep_ns(LEAVE_POLL_NS);
	return true;
}

void slab_finish_close(struct slab_table *table, struct slab *slab,
		       enum slab_state state)
{
	settle(table, slab, state);
}

/* --- parts --- */

/* Sets or clears one bit, and keeps the count. */
static void mark_unit(struct slab_part *part, uint32_t unit, bool stale)
{
	_Atomic uint64_t *word = &part->stale[unit / 64];
	uint64_t bit = UINT64_C(1) << unit % 64;
	bool was = (stale ? atomic_fetch_or(word, bit)
			  : atomic_fetch_and(word, ~bit)) &
		   bit;

	if (was != stale)
		atomic_fetch_add(&part->stale_units, stale ? 1 : -1u);
}

void part_mark(struct slab_part *part, uint32_t unit, uint32_t n, bool stale)
{
	/* Nothing is stale, most of the time. */
	if (!stale && atomic_load(&part->stale_units) == 0)
		return;
	for (uint32_t i = 0; i < n; i++)
		mark_unit(part, unit + i, stale);
}

void part_mark_all_current(struct slab_table *table, struct slab_part *part)
{
	memset((void *)part->stale, 0, table->stale_words * sizeof(uint64_t));
	atomic_store(&part->stale_units, 0);
}

uint32_t part_next_stale(const struct slab_table *table,
			 const struct slab_part *part, uint32_t unit)
{
	uint32_t end = table->geometry.slab_pages;

	while (unit < end) {
		uint64_t bits =
			atomic_load(&part->stale[unit / 64]) >> unit % 64;

		if (bits)
			return unit + (uint32_t)__builtin_ctzll(bits);
		unit = (unit / 64 + 1) * 64;
	}
	return end;
}

struct slab_part *slab_unused_part(const struct slab_table *table,
				   struct slab *slab)
{
	for (uint32_t i = 0; i < table->n_parts; i++) {
		if (part_state(&slab->parts[i]) == PART_NONE)
			return &slab->parts[i];
	}
	return NULL;
}

uint32_t slab_rows_of_unit(const struct slab_table *table,
			   const struct slab *slab, uint32_t unit)
{
	uint32_t rows = 0;

	for (uint32_t i = 0; i < table->n_parts; i++) {
		const struct slab_part *part = &slab->parts[i];

		if (part_is_live(part) && !part_is_stale(part, unit))
			rows |= 1u << part->row;
	}
	return (uint32_t)__builtin_popcount(rows);
}
