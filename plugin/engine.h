/* The page engine: everything between a front end (nbdkit's callbacks) and the
 * transports.  A request travels
 *
 *   front end
 *     -> io/request.c -> pages/lane.c -> io/plan.c -> pages/pagemap.c
 *     (-> servers/placement.c -> servers/session.c) -> pages/slab.c
 *     -> io/transfer.h: io/read.c, io/write.c -> io/attempt.c
 *     -> pages/redundancy/redundancy.h -> transport/transport.h
 *
 * Threads: the front end's threads run requests, any number at a time.  Each
 * server has a thread (servers/session.c) for the control connection and all
 * slow work: it allocates and frees slabs, and builds and rebuilds the links of
 * the lanes.  The repairer (repair/repair.c) repairs and moves the shards of
 * slabs.
 *
 * Lock order: none is needed, because every lock is a leaf.  A lock that
 * requests take (page map, lane pool, slab table, server, repairer, mux) is
 * held for a short time, or by a thread that sleeps on the condition of that
 * lock.  Requests never take the locks under which channels and links are made.
 */
#ifndef RSWAP_ENGINE_H
#define RSWAP_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "io/request.h" /* reading, writing, discarding */
#include "servers/core.h"

/* Asks every server whether it can serve CONFIG, and changes nothing there.
 * Takes servers of a pool that cannot, and those beyond servers_max, out of
 * CONFIG.  Opens the fallback, which engine_create takes over.  Fills
 * *SLAB_BYTES.  0, or a negative errno and one line in WHY that names the
 * server or the figures. */
int engine_probe(struct engine_config *config, uint64_t *slab_bytes,
		 struct fallback *fallback, struct error *why);

/* How many slabs of SLAB_BYTES a device of CONFIG has at most.  On servers each
 * has as many as there are shards of a page (redundancy_shards). */
uint64_t engine_count_slabs(const struct engine_config *config,
			    uint64_t slab_bytes);

/* Allocates all memory that requests use.  0 or a negative errno. */
int engine_create(struct engine *engine, const struct engine_config *config,
		  uint64_t slab_bytes, const struct fallback *fallback,
		  struct error *why);
/* Opens a session on every server and builds all links.  Fails if a server
 * cannot be reached by DEADLINE_NS; of a pool's servers only so many have to be
 * reached that every shard of a page has one.  0 or a negative errno. */
int engine_start(struct engine *engine, uint64_t deadline_ns,
		 struct error *why);
/* Gives all slabs back and ends the threads of the sessions.  Later requests
 * fail.  True if no request is in flight any more, and no thread is left.
 * Otherwise ENGINE and its config stay as they are until the process ends. */
bool engine_stop(struct engine *engine);
/* Frees all memory.  The engine is stopped, no request is in flight, and none
 * comes. */
void engine_destroy(struct engine *engine);

/* The bytes that the engine allocated, without the buffers that transports
 * register. */
uint64_t engine_memory_bytes(const struct engine *engine);

#endif
