/* The slab table: where each slab of the device is kept.
 *
 * A slab has shards, each on another server: one, or as many as the redundancy
 * asks for (pages/redundancy/redundancy.h), and one more while a shard is being
 * moved.
 *
 *   UNMAPPED --begin_alloc--> ALLOCATING --finish_alloc--> LIVE
 *      ^                          | (no server took it)      |
 *      +------ cancel_alloc ------+        begin_free, begin_close, close
 *      ^                                                     v
 *      +------------------- finish_close ---------------- CLOSING
 *                                        (or back to LIVE, its shards changed)
 *
 * State and a count of references are one atomic word.  A request enters each
 * slab that it is about to touch.  It gets in only where the slab is LIVE, and
 * holds a reference until it leaves.  Which shards of a LIVE slab are LIVE, and
 * where they are (server, remote, shard index), changes only where the slab is
 * ALLOCATING or CLOSING and no request is in it.  The store of the word
 * (release) publishes the change, and a request reads the shards after it
 * entered (acquire).  So a shard is never freed, lost or given back under a
 * request in flight, and no request waits for a change of one slab while it is
 * in another slab.
 *
 * A shard:
 *
 *   NONE --ask--> ASKED --its server gave a slab--> GIVEN, SPARE --> LIVE
 *    ^              | (refused, or server lost)          |            |
 *    +--------------+---------------------- LEAVING <----+------------+
 *
 * A GIVEN shard is for the thread that allocates the slab
 * (servers/placement.c).  A SPARE shard is for the repairer, which attaches the
 * shard to a slab that is LIVE (repair/repair.c).  Only its server's session
 * takes a shard out of ASKED.  Two ways lead from GIVEN, SPARE and LIVE to
 * NONE.  A thread that gives the shard back sets LEAVING, until the server's
 * slab is queued to be freed.  The session that loses its server sets NONE at
 * once.  The thread that changes the state first wins, and the other does
 * nothing.
 *
 * Stale chunks: chunks that a shard should hold and does not hold, because a
 * write did not reach the shard, or because the shard is new.  Only a thread
 * that has locked the page (pages/pagemap.h) changes the bit of the page's
 * chunk, and it does so before the sequence of the page's byte goes up.  So a
 * reader that saw the old bit notices by the page's version.
 *
 * A slab is freed only where references and present pages are 0 together.  A
 * writer adds its pages to present_pages before it leaves.  So once the word
 * went from (LIVE, 0 references) to CLOSING, present_pages can only fall, and a
 * 0 is final.
 *
 * The lock only serves threads that wait for a state to change.  It is a leaf:
 * no other lock is taken under it.
 *
 * The table knows no transport; SERVER is an index that it only keeps.
 */
#ifndef RSWAP_SLAB_H
#define RSWAP_SLAB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "geometry.h"
#include "transport/transport.h"

enum slab_state {
	SLAB_UNMAPPED,
	SLAB_ALLOCATING,
	SLAB_LIVE,
	SLAB_CLOSING,
};

enum shard_state {
	SHARD_NONE,
	SHARD_ASKED,
	SHARD_GIVEN,
	SHARD_SPARE,
	SHARD_LIVE,
	SHARD_LEAVING,
};

/* The servers that a shard can tell apart, the local fallback included. */
#define SLAB_SERVERS_MAX (UINT8_MAX + 1u)

/* Small, as there may be millions of shards, all in locked memory: hence the
 * narrow members, the union, and slab_of_shard instead of a pointer. */
struct slab_shard {
	_Atomic uint8_t state;	/* enum shard_state */
	_Atomic uint8_t index;	/* which share of each page it holds */
	_Atomic uint8_t server; /* whose memory; read in any state */
	_Atomic bool
		for_repair; /* asked for by the repairer: SPARE, not GIVEN */
	_Atomic uint32_t stale_chunks;
	_Atomic uint64_t *stale; /* a bit for each chunk */
	union {
		struct remote_slab remote;   /* where in it */
		struct slab_shard *next_ask; /* while ASKED: in its queue */
	};
};

_Static_assert(sizeof(struct slab_shard) == 32, "a shard grew");

struct slab {
	_Atomic uint32_t word;	       /* state, references */
	_Atomic int32_t present_pages; /* PRESENT in the page map */
	_Atomic uint32_t generation;   /* how often it became LIVE by alloc */
	_Atomic uint32_t asks;	       /* while ALLOCATING: not yet answered */
	uint32_t empty_ticks;	       /* the repairer's */
	struct slab_shard *shards;     /* [table.n_shards] */
};

struct slab_table {
	struct slab_geometry geometry;
	uint64_t n;
	uint32_t n_shards;	   /* of a slab, one more for a move included */
	struct slab *slabs;	   /* [n] */
	struct slab_shard *shards; /* [n][n_shards] */
	uint64_t stale_words;	   /* of one shard */
	void *memory;		   /* of all of it */
	uint64_t memory_bytes;
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

/* A table for the pages of GEOMETRY, with N_SHARDS shards for each slab.  0 or
 * a negative errno. */
int slab_table_create(struct slab_table *table, struct slab_geometry geometry,
		      uint32_t n_shards, struct error *why);
void slab_table_destroy(struct slab_table *table);

static inline uint64_t slab_of_page(const struct slab_table *table,
				    uint64_t page)
{
	return geometry_slab(&table->geometry, page);
}

/* Which chunk of its slab PAGE is. */
static inline uint32_t slab_chunk_of_page(const struct slab_table *table,
					  uint64_t page)
{
	return geometry_chunk(&table->geometry, page);
}

/* The byte within its slab at which PAGE's chunk begins. */
static inline uint64_t slab_offset_of_page(const struct slab_table *table,
					   uint64_t page)
{
	return slab_chunk_of_page(table, page) *
	       (uint64_t)table->geometry.chunk_bytes;
}

static inline uint64_t slab_number(const struct slab_table *table,
				   const struct slab *slab)
{
	return (uint64_t)(slab - table->slabs);
}

/* The number of the slab that SHARD belongs to. */
static inline uint64_t slab_number_of_shard(const struct slab_table *table,
					    const struct slab_shard *shard)
{
	return (uint64_t)(shard - table->shards) / table->n_shards;
}

static inline struct slab *slab_of_shard(const struct slab_table *table,
					 const struct slab_shard *shard)
{
	return &table->slabs[slab_number_of_shard(table, shard)];
}

enum slab_state slab_state(const struct slab *slab);

/* On the I/O path.  slab_enter returns the state that it found.  Only where the
 * state is SLAB_LIVE is the caller in the slab, and has to leave it. */
enum slab_state slab_enter(struct slab *slab);
void slab_leave(struct slab *slab);

/* Waits while the slab is ALLOCATING or CLOSING.  0 or -ETIMEDOUT. */
int slab_wait(struct slab_table *table, struct slab *slab,
	      uint64_t deadline_ns);

/* From UNMAPPED to ALLOCATING.  True for the one caller that has to allocate
 * the slab, and that ends with finish_alloc (some shards are LIVE) or
 * cancel_alloc (no shard is LIVE). */
bool slab_begin_alloc(struct slab *slab);
void slab_finish_alloc(struct slab_table *table, struct slab *slab);
void slab_cancel_alloc(struct slab_table *table, struct slab *slab);

/* To free the slab: from LIVE without references to CLOSING, or false. */
bool slab_begin_free(struct slab *slab);
/* To change the slab's shards: from LIVE to CLOSING, after other threads that
 * close the slab.  Keeps new requests out, and waits until no request is in.
 * False where the slab is UNMAPPED, or ALLOCATING, which may take as long as a
 * server's grace time.  Off the I/O path. */
bool slab_close(struct slab_table *table, struct slab *slab);
/* From CLOSING, with no request in, to UNMAPPED, or back to LIVE. */
void slab_finish_close(struct slab_table *table, struct slab *slab,
		       enum slab_state state);

/* --- shards --- */

static inline enum shard_state shard_state(const struct slab_shard *shard)
{
	return (enum shard_state)atomic_load_explicit(&shard->state,
						      memory_order_acquire);
}

static inline bool shard_is_live(const struct slab_shard *shard)
{
	return shard_state(shard) == SHARD_LIVE;
}

/* Whether a server has a slab for a shard in STATE. */
static inline bool shard_is_held(enum shard_state state)
{
	return state == SHARD_GIVEN || state == SHARD_SPARE ||
	       state == SHARD_LIVE;
}

/* Whether the shard does not hold CHUNK.  By a thread that is in the slab. */
static inline bool shard_is_stale(const struct slab_shard *shard,
				  uint32_t chunk)
{
	return atomic_load_explicit(&shard->stale_chunks,
				    memory_order_acquire) != 0 &&
	       (atomic_load_explicit(&shard->stale[chunk / 64],
				     memory_order_acquire) >>
			chunk % 64 &
		1);
}

/* Marks N chunks as stale, or as current.  By the thread that has locked their
 * pages. */
void shard_mark(struct slab_shard *shard, uint32_t chunk, uint32_t n,
		bool stale);
/* No chunk is stale any more.  No request is in the slab. */
void shard_mark_all_current(struct slab_table *table, struct slab_shard *shard);

/* The first chunk from CHUNK on that is stale, or geometry.slab_pages. */
uint32_t shard_next_stale(const struct slab_table *table,
			  const struct slab_shard *shard, uint32_t chunk);

/* A shard that is NONE, or NULL. */
struct slab_shard *slab_unused_shard(const struct slab_table *table,
				     struct slab *slab);

/* The shard indexes of SHARDS; both are sets, as bits. */
static inline uint32_t slab_indexes(const struct slab *slab, uint32_t shards)
{
	uint32_t indexes = 0;

	for (; shards; shards &= shards - 1)
		indexes |= 1u << slab->shards[__builtin_ctz(shards)].index;
	return indexes;
}

/* The LIVE shards that hold CHUNK, as bits by the shards' numbers.  By a thread
 * that is in the slab, or that has closed it. */
uint32_t slab_holders(const struct slab_table *table, const struct slab *slab,
		      uint32_t chunk);
/* The shard indexes, as bits, of these shards. */
uint32_t slab_indexes_of_chunk(const struct slab_table *table,
			       const struct slab *slab, uint32_t chunk);

#endif
