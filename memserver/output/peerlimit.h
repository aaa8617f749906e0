/* A limit of log lines for each peer: for its identity, or for its address if
 * it has none.  A peer that causes many lines hides its own lines, and not
 * those of other peers.  A table is bounded: when it is full of peers that
 * caused lines lately, all other peers share one limit.  So peers with an
 * identity have a table of their own, which no stranger fills. */
#ifndef RSWAP_MEMSERVER_PEERLIMIT_H
#define RSWAP_MEMSERVER_PEERLIMIT_H

#include <pthread.h>
#include <stdint.h>

#include "log.h"
#include "peername.h"

/* Peers in a table. */
#define PEERLIMIT_PEERS 128
/* Another peer may take the entry of a peer that was quiet for so long. */
#define PEERLIMIT_QUIET_S 10

struct peerlimit_entry {
	uint8_t key[16];  /* tells peers apart */
	uint64_t used_ns; /* time of the last line; 0: free */
	struct log_limit limit;
};

/* `lock` protects keys and times, and is a leaf. */
struct peerlimit {
	pthread_mutex_t lock;
	uint32_t lines; /* per peer and second */
	struct peerlimit_entry entries[PEERLIMIT_PEERS];
	struct log_limit others; /* for peers without an entry */
};

#define PEERLIMIT_INIT(lines_per_second)                                       \
	{                                                                      \
		.lock = PTHREAD_MUTEX_INITIALIZER,                             \
		.lines = (lines_per_second),                                   \
		.others = { .lines = (lines_per_second), .period_ms = 1000 },  \
	}

/* The limit of PEER, which the caller uses at once.  Any thread. */
struct log_limit *peerlimit_of(struct peerlimit *table,
			       const struct peer_name *peer);

#endif
