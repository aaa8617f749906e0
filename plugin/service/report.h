/* What the plugin tells of itself, as JSON: the answer to "status" on the
 * control socket, and what its page shows.  nbdkit-rswap-plugin(1) explains
 * each member. */
#ifndef RSWAP_REPORT_H
#define RSWAP_REPORT_H

#include <stdio.h>

#include "engine.h"
#include "poolwatch.h"
#include "safety.h"

/* The largest report, with as many servers as are allowed. */
#define REPORT_BYTES (256u * 1024)

/* Writes one object and a newline.  Any thread but those that serve requests:
 * it takes locks of the engine for moments, and allocates nothing. */
void report_write(struct engine *engine, struct poolwatch *pool,
		  const struct safety *safety, FILE *out);

#endif
