#include "metrics.h"

#include "blockdev.h"
#include "clock.h"
#include "lifecycle.h"
#include "log.h"
#include "promtext.h"
#include "repair/repair.h"
#include "servers/roster.h"

/* --- times --- */

/* Of the buckets that lanes count in, every second one is told: two for each
 * power of two, from 4.096 us to 17 s. */
#define FIRST_BUCKET 8u
#define LAST_BUCKET  96u
#define BUCKET_STEP  2u

static void put_histogram(struct promtext *p, const struct latency_sum *sum)
{
	uint64_t below = 0;

	for (uint32_t i = 0; i <= LAST_BUCKET; i++) {
		below += sum->buckets[i];
		if (i >= FIRST_BUCKET && (i - FIRST_BUCKET) % BUCKET_STEP == 0)
			promtext_bucket(p, latency_bucket_end_ns(i), below);
	}
	promtext_bucket(p, UINT64_MAX, sum->count);
	promtext_histogram_end(p, sum->sum_ns, sum->count);
}

static const char *const use_names[LANE_USES] = {
	[LANE_READ] = "read", [LANE_WRITE] = "write"
};

/* --- the process --- */

static void put_process(struct promtext *p, const struct safety *safety,
			uint64_t start_time_ns)
{
	const struct blockdev_name device = blockdev_name();

	promtext_program(p, "plugin", start_time_ns);
	promtext_family(p, "rswap_device_info", "gauge",
			"Always 1; the block device, if the process knows it.");
	if (device.path[0]) {
		promtext_label(p, "device", device.path);
		promtext_integer(p, 1);
	}
	promtext_gauge(p, "rswap_clients",
		       "Connections of clients, such as the kernel's nbd.",
		       lifecycle_clients());
	promtext_gauge(p, "rswap_ending",
		       "1 if a signal asked for the end, which waits for "
		       "clients.",
		       lifecycle_asked_ns() != 0);
	promtext_family(p, "rswap_safety_setting", "gauge",
			"1 if the setting for safe swapping holds.");
	for (int i = 0; i < SAFETY_SETTINGS; i++) {
		promtext_label(p, "setting",
			       safety_name((enum safety_setting)i));
		promtext_integer(p, safety->setting[i].holds);
	}
	promtext_gauge(p, "rswap_locked_bytes",
		       "Memory of this process that is locked.",
		       safety_locked_bytes());
	promtext_counter(p, "rswap_log_lines_dropped_total",
			 "Log lines that nobody read in time.", log_dropped());
}

/* --- pages and slabs --- */

struct slab_sums {
	uint64_t by_state[SLAB_CLOSING + 1];
	int64_t present_pages;
};

static struct slab_sums sum_slabs(const struct slab_table *table)
{
	struct slab_sums sums = { 0 };

	for (uint64_t i = 0; i < table->n; i++) {
		sums.by_state[slab_state(&table->slabs[i])]++;
		sums.present_pages +=
			atomic_load(&table->slabs[i].present_pages);
	}
	return sums;
}

static void put_state(struct promtext *p, const char *state, uint64_t n)
{
	promtext_label(p, "state", state);
	promtext_integer(p, n);
}

/* The counts are read one after the other, and may be a little apart. */
static uint64_t at_least_0(int64_t n)
{
	return n > 0 ? (uint64_t)n : 0;
}

static void put_device(struct promtext *p, const struct engine *e)
{
	struct slab_sums sums = sum_slabs(&e->slabs);
	uint64_t pages = e->config.size_bytes / PAGE_BYTES;
	uint64_t lost = at_least_0(atomic_load(&e->pages.lost));
	uint64_t present = at_least_0(sums.present_pages);

	promtext_gauge(p, "rswap_device_size_bytes", "Size of the device.",
		       e->config.size_bytes);
	promtext_family(p, "rswap_pages", "gauge",
			"Pages of 4096 bytes: absent ones read as zeros, lost "
			"ones as an error.");
	put_state(p, "absent", at_least_0((int64_t)(pages - present - lost)));
	put_state(p, "present", present);
	put_state(p, "lost", lost);
	promtext_counter(p, "rswap_pages_lost_total",
			 "Pages that were lost, ever.",
			 atomic_load(&e->counters.pages_lost));
	promtext_gauge(p, "rswap_slab_bytes", "Size of a slab.",
		       e->slabs.geometry.slab_bytes);
	promtext_family(p, "rswap_slabs", "gauge", "Slabs of the device.");
	put_state(p, "unmapped", sums.by_state[SLAB_UNMAPPED]);
	put_state(p, "allocating", sums.by_state[SLAB_ALLOCATING]);
	put_state(p, "live", sums.by_state[SLAB_LIVE]);
	put_state(p, "closing", sums.by_state[SLAB_CLOSING]);
	promtext_gauge(p, "rswap_present_bytes",
		       "What the present pages need on servers, in all their "
		       "copies or shares.",
		       present * e->redundancy.shards *
			       e->slabs.geometry.chunk_bytes);
}

/* --- requests --- */

static void put_use(struct promtext *p, enum lane_use use, uint64_t n)
{
	promtext_label(p, "op", use_names[use]);
	promtext_integer(p, n);
}

static void put_op(struct promtext *p, const char *op, uint64_t n)
{
	promtext_label(p, "op", op);
	promtext_integer(p, n);
}

static void put_request_counts(struct promtext *p, const struct engine *e,
			       const struct lane_sum *sum)
{
	uint64_t local[LANE_USES] = {
		[LANE_READ] = engine_counted(e, ENGINE_LOCAL_READS),
		[LANE_WRITE] = engine_counted(e, ENGINE_LOCAL_WRITES),
	};

	promtext_family(p, "rswap_requests_total", "counter",
			"Requests to the device.");
	for (int use = 0; use < LANE_USES; use++)
		put_use(p, use, sum->requests[use].count + local[use]);
	put_op(p, "trim", engine_counted(e, ENGINE_TRIMS));
	put_op(p, "zero", engine_counted(e, ENGINE_ZEROES));
	promtext_family(p, "rswap_local_requests_total", "counter",
			"Requests that needed no server: all their pages are "
			"absent, or zeros.");
	for (int use = 0; use < LANE_USES; use++)
		put_use(p, use, local[use]);
	promtext_family(p, "rswap_request_errors_total", "counter",
			"Requests that failed.");
	put_use(p, LANE_READ, atomic_load(&e->counters.read_errors));
	put_use(p, LANE_WRITE, atomic_load(&e->counters.write_errors));
}

static void put_requests(struct promtext *p, const struct engine *e)
{
	struct lane_sum sum;

	figures_sum(&e->lanes, &sum);
	put_request_counts(p, e, &sum);
	promtext_family(p, "rswap_request_bytes_total", "counter",
			"Bytes of requests that needed a server.");
	for (int use = 0; use < LANE_USES; use++)
		put_use(p, use, sum.bytes[use]);
	promtext_family(p, "rswap_request_duration_seconds", "histogram",
			"How long requests that needed a server took.");
	for (int use = 0; use < LANE_USES; use++) {
		promtext_label(p, "op", use_names[use]);
		put_histogram(p, &sum.requests[use]);
	}
	promtext_counter(p, "rswap_request_retries_total",
			 "Attempts of requests after the first.", sum.retries);
	promtext_counter(p, "rswap_hedged_reads_total",
			 "Reads that asked one more server, as the first was "
			 "late.",
			 sum.hedges);
	promtext_counter(p, "rswap_zero_pages_total",
			 "Pages that were written as zeros, and sent nowhere.",
			 engine_counted(e, ENGINE_ZERO_PAGES));
	promtext_counter(p, "rswap_wrong_reads_total",
			 "Reads whose bytes failed their check.",
			 atomic_load(&e->counters.wrong_reads));
	promtext_counter(p, "rswap_wrong_pages_lost_total",
			 "Pages that were lost as they are right nowhere.",
			 atomic_load(&e->counters.wrong_lost));
}

/* --- repair --- */

static void put_repair(struct promtext *p, const struct repair *repair)
{
	promtext_gauge(p, "rswap_repair_running",
		       "1 while pages are missing somewhere, or are moved.",
		       atomic_load(&repair->since_ns) != 0);
	promtext_counter(p, "rswap_repair_copied_pages_total",
			 "Pages that were copied.",
			 atomic_load(&repair->copied_pages));
	promtext_gauge(p, "rswap_repair_left_pages",
		       "Pages that are still to be copied.",
		       repair_left_pages(repair));
	promtext_gauge(p, "rswap_repair_stale_pages",
		       "Pages that some server should have, and lacks.",
		       atomic_load(&repair->stale_pages));
	promtext_family(p, "rswap_repair_slabs", "gauge",
			"Slabs that lack copies or shares, that move, and that "
			"no server has room for.");
	put_state(p, "short", atomic_load(&repair->short_slabs));
	put_state(p, "moving", atomic_load(&repair->moving_slabs));
	put_state(p, "stuck", atomic_load(&repair->stuck_slabs));
}

static void put_scrub(struct promtext *p, const struct scrub *scrub)
{
	promtext_gauge(p, "rswap_scrub_running", "1 while a scrub runs.",
		       atomic_load(&scrub->state) == SCRUB_RUNNING);
	promtext_counter(p, "rswap_scrubs_total", "Scrubs that were begun.",
			 atomic_load(&scrub->begun));
	promtext_family(p, "rswap_scrub_pages", "gauge",
			"Of the scrub that runs, or else the last one: pages "
			"that it was to read, that it has read, that were "
			"wrong on a server, that were right on none, and that "
			"a server could not give.");
	put_state(p, "all", atomic_load(&scrub->pages));
	put_state(p, "done", atomic_load(&scrub->done_pages));
	put_state(p, "wrong", atomic_load(&scrub->wrong_pages));
	put_state(p, "lost", atomic_load(&scrub->lost_pages));
	put_state(p, "unread", atomic_load(&scrub->unread_pages));
}

/* --- servers --- */

static uint64_t slabs_of(const struct server *s)
{
	return atomic_load(&s->shared.slabs);
}

static uint64_t free_bytes_of(const struct server *s)
{
	return atomic_load(&s->shared.free_bytes);
}

static uint64_t total_bytes_of(const struct server *s)
{
	return atomic_load(&s->shared.total_bytes);
}

static uint64_t is_asking(const struct server *s)
{
	return atomic_load(&s->shared.release_slabs) != 0;
}

static uint64_t reconnects_of(const struct server *s)
{
	uint32_t sessions = atomic_load(&s->shared.sessions);

	return sessions ? sessions - 1 : 0;
}

static uint64_t recoveries_of(const struct server *s)
{
	return atomic_load(&s->shared.recoveries);
}

static uint64_t wrong_chunks_of(const struct server *s)
{
	return atomic_load(&s->shared.wrong_chunks);
}

static const struct {
	const char *name, *type, *help;
	uint64_t (*of)(const struct server *server);
} server_metrics[] = {
	{ "rswap_server_slabs", "gauge", "Slabs that the server has granted.",
	  slabs_of },
	{ "rswap_server_free_bytes", "gauge",
	  "Memory that the server still offers.", free_bytes_of },
	{ "rswap_server_size_bytes", "gauge", "All memory of the server.",
	  total_bytes_of },
	{ "rswap_server_asks_back", "gauge",
	  "1 while the server asks for slabs back.", is_asking },
	{ "rswap_server_reconnects_total", "counter",
	  "Sessions that were opened after the first.", reconnects_of },
	{ "rswap_server_recoveries_total", "counter",
	  "Times that a broken connection was built anew.", recoveries_of },
	{ "rswap_server_wrong_chunks_total", "counter",
	  "Chunks from the server that failed their check.", wrong_chunks_of },
};

#define SERVER_METRICS (sizeof server_metrics / sizeof server_metrics[0])

/* The next server from I on that is not vacant. */
static uint32_t next(const struct engine *e, uint32_t i)
{
	while (i < e->n_servers && !server_in_use(&e->servers[i]))
		i++;
	return i;
}

static void put_server_states(struct promtext *p, const struct engine *e)
{
	promtext_family(p, "rswap_server_info", "gauge",
			"Always 1; what kind of server this is.");
	for (uint32_t i = next(e, 0); i < e->n_servers; i = next(e, i + 1)) {
		struct server *s = &e->servers[i];
		const struct transport_ops *transport =
			atomic_load(&s->shared.transport);

		promtext_label(p, "server", server_text(s).text);
		promtext_label(p, "kind",
			       server_is_last_resort(s) ? "fallback"
							: "memserver");
		promtext_label(p, "transport",
			       transport ? transport->name : "none");
		promtext_integer(p, 1);
	}
	promtext_family(p, "rswap_server_state", "gauge",
			"1 for the state of the server, 0 for the others.");
	for (uint32_t i = next(e, 0); i < e->n_servers; i = next(e, i + 1)) {
		struct server *s = &e->servers[i];
		enum server_state now = server_state(s);

		for (int state = SERVER_DOWN; state <= SERVER_UP; state++) {
			promtext_label(p, "server", server_text(s).text);
			put_state(p, server_state_name(state),
				  (int)now == state);
		}
	}
}

/* One family of each server's transfers, by operation. */
static void put_transfers(struct promtext *p, const struct engine *e,
			  void (*put)(struct promtext *p,
				      const struct transfer_sum *sum))
{
	for (uint32_t i = next(e, 0); i < e->n_servers; i = next(e, i + 1)) {
		for (int use = 0; use < LANE_USES; use++) {
			struct transfer_sum sum;

			figures_sum_transfers(&e->lanes, i, (enum lane_use)use,
					      &sum);
			promtext_label(p, "server",
				       server_text(&e->servers[i]).text);
			promtext_label(p, "op", use_names[use]);
			put(p, &sum);
		}
	}
}

static void put_transfer_bytes(struct promtext *p,
			       const struct transfer_sum *sum)
{
	promtext_integer(p, sum->bytes);
}

static void put_transfer_errors(struct promtext *p,
				const struct transfer_sum *sum)
{
	promtext_integer(p, sum->errors);
}

static void put_transfer_times(struct promtext *p,
			       const struct transfer_sum *sum)
{
	put_histogram(p, &sum->latency);
}

static void put_servers(struct promtext *p, const struct engine *e)
{
	put_server_states(p, e);
	for (size_t m = 0; m < SERVER_METRICS; m++) {
		promtext_family(p, server_metrics[m].name,
				server_metrics[m].type, server_metrics[m].help);
		for (uint32_t i = next(e, 0); i < e->n_servers;
		     i = next(e, i + 1)) {
			promtext_label(p, "server",
				       server_text(&e->servers[i]).text);
			promtext_integer(p,
					 server_metrics[m].of(&e->servers[i]));
		}
	}
	promtext_family(p, "rswap_server_transfer_bytes_total", "counter",
			"Bytes of transfers with the server.");
	put_transfers(p, e, put_transfer_bytes);
	promtext_family(p, "rswap_server_transfer_errors_total", "counter",
			"Transfers with the server that failed.");
	put_transfers(p, e, put_transfer_errors);
	promtext_family(p, "rswap_server_transfer_duration_seconds",
			"histogram",
			"How long transfers took, or until another server was "
			"faster.");
	put_transfers(p, e, put_transfer_times);
}

/* --- the pool --- */

static void put_pool_servers(struct promtext *p,
			     const struct poolwatch_figures *f,
			     const char *state, uint64_t n)
{
	promtext_label(p, "pool", f->name);
	put_state(p, state, n);
}

static void put_reservation(struct promtext *p,
			    const struct poolwatch_figures *f)
{
	promtext_family(p, "rswap_pool_reservation_bytes", "gauge",
			"What the device reserves in its pool "
			"(pool-reserve=), as it is wanted and as it is held.");
	put_state(p, "wanted", f->reserve.wanted_bytes);
	put_state(p, "held", f->reserve.held_bytes);
}

static void put_etcd(struct promtext *p, const struct etcd_figures *f)
{
	promtext_family(p, "rswap_pool_heard_seconds", "gauge",
			"With pool=: how long ago etcd last answered, or told "
			"of a change.");
	if (f->heard_ns)
		promtext_seconds(p, clock_now_ns() - f->heard_ns);
	promtext_counter(p, "rswap_pool_failures_total",
			 "Calls to etcd that failed at all of its servers, and "
			 "watches that ended.",
			 f->failures);
}

static void put_pool(struct promtext *p, const struct engine *e,
		     struct poolwatch *pool)
{
	struct poolwatch_figures f = { .is_away = false };
	bool has_pool = poolwatch_get_figures(pool, &f);

	promtext_gauge(p, "rswap_pool_away",
		       "1 while etcd does not tell of the pool's servers "
		       "(pool=), which then stay as they are known.",
		       f.is_away);
	promtext_family(p, "rswap_pool_servers", "gauge",
			"Of the pool, if there is one: servers that are "
			"registered, those of them that are serving, servers "
			"in use, and how many may be (servers-max).");
	if (has_pool) {
		put_pool_servers(p, &f, "registered", f.registered);
		put_pool_servers(p, &f, "serving", f.serving);
		put_pool_servers(p, &f, "used", roster_used(e));
		put_pool_servers(p, &f, "max", e->config.servers_max);
	}
	put_etcd(p, &f.etcd);
	put_reservation(p, &f);
}

/* --- all of it --- */

/* With labels of the longest server's name: 48 lines of histogram for reads and
 * for writes, and some 20 other lines. */
#define SERVER_BYTES (128u * 256)
#define OTHER_BYTES  (64u * 1024)

size_t metrics_bytes(uint32_t n_servers)
{
	return OTHER_BYTES + (size_t)n_servers * SERVER_BYTES;
}

void metrics_write(const struct engine *engine, struct poolwatch *pool,
		   const struct safety *safety, uint64_t start_time_ns,
		   FILE *out)
{
	struct promtext p = { .out = out };

	put_process(&p, safety, start_time_ns);
	put_device(&p, engine);
	put_requests(&p, engine);
	put_repair(&p, engine->repair);
	put_scrub(&p, &engine->repair->scrub);
	put_pool(&p, engine, pool);
	put_servers(&p, engine);
}
