/* A limit of log lines for each peer's address: a peer that causes many lines
 * hides its own, and no other peer's.  The table is bounded: who is not in it
 * when it is full of addresses that have caused lines of late shares one more
 * limit with others like it. */
#ifndef RSWAP_MEMSERVER_PEERLIMIT_H
#define RSWAP_MEMSERVER_PEERLIMIT_H

#include <pthread.h>
#include <stdint.h>

#include "log.h"
#include "net.h"

/* At a time. */
#define PEERLIMIT_ADDRESSES 128
/* An address that has caused no line for so long gives its place away. */
#define PEERLIMIT_QUIET_S 10

struct peerlimit_entry {
	uint8_t address[16]; /* as far as it tells peers apart */
	uint64_t used_ns;    /* by the last line; 0: free */
	struct log_limit limit;
};

/* `lock` protects addresses and times, and is a leaf. */
struct peerlimit {
	pthread_mutex_t lock;
	uint32_t lines; /* of an address, each second */
	struct peerlimit_entry entries[PEERLIMIT_ADDRESSES];
	struct log_limit others; /* of those without a place */
};

#define PEERLIMIT_INIT(lines_per_second)                                       \
	{                                                                      \
		.lock = PTHREAD_MUTEX_INITIALIZER,                             \
		.lines = (lines_per_second),                                   \
		.others = { .lines = (lines_per_second), .period_ms = 1000 },  \
	}

/* The limit of PEER's address, to be used at once.  Any thread. */
struct log_limit *peerlimit_of(struct peerlimit *table,
			       const struct net_text *peer);

#endif
