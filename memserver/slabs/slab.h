/* The pool of slabs: this machine's memory, in the unit in which it is granted.
 *
 * The pool reserves address space for all slabs once.  A slab has memory only
 * while it is in use or in the stock:
 *
 *           populate, lock               own                 disown, last drop
 *   empty -----------------> ready ----------------> owned by one session --+
 *     ^   (preparing thread)       (stock, spare)                           |
 *     +---------------------------------------------------------------------+
 *        deregister, unlock, give the memory to the OS  (preparing thread)
 *
 * A slab that comes back passes through "empty" before it is granted again, so
 * the slab has the zeros of fresh memory.
 *
 * Who may touch a slab's bytes: `hold` has the owning session's key and the
 * number of users, in one word.  A link that moves bytes takes a hold
 * (slab_hold) with its session's key, and drops the hold when no transfer that
 * the link started touches the slab any more.  Disowning clears the key, so no
 * hold begins after that.  The memory goes back when the last hold has ended.
 * So a client's request never reaches a slab that belongs to another session by
 * then.
 *
 * Locks: pool->lock protects the two lists and the counts, and is a leaf. */
#ifndef RSWAP_SLAB_H
#define RSWAP_SLAB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "error.h"
#include "loops/work.h"
#include "siphash.h"

struct slab_pool;

struct slab {
	_Atomic uint64_t hold; /* owner's key << 32 | users */
	struct slab_pool *pool;
	uint8_t *memory;
	uint32_t number;
	struct slab *next; /* in the pool's lists */
	/* Main loop, while the slab is owned, or held after that: */
	TAILQ_ENTRY(slab) owned;  /* in the owner's lists */
	uint64_t label;		  /* the client's number for it */
	LIST_ENTRY(slab) chained; /* with others of the same hash */
	/* Called on the main loop when no user holds the disowned slab any
	 * more.  `freed_ns` is when the slab was disowned. */
	void (*unheld)(struct slab *slab);
	void *freed_by;
	_Atomic uint64_t freed_ns;
	struct mail dropped;
	/* The transport's registration, and the function that ends it before
	 * the memory goes back.  NULL: not registered.  Belongs to the owner,
	 * then to the preparing thread. */
	void *region;
	int (*unregister)(void *region); /* 0 or a negative errno */
	struct work release;
};

TAILQ_HEAD(slab_list, slab);
LIST_HEAD(slab_chain, slab);

struct slab_pool {
	uint64_t slab_bytes;
	uint32_t count;
	bool hugepages;
	unsigned stock_target;
	uint8_t *base;
	uint64_t mapped_bytes;
	uint8_t *mapped;
	struct slab *slabs;
	/* Hash table of owned slabs; main loop. */
	struct slab_chain *by_label;
	struct siphash_key label_key;
	struct workq *preparer;

	pthread_mutex_t lock;
	struct slab *empty; /* their memory went back */
	uint32_t touched;   /* slabs from this number on were never used */
	struct slab *stock; /* ready */
	uint32_t stocked;
	uint32_t owned; /* owned, or still held after that */
	uint32_t lost;	/* of these, never granted again */
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

/* Reserves the address space.  PREPARER runs the slow work.  The caller starts
 * PREPARER before the first slab is asked for.  0 or a negative errno. */
int slab_pool_open(struct slab_pool *pool,
		   const struct slab_pool_config *config,
		   struct workq *preparer, struct error *why);

/* From now on slabs keep their memory, and the stock is not filled: the process
 * is about to end.  Any thread. */
void slab_pool_wind_up(struct slab_pool *pool);

/* No slab is in use and the preparing thread has ended. */
void slab_pool_close(struct slab_pool *pool);

/* A slab from the stock, or NULL.  Quick; any thread. */
struct slab *slab_take_ready(struct slab_pool *pool);

/* A slab from the stock, or a newly populated slab.  -ENOSPC: all slabs are in
 * use; -ENOMEM: the machine has no memory for one more.  Preparing thread. */
int slab_take(struct slab_pool *pool, struct slab **slab);

/* Gives back a slab that was taken, and is not owned.  Any thread. */
void slab_put_back(struct slab *slab);

/* Makes the preparing thread fill the stock.  Any thread.  Happens by itself
 * after a slab was taken or given back. */
void slab_stock_fill(struct slab_pool *pool);

/* Gives a taken slab to the session with key OWNER (not 0), which has no slab
 * of that LABEL yet.  Main loop. */
void slab_own(struct slab *slab, uint32_t owner, uint64_t label);
/* Takes the slab away from its owner.  The slab goes back once no user holds
 * it. True: a user still does; slab->unheld, unless NULL, is called when the
 * last user has dropped the slab.  Main loop. */
bool slab_disown(struct slab *slab);

/* The slab with that number, held, or NULL when OWNER does not own it.  Any
 * thread, without a lock. */
struct slab *slab_hold(struct slab_pool *pool, uint32_t number, uint32_t owner);
void slab_drop(struct slab *slab);

/* Whether SLAB, which the caller holds as OWNER, was taken away from OWNER
 * before BEFORE_NS (clock_now_ns).  Any thread. */
bool slab_freed_before(const struct slab *slab, uint32_t owner,
		       uint64_t before_ns);

/* The slab with that number, or with that label, if OWNER owns one; not held.
 * NULL when there is none.  Main loop. */
struct slab *slab_find(struct slab_pool *pool, uint32_t number, uint32_t owner);
struct slab *slab_find_label(struct slab_pool *pool, uint32_t owner,
			     uint64_t label);

/* How many slabs there are to grant: all but those that are lost. */
uint32_t slab_pool_usable(struct slab_pool *pool);

struct slab_figures {
	uint32_t total;
	uint32_t used;	/* owned or held */
	uint32_t stock; /* ready */
	uint64_t free_bytes;
};
struct slab_figures slab_pool_figures(struct slab_pool *pool);

#endif
