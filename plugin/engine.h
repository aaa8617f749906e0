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
#include "io/request.h" /* reading, writing, discarding */
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

#endif
