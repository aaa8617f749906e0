/* What all lanes have done together, since the start and lately.
 *
 * The counters of a lane only ever grow.  The repairer notes their sums every
 * RECENT_NS, and keeps the last two notes.  So "lately" is the time since the
 * older note: between one and two times RECENT_NS, or longer where a pass of
 * the repairer takes longer. */
#ifndef RSWAP_FIGURES_H
#define RSWAP_FIGURES_H

#include <pthread.h>
#include <stdint.h>

#include "lane.h"

#define RECENT_NS (10 * NS_PER_S)

struct transfer_sum {
	struct latency_sum latency;
	uint64_t bytes, errors;
};

struct lane_sum {
	struct latency_sum requests[LANE_USES];
	uint64_t bytes[LANE_USES];
	uint64_t retries, hedges;
};

/* The sums over all lanes but the repairer's.  Any thread. */
void figures_sum(const struct lane_pool *pool, struct lane_sum *sum);
void figures_sum_transfers(const struct lane_pool *pool, uint32_t server,
			   enum lane_use use, struct transfer_sum *sum);

/* Whose times: a server's number, or those of whole requests. */
#define RECENT_REQUESTS UINT32_MAX

struct recent_note {
	uint64_t at_ns;
	struct latency_sum (*sums)[LANE_USES]; /* [servers + 1] */
};

struct recent {
	const struct lane_pool *pool;
	/* Guards the notes.  A leaf.  The repairer does not wait for it. */
	pthread_mutex_t lock;
	struct recent_note older, newer;
};

/* Allocates the notes.  0 or a negative errno. */
int recent_create(struct recent *recent, const struct lane_pool *pool);
void recent_destroy(struct recent *recent);
uint64_t recent_memory_bytes(const struct recent *recent);

/* Makes a note if it is time for one.  By the repair thread. */
void recent_turn(struct recent *recent);

/* Sets SUM to what SUBJECT did lately.  Returns how long that is, in ns.  Any
 * thread but the repairer. */
uint64_t recent_sum(struct recent *recent, uint32_t subject, enum lane_use use,
		    struct latency_sum *sum);

/* Forgets the transfers with SERVER, to which no lane has a link.  Any thread
 * but those that serve requests. */
void figures_forget(const struct lane_pool *pool, struct recent *recent,
		    uint32_t server);

#endif
