/* What the rooms below the engine's interface share: the engine's tables, its
 * servers, its settings and counters.  The interface that a front end uses is
 * engine.h.
 */
#ifndef RSWAP_CORE_H
#define RSWAP_CORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "error.h"
#include "fallback.h"
#include "net.h"
#include "pages/codec.h"
#include "pages/figures.h"
#include "pages/lane.h"
#include "pages/pagemap.h"
#include "pages/redundancy/redundancy.h"
#include "pages/slab.h"
#include "server.h"
#include "tls.h"
#include "wake.h"

struct repair;

struct engine_config {
	struct net_name *servers; /* [n_servers], the caller's */
	uint32_t n_servers;
	/* So many of the servers, the last ones, are from a pool: the engine
	 * starts without those that it cannot reach. */
	uint32_t n_pooled;
	/* How many servers there may be at a time; 0: n_servers. */
	uint32_t servers_max;
	/* Room for all of the device is reserved besides: engine_probe does not
	 * ask whether servers have it. */
	bool is_reserved;
	uint64_t size_bytes;		       /* a multiple of PAGE_BYTES */
	const struct transport_ops *transport; /* NULL: auto */
	/* Unless it is NULL: a session has new links, by TRANSPORT.  Threads of
	 * sessions call it. */
	void (*uses)(const struct transport_ops *transport);
	/* Of control connections, the caller's; NULL: they are plain. */
	const struct tls_context *tls;
	uint32_t lanes;
	uint64_t spin_ns;
	uint64_t timeout_ns; /* deadline of a request */
	struct redundancy_config redundancy;
	bool encrypt;		     /* seal pages */
	bool checksum;		     /* else: keep and check their checksums */
	const char *fallback;	     /* path of a file or disk, or NULL */
	uint64_t fallback_bytes;     /* 0: the disk's, or size_bytes */
	uint64_t repair_bytes_per_s; /* limit of repair; 0: none */
	/* How long a server may be away before the repairer begins to rebuild
	 * its shards on other servers; 0: until the server is lost. */
	uint64_t repair_after_ns;
};

/* How long one server has to answer a message or a transfer.  This time is less
 * than a request has, so that the request can be repeated over new connections.
 */
uint64_t engine_answer_ns(const struct engine_config *config);
/* How long the plugin tries to reach a server at start, and after how long a
 * silent connection is dead. */
uint64_t engine_reach_ns(const struct engine_config *config);

/* What requests do without a lane. */
enum engine_event {
	ENGINE_LOCAL_READS, /* requests */
	ENGINE_LOCAL_WRITES,
	ENGINE_TRIMS,
	ENGINE_ZEROES,
	ENGINE_ZERO_PAGES, /* written as zeros, sent nowhere */
	ENGINE_EVENTS
};

/* Each processor counts in cache lines of its own: two lines apart, so that the
 * alignment does not matter.  Processors may share one, if there are more. */
#define ENGINE_CPUS 64u
struct engine_cpu {
	_Atomic uint64_t events[ENGINE_EVENTS];
	char apart[128 - ENGINE_EVENTS * sizeof(uint64_t)];
};

/* Counters of what is rare. */
struct engine_counters {
	_Atomic uint64_t read_errors, write_errors; /* requests that failed */
	_Atomic uint64_t last_error_ns; /* of the last error, or 0 */
	_Atomic uint64_t pages_lost;	/* ever */
	_Atomic uint64_t wrong_reads;	/* that the codec caught */
	_Atomic uint64_t wrong_lost;	/* pages that are right nowhere */
};

struct engine {
	struct engine_config config;
	struct pagemap pages;
	struct slab_table slabs;
	struct lane_pool lanes;
	struct recent recent; /* what they did lately */
	struct redundancy redundancy;
	struct codec codec; /* pages in, stored units out */
	struct fallback fallback;
	struct repair *repair;	/* repair/repair.h */
	struct wake wake;	/* of the repair thread */
	struct server *servers; /* [n_servers] */
	/* With those that are vacant, and the fallback, which is the last. */
	uint32_t n_servers;
	/* Held while a session makes sure that no other session is with the
	 * same server.  Locks of servers are taken meanwhile. */
	pthread_mutex_t identities;
	uint64_t attempt_ns; /* how long a server has to answer an attempt */
	struct engine_counters counters;
	char apart[64]; /* requests read what is above */
	struct engine_cpu cpus[ENGINE_CPUS];
	uint64_t start_ns;
};

/* The server of a shard in any state.  The load is explicit, because gcc 12
 * compiles an atomic array index as a plain read. */
static inline struct server *server_of_shard(const struct engine *engine,
					     const struct slab_shard *shard)
{
	return &engine->servers[atomic_load(&shard->server)];
}

/* Adds N to the counter of this processor.  Any thread. */
void engine_count(struct engine *engine, enum engine_event event, uint64_t n);
/* The sum of all processors. */
uint64_t engine_counted(const struct engine *engine, enum engine_event event);

/* Sets the state of pages, and keeps the counts of their slabs right.  For
 * io/request.c and io/write.c. */
void engine_set_pages(struct engine *engine, uint64_t page, uint64_t n,
		      enum page_state state);
/* Makes the PRESENT pages LOST, and counts them.  Returns how many pages became
 * LOST. */
int64_t engine_lose_pages(struct engine *engine, uint64_t page, uint64_t n);

#endif
