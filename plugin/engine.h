/* The page engine: everything between a front end (nbdkit's callbacks) and the
 * transports.  A request travels
 *
 *   front end -> request.c -> pagemap.c -> slab.c (-> place.c -> session.c)
 *     -> lane.c -> transport
 *
 * Threads: the front end's threads run requests, as many at a time as it likes;
 * one thread per server (session.c) runs the control connection and everything
 * that is slow: allocating slabs, building and rebuilding lanes, freeing.
 *
 * Lock order: none is needed.  Every lock here (lane pool, slab table, peer) is
 * a leaf, held for a few instructions or while asleep on its own condition.
 */
#ifndef RSWAP_ENGINE_H
#define RSWAP_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lane.h"
#include "net.h"
#include "pagemap.h"
#include "peer.h"
#include "reason.h"
#include "slab.h"

struct engine_config {
	struct net_name *servers; /* [n_servers], the caller's */
	uint32_t n_servers;
	uint64_t size_bytes;		       /* a multiple of PAGE_BYTES */
	const struct transport_ops *transport; /* NULL: auto */
	uint32_t lanes;
	uint64_t spin_ns;
	uint64_t timeout_ns; /* deadline of a request */
};

/* What the lanes do not count. */
struct engine_counters {
	_Atomic uint64_t local_reads, local_writes; /* that needed no lane */
	_Atomic uint64_t trims, zeroes;		    /* requests */
	_Atomic uint64_t zero_pages; /* written as zeros, sent nowhere */
	_Atomic uint64_t errors;
	_Atomic uint64_t pages_lost; /* ever */
};

struct engine {
	struct engine_config config;
	struct pagemap pages;
	struct slab_table slabs;
	struct lane_pool lanes;
	struct peer *peers; /* [config.n_servers] */
	struct engine_counters counters;
	uint64_t start_ns;
};

/* Asks every server whether it can serve CONFIG, without leaving anything
 * there; fills *SLAB_BYTES.  0 or a negative errno, and then one line in WHY
 * that names the server or the figures. */
int engine_probe(const struct engine_config *config, uint64_t *slab_bytes,
		 struct reason *why);

/* Allocates everything that a request will touch. 0 or a negative errno. */
int engine_create(struct engine *engine, const struct engine_config *config,
		  uint64_t slab_bytes, struct reason *why);
/* Opens a session on every server and builds all lanes; fails where one server
 * cannot be had until DEADLINE_NS. */
int engine_start(struct engine *engine, uint64_t deadline_ns,
		 struct reason *why);
/* Gives all slabs back and ends the sessions' threads.  Requests that come
 * later fail.  True when none is in flight any more. */
bool engine_stop(struct engine *engine);
/* Frees everything.  Stopped, and no request is in flight nor comes. */
void engine_destroy(struct engine *engine);

/* Bytes that the engine allocated, beyond what the transports register. */
uint64_t engine_memory_bytes(const struct engine *engine);

/* Requests: any thread, any number at a time.  OFFSET and COUNT are multiples
 * of PAGE_BYTES and within the device.  0 or a negative errno: -EIO, or -ENOSPC
 * where no server has room for a new slab.  Each ends within the configured
 * timeout. */
int engine_read(struct engine *engine, void *buf, uint64_t count,
		uint64_t offset);
int engine_write(struct engine *engine, const void *buf, uint64_t count,
		 uint64_t offset);
/* Makes the pages absent.  Never fails. */
void engine_discard(struct engine *engine, uint64_t count, uint64_t offset);

/* The extent at OFFSET: how many of at most COUNT bytes are all absent, or all
 * not. */
uint64_t engine_extent(const struct engine *engine, uint64_t count,
		       uint64_t offset, bool *absent);

/* Sets pages and keeps their slabs' counts.  For request.c and session.c. */
void engine_set_pages(struct engine *engine, uint64_t page, uint64_t n,
		      enum page_state state);
/* PRESENT pages become LOST. */
void engine_lose_pages(struct engine *engine, uint64_t page, uint64_t n);

#endif
