/* The part of the engine's interface (engine.h) that a front end calls for each
 * request.
 *
 * Any thread may call these functions, and several threads at a time.  OFFSET
 * and COUNT are bytes, multiples of PAGE_BYTES, and within the device.
 */
#ifndef RSWAP_REQUEST_H
#define RSWAP_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

struct engine;

/* 0 or a negative errno: -EIO, or -ENOSPC where no server has room for a new
 * slab.  Each call ends within the configured timeout. */
int engine_read(struct engine *engine, void *buf, uint64_t count,
		uint64_t offset);
int engine_write(struct engine *engine, const void *buf, uint64_t count,
		 uint64_t offset);
/* The same by DEADLINE_NS, for a request that has waited before this call. */
int engine_read_until(struct engine *engine, void *buf, uint64_t count,
		      uint64_t offset, uint64_t deadline_ns);
int engine_write_until(struct engine *engine, const void *buf, uint64_t count,
		       uint64_t offset, uint64_t deadline_ns);
/* The deadline of a request that comes now (CLOCK_MONOTONIC, ns). */
uint64_t engine_deadline_ns(const struct engine *engine);

/* Discards the pages: they read as zeros from then on.  Never fails. */
void engine_discard(struct engine *engine, uint64_t count, uint64_t offset);

/* Returns the length of the extent at OFFSET, at most COUNT bytes. *ABSENT
 * tells whether all its pages are absent or none is. */
uint64_t engine_extent(const struct engine *engine, uint64_t count,
		       uint64_t offset, bool *absent);

#endif
