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

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "servers/core.h"

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

#endif
