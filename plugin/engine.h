/* The page engine: everything between a front end (nbdkit's callbacks) and the
 * transports.  A request travels
 *
 *   front end
 *     -> io/request.c -> io/plan.c -> pages/pagemap.c -> pages/slab.c
 *     (-> servers/placement.c -> servers/session.c)
 *     -> pages/lane.c -> io/read.c, io/write.c -> io/attempt.c
 *     -> pages/redundancy/redundancy.h -> transport/transport.h
 *
 * Threads: the front end's threads run requests, as many at a time as it likes;
 * one thread per server (servers/session.c) runs the control connection and
 * everything that is slow: allocating slabs, building and rebuilding lanes,
 * freeing; the repairer (repair/repair.c) repairs and moves the shards of
 * slabs.
 *
 * Lock order: none is needed.  Every lock here (page map, lane pool, slab
 * table, server, repairer) is a leaf, held for a few instructions or while
 * asleep on its own condition.
 */
#ifndef RSWAP_ENGINE_H
#define RSWAP_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "net.h"
#include "pages/checksum.h"
#include "pages/lane.h"
#include "pages/pagemap.h"
#include "pages/redundancy/redundancy.h"
#include "pages/slab.h"
#include "repair/repair.h"
#include "servers/fallback.h"
#include "servers/server.h"

struct engine_config {
	struct net_name *servers; /* [n_servers], the caller's */
	uint32_t n_servers;
	uint64_t size_bytes;		       /* a multiple of PAGE_BYTES */
	const struct transport_ops *transport; /* NULL: auto */
	uint32_t lanes;
	uint64_t spin_ns;
	uint64_t timeout_ns; /* deadline of a request */
	/* How pages are kept: COPIES of them, or DATA + PARITY shares where
	 * DATA is above 0. */
	uint32_t copies, data, parity;
	bool checksum;		     /* keep and check one per page */
	const char *fallback;	     /* path of a file or disk, or NULL */
	uint64_t fallback_bytes;     /* 0: the disk's, or size_bytes */
	uint64_t repair_bytes_per_s; /* at most, of pages; 0: no limit */
	/* How long a server may be away until the repairer begins its shards
	 * elsewhere; 0: until the server is lost. */
	uint64_t repair_after_ns;
};

/* How long one server has to answer a message or a transfer.  It is less than a
 * request has, so that the request can be repeated over new connections. */
uint64_t engine_answer_ns(const struct engine_config *config);
/* How long the plugin tries to reach a server at start, and after how long a
 * silent connection is dead. */
uint64_t engine_reach_ns(const struct engine_config *config);

/* Counters beside those of the lanes. */
struct engine_counters {
	_Atomic uint64_t local_reads, local_writes; /* that needed no lane */
	_Atomic uint64_t trims, zeroes;		    /* requests */
	_Atomic uint64_t zero_pages; /* written as zeros, sent nowhere */
	_Atomic uint64_t read_errors, write_errors; /* requests that failed */
	_Atomic uint64_t last_error_ns; /* of the last error, or 0 */
	_Atomic uint64_t pages_lost;	/* ever */
	_Atomic uint64_t wrong_reads;	/* that a checksum caught */
	_Atomic uint64_t wrong_lost;	/* pages that are right nowhere */
};

struct engine {
	struct engine_config config;
	struct pagemap pages;
	struct slab_table slabs;
	struct lane_pool lanes;
	struct redundancy redundancy;
	struct checksums checksums; /* empty where config.checksum is false */
	struct fallback fallback;
	struct repair repair;
	struct server *servers; /* [n_servers] */
	uint32_t n_servers;
	uint64_t attempt_ns; /* how long a server has to answer an attempt */
	struct engine_counters counters;
	uint64_t start_ns;
};

/* Asks every server whether it can serve CONFIG, without leaving anything
 * there.  Opens the fallback, which engine_create takes over.  Fills
 * *SLAB_BYTES.  0 or a negative errno, and then one line in WHY that names the
 * server or the figures.
 */
int engine_probe(const struct engine_config *config, uint64_t *slab_bytes,
		 struct fallback *fallback, struct error *why);

/* Allocates everything that a request will touch. 0 or a negative errno. */
int engine_create(struct engine *engine, const struct engine_config *config,
		  uint64_t slab_bytes, const struct fallback *fallback,
		  struct error *why);
/* Opens a session on every server and builds all lanes.  Fails where a server
 * cannot be reached by DEADLINE_NS. */
int engine_start(struct engine *engine, uint64_t deadline_ns,
		 struct error *why);
/* Gives all slabs back and ends the sessions' threads.  Requests that come
 * later fail.  True when no request is in flight any more. */
bool engine_stop(struct engine *engine);
/* Frees everything.  The engine is stopped, no request is in flight, and none
 * comes. */
void engine_destroy(struct engine *engine);

/* Bytes that the engine allocated, beyond what the transports register. */
uint64_t engine_memory_bytes(const struct engine *engine);

/* The server of a shard in any state.  The load is written out: gcc 12 reads an
 * atomic index of an array as if it were none. */
static inline struct server *server_of_shard(const struct engine *engine,
					     const struct slab_shard *shard)
{
	return &engine->servers[atomic_load(&shard->server)];
}

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
 * not absent. */
uint64_t engine_extent(const struct engine *engine, uint64_t count,
		       uint64_t offset, bool *absent);

/* Keeps the checksum of BYTES, with which PAGE is checked when it is read.  By
 * the thread that has locked PAGE, before it sets the page's state. */
static inline void engine_keep_checksum(struct engine *engine, uint64_t page,
					const void *bytes)
{
	if (engine->config.checksum)
		checksums_set(&engine->checksums, page, checksum_page(bytes));
}

static inline bool engine_checksum_fits(const struct engine *engine,
					uint64_t page, const void *bytes)
{
	return !engine->config.checksum ||
	       checksums_get(&engine->checksums, page) == checksum_page(bytes);
}

/* Sets the state of pages, and keeps the counts of their slabs right.  For
 * io/request.c and io/write.c. */
void engine_set_pages(struct engine *engine, uint64_t page, uint64_t n,
		      enum page_state state);
/* PRESENT pages become LOST, and are counted.  Returns how many did. */
int64_t engine_lose_pages(struct engine *engine, uint64_t page, uint64_t n);

#endif
