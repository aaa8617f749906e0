/* How much goes through something that counts: what was counted since the look
 * before, by time. */
#ifndef RSWAPCTL_FLOW_H
#define RSWAPCTL_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "spark.h"

struct json_object;

struct flow {
	char name[192];
	bool known; /* there was a look before */
	double reads, writes, read_bytes, write_bytes; /* a second */
	struct spark past_reads, past_writes;
	/* the look before */
	uint64_t at_ns, pid;
	uint64_t counted[4];
};

/* The flow of what has this NAME, now that COUNTS (an object of a status with
 * reads, writes, read_bytes and write_bytes) was asked for at NOW_NS.  PID: the
 * process that counts; a new one begins anew.  Valid until the next call with
 * another name; NULL without memory. */
const struct flow *flow_look(const char *name, struct json_object *counts,
			     uint64_t pid, uint64_t now_ns);

#endif
