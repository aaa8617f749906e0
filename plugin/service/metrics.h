/* What the plugin tells of itself, in Prometheus' text format: nbdkit-rswap-
 * plugin(1) says where it is had, docs/monitoring.md what each metric means. */
#ifndef RSWAP_METRICS_H
#define RSWAP_METRICS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "engine.h"
#include "poolwatch.h"
#include "safety.h"

/* The largest text, with N_SERVERS servers, the fallback included. */
size_t metrics_bytes(uint32_t n_servers);

/* START_TIME_NS is when the process started to serve, by CLOCK_REALTIME.  Any
 * thread: of the engine it reads atomics only and takes no lock, and it
 * allocates nothing of its own. */
void metrics_write(const struct engine *engine, struct poolwatch *pool,
		   const struct safety *safety, uint64_t start_time_ns,
		   FILE *out);

#endif
