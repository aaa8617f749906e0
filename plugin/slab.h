/* The slab table: where each slab of the device is.
 *
 *   UNMAPPED --begin_alloc--> ALLOCATING --finish_alloc--> LIVE
 *      ^                          | (no server took it)      |
 *      +--------------------------+                   begin_close
 *      ^                                                     v
 *      +------------------- finish_close ---------------- CLOSING
 *                (or back to LIVE, when a page was written meanwhile)
 *
 * State and a count of references are one atomic word.  A request enters each
 * slab that it is about to touch: it gets in only where the slab is LIVE, and
 * counts until it leaves.  What is known of a LIVE slab (peer, remote) changes
 * only where the state is ALLOCATING or CLOSING and nobody is in, and is
 * published by the store of the word (release) and read after entering
 * (acquire).  So a slab is never freed, lost or given away under a request in
 * flight, and no request waits while it is inside another slab's change.
 *
 * Freeing needs references and present pages to be 0 together: a writer adds
 * its pages to present before it leaves, so once the word went from (LIVE, 0
 * references) to CLOSING, present can only fall, and a 0 is final.
 *
 * The lock serves those who wait for a state to change, and nothing else; it is
 * a leaf: no other lock is taken under it.
 *
 * The table knows no transport; PEER is an index that it only keeps.
 */
#ifndef RSWAP_SLAB_H
#define RSWAP_SLAB_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "reason.h"
#include "transport.h"

/* How pages lie in slabs.  What a page becomes in a slab is a stored unit: 4096
 * bytes, or more when a tag travels with it. */
struct slab_geometry {
	uint64_t slab_bytes;
	uint32_t unit_bytes;
	uint32_t slab_pages; /* units that fit a slab */
};

struct slab_geometry slab_geometry(uint64_t slab_bytes, uint32_t unit_bytes);

enum slab_state {
	SLAB_UNMAPPED,
	SLAB_ALLOCATING,
	SLAB_LIVE,
	SLAB_CLOSING,
};

struct slab {
	_Atomic uint32_t word;	       /* state, references */
	_Atomic int32_t present_pages; /* PRESENT in the page map */
	uint32_t peer;		       /* whose memory */
	struct remote_slab remote;     /* where in it */

	_Atomic uint32_t generation; /* how often it became LIVE by alloc */
	uint32_t empty_ticks;	     /* the session's: see session_free_slabs */
	struct slab *next_ask;	     /* while ALLOCATING: in its peer's queue */
};

struct slab_table {
	struct slab_geometry geometry;
	uint64_t n;
	struct slab *slabs; /* [n] */
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

/* 0 or a negative errno. */
int slab_table_create(struct slab_table *table, uint64_t pages,
		      struct slab_geometry geometry, struct reason *why);
void slab_table_destroy(struct slab_table *table);

static inline uint64_t slab_of_page(const struct slab_table *table,
				    uint64_t page)
{
	return page / table->geometry.slab_pages;
}

/* The byte within its slab at which PAGE's unit begins. */
static inline uint64_t slab_offset_of_page(const struct slab_table *table,
					   uint64_t page)
{
	return page % table->geometry.slab_pages *
	       (uint64_t)table->geometry.unit_bytes;
}

enum slab_state slab_state(const struct slab *slab);

/* On the I/O path.  enter returns the state that it found: only where that is
 * SLAB_LIVE is the caller in, and has to leave. */
enum slab_state slab_enter(struct slab *slab);
void slab_leave(struct slab *slab);

/* Waits while the slab is ALLOCATING or CLOSING.  0 or -ETIMEDOUT. */
int slab_wait(struct slab_table *table, struct slab *slab,
	      uint64_t deadline_ns);

/* True for the one caller that is to have it allocated: by peer_ask_slab, whose
 * session then calls finish_alloc or cancel_alloc, or by cancel_alloc. */
bool slab_begin_alloc(struct slab *slab);
void slab_finish_alloc(struct slab_table *table, struct slab *slab,
		       uint32_t peer, const struct remote_slab *remote);
void slab_cancel_alloc(struct slab_table *table, struct slab *slab);

/* To free: from LIVE without references to CLOSING, or false. */
bool slab_begin_free(struct slab *slab);
/* Because its memory is lost: from LIVE to CLOSING, whoever is in; new requests
 * stay out.  False where it is not LIVE. */
bool slab_begin_lose(struct slab *slab);
/* Whether requests are still in. */
bool slab_entered(const struct slab *slab);
/* From CLOSING, with nobody in, to UNMAPPED, or back to LIVE. */
void slab_finish_close(struct slab_table *table, struct slab *slab,
		       enum slab_state state);

#endif
