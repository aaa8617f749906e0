/* The pool of slabs: this machine's memory, in the unit in which it is handed
 * out.
 *
 * Address space for all of it is reserved once.  A slab has memory only while
 * it is in use or in the stock:
 *
 *             populate, lock              own                 disown, last drop
 *   empty ----------------------> ready ------> owned by one
 * ------------------+ ^   (preparing thread)   (stock, spare)     session |
 *     +------------------------------------------------------------------------+
 *          deregister, unlock, give back to the OS  (preparing thread)
 *
 * A slab that comes back passes through "empty" before anybody gets it again,
 * so it has the zeros of fresh memory.
 *
 * Who may touch a slab's bytes: `hold` has the owning session's key and the
 * number of users, in one word.  A lane that moves bytes takes a hold
 * (slab_hold) with its session's key, and drops it when nothing it started
 * touches the slab any more.  Disowning clears the key, so no hold begins
 * after it; the memory goes back when the last hold has ended.  Nothing that a
 * client sends can therefore reach a slab that is another session's by then.
 *
 * Locks: pool->lock protects the two lists and the counts, and is a leaf.
 */
#ifndef RSWAP_SLAB_H
#define RSWAP_SLAB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "list.h"
#include "loops/work.h"

struct slab_pool;

struct slab {
	_Atomic uint64_t hold; /* owner's key << 32 | users */
	struct slab_pool *pool;
	uint8_t *memory;
	uint32_t number;
	struct slab *next; /* in the pool's lists */
	/* Main loop, while it is owned, or held after that: */
	struct list owned;	 /* in the session's list */
	uint64_t label;		 /* the client's number for it */
	struct slab *next_label; /* of the same hash */
	/* Who is told, on the main loop, that nobody holds the disowned slab
	 * any more; `freed_ns` is when it was disowned. */
	void (*unheld)(struct slab *slab);
	void *freed_by;
	_Atomic uint64_t freed_ns;
	struct mail dropped;
	/* The RDMA registration, and what ends it before the memory goes back;
	 * NULL without.  Belongs to the owner, then to the preparing thread. */
	void *region;
	int (*unregister)(void *region); /* 0 or a negative errno */
	struct work release;
};

struct slab_pool {
	uint64_t slab_bytes;
	uint32_t count;
	bool hugepages;
	unsigned stock_target;
	uint8_t *base;
	uint64_t mapped_bytes;
	uint8_t *mapped;
	struct slab *slabs;
	struct slab **by_label; /* hash table of the owned ones; main loop */
	struct workq *preparer;

	pthread_mutex_t lock;
	struct slab *empty; /* gave their memory back */
	uint32_t touched;   /* slabs from here on were never used: empty */
	struct slab *stock; /* ready */
	uint32_t stocked;
	uint32_t owned; /* handed out, or still held after that */
	bool filling;	/* `fill` is queued */

	struct work fill;
	bool short_of_memory; /* preparing thread */
	atomic_bool closing;
};

struct slab_pool_config {
	uint64_t memory_bytes; /* a multiple of slab_bytes */
	uint64_t slab_bytes;   /* a power of two */
	unsigned stock;
	bool hugepages;
};

/* Reserves the address space.  PREPARER runs what takes long; it is started
 * before the first slab is asked for.  0 or a negative errno. */
int slab_pool_open(struct slab_pool *pool,
		   const struct slab_pool_config *config,
		   struct workq *preparer, struct error *why);

/* From now on memory is no longer given back slab by slab, nor the stock
 * filled: the process is about to end.  Any thread. */
void slab_pool_wind_up(struct slab_pool *pool);

/* No slab is in use and the preparing thread has ended. */
void slab_pool_close(struct slab_pool *pool);

/* A slab from the stock, or NULL.  Quick; any thread. */
struct slab *slab_take_ready(struct slab_pool *pool);

/* A slab from the stock, or a newly populated one.  -ENOSPC: all are handed
 * out; -ENOMEM: the machine has no memory for it.  Preparing thread. */
int slab_take(struct slab_pool *pool, struct slab **slab);

/* Gives a slab that was taken, and is not owned, back.  Any thread. */
void slab_put_back(struct slab *slab);

/* Has the preparing thread fill the stock.  Any thread; it is done by itself
 * after a slab was taken or given back. */
void slab_stock_fill(struct slab_pool *pool);

/* Hands a taken slab to the session with key OWNER (not 0), which has none of
 * that LABEL yet, or takes it away again: it is given back once nobody holds
 * it.  True: somebody still does, and slab->unheld is called, where it is set,
 * when that is over.  Main loop. */
void slab_own(struct slab *slab, uint32_t owner, uint64_t label);
bool slab_disown(struct slab *slab);

/* The slab with that number, held, or NULL when it isn't OWNER's.  Any thread,
 * without a lock. */
struct slab *slab_hold(struct slab_pool *pool, uint32_t number, uint32_t owner);
void slab_drop(struct slab *slab);

/* Whether SLAB, which the caller holds as OWNER, was taken away from OWNER
 * before BEFORE_NS (clock_now_ns).  Any thread. */
bool slab_freed_before(const struct slab *slab, uint32_t owner,
		       uint64_t before_ns);

/* The slab with that number if it is OWNER's, not held; the one that OWNER has
 * under that label.  NULL without.  Main loop. */
struct slab *slab_find(struct slab_pool *pool, uint32_t number, uint32_t owner);
struct slab *slab_find_label(struct slab_pool *pool, uint32_t owner,
			     uint64_t label);

struct slab_figures {
	uint32_t total;
	uint32_t used;	/* handed out */
	uint32_t stock; /* ready */
	uint64_t free_bytes;
};
struct slab_figures slab_pool_figures(struct slab_pool *pool);

#endif
