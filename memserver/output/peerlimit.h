/* A limit of log lines for each peer's address.  A peer that causes many lines
 * hides its own lines, and not those of other peers.  The table is bounded:
 * when it is full of addresses that caused lines lately, all other addresses
 * share one limit. */
#ifndef RSWAP_MEMSERVER_PEERLIMIT_H
#define RSWAP_MEMSERVER_PEERLIMIT_H

#include <pthread.h>
#include <stdint.h>

#include "log.h"
#include "net.h"

/* Addresses in the table. */
#define PEERLIMIT_ADDRESSES 128
/* Another address may take the entry of an address that was quiet for so long.
 */
#define PEERLIMIT_QUIET_S 10

struct peerlimit_entry {
	uint8_t address[16]; /* the part that tells peers apart */
	uint64_t used_ns;    /* time of the last line; 0: free */
	struct log_limit limit;
};

/* `lock` protects addresses and times, and is a leaf. */
struct peerlimit {
	pthread_mutex_t lock;
	uint32_t lines; /* per address and second */
	struct peerlimit_entry entries[PEERLIMIT_ADDRESSES];
	struct log_limit others; /* for addresses without an entry */
};

#define PEERLIMIT_INIT(lines_per_second)                                       \
	{                                                                      \
		.lock = PTHREAD_MUTEX_INITIALIZER,                             \
		.lines = (lines_per_second),                                   \
		.others = { .lines = (lines_per_second), .period_ms = 1000 },  \
	}

/* The limit of PEER's address, which the caller uses at once.  Any thread. */
struct log_limit *peerlimit_of(struct peerlimit *table,
			       const struct net_text *peer);

#endif
