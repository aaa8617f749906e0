/* The values of an answer as they stand in a table, "-" where there is none. */
#ifndef RSWAPCTL_CELLS_H
#define RSWAPCTL_CELLS_H

#include "answer.h"
#include "words.h"

struct cell {
	char text[128];
};

/* The value at PATH as it is; a number of bytes; a latency by its p50 or p99,
 * where PATH is "servers.0.read_latency.p50_us"; a time in ms, as "0.4 s ago".
 */
struct cell cell_text(struct json_object *answer, const char *path);
struct cell cell_bytes(struct json_object *answer, const char *path);
struct cell cell_latency(struct json_object *answer, const char *path);
struct cell cell_ago(struct json_object *answer, const char *path);

#endif
