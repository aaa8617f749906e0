#include "report.h"

#include <string.h>
#include <unistd.h>

#include "blockdev.h"
#include "clock.h"
#include "heartbeat.h"
#include "jsonout.h"
#include "lifecycle.h"
#include "repair/repair.h"
#include "servers/roster.h"

struct slab_sums {
	uint64_t live;
	int64_t present_pages;
};

static struct slab_sums sum_slabs(const struct slab_table *table)
{
	struct slab_sums sums = { 0 };

	for (uint64_t i = 0; i < table->n; i++) {
		sums.live += slab_state(&table->slabs[i]) == SLAB_LIVE;
		sums.present_pages +=
			atomic_load(&table->slabs[i].present_pages);
	}
	return sums;
}

/* The memory that servers and the fallback have granted to this device. */
static uint64_t taken_bytes(const struct engine *e)
{
	uint64_t slabs = 0;

	for (uint32_t i = 0; i < e->n_servers; i++)
		slabs += atomic_load(&e->servers[i].shared.slabs);
	return slabs * e->slabs.geometry.slab_bytes;
}

/* The part of taken_bytes that the stored pages need, in all their copies or
 * shares. */
static uint64_t present_bytes(const struct engine *e,
			      const struct slab_sums *sums)
{
	return (uint64_t)sums->present_pages * e->redundancy.shards *
	       e->slabs.geometry.chunk_bytes;
}

static void put_device(const struct engine *e, struct jsonout *j)
{
	struct slab_sums sums = sum_slabs(&e->slabs);

	jsonout_number(j, "size_bytes", e->config.size_bytes);
	jsonout_number(j, "page_bytes", PAGE_BYTES);
	jsonout_number(j, "pages_present", (uint64_t)sums.present_pages);
	jsonout_number(j, "pages_lost", (uint64_t)atomic_load(&e->pages.lost));
	jsonout_number(j, "pages_lost_ever",
		       atomic_load(&e->counters.pages_lost));
	jsonout_number(j, "slab_bytes", e->slabs.geometry.slab_bytes);
	jsonout_number(j, "slabs", e->slabs.n);
	jsonout_number(j, "slabs_live", sums.live);
	jsonout_number(j, "taken_bytes", taken_bytes(e));
	jsonout_number(j, "present_bytes", present_bytes(e, &sums));
}

/* How pages are kept. */
static void put_redundancy(const struct engine *e, struct jsonout *j)
{
	const struct redundancy_config *r = &e->config.redundancy;
	struct redundancy_text text = redundancy_format(r);

	if (r->data)
		jsonout_text(j, text.key, text.value);
	else
		jsonout_number(j, text.key, r->copies);
	jsonout_text(j, "cipher", codec_cipher(&e->codec));
	jsonout_bool(j, "checksum", e->config.checksum);
	jsonout_number(j, "repair_after_ms",
		       e->config.repair_after_ns / NS_PER_MS);
	jsonout_number(j, "wrong_reads", atomic_load(&e->counters.wrong_reads));
	jsonout_number(j, "wrong_lost", atomic_load(&e->counters.wrong_lost));
}

/* Repairing and moving: what is under way, and for how long. */
static void put_progress(const struct repair *repair, struct jsonout *j)
{
	uint64_t since_ns = atomic_load(&repair->since_ns);
	uint64_t left = repair_left_pages(repair);
	uint64_t rate = atomic_load(&repair->pages_per_s);

	jsonout_begin(j, "repair", '{');
	jsonout_bool(j, "running", since_ns != 0);
	if (since_ns) {
		jsonout_number(j, "since_s",
			       (clock_now_ns() - since_ns) / NS_PER_S);
		jsonout_number(j, "done_pages",
			       atomic_load(&repair->copied_pages) -
				       atomic_load(&repair->since_copied));
		jsonout_number(j, "left_pages", left);
		jsonout_number(j, "pages_per_s", rate);
		if (rate)
			jsonout_number(j, "left_s", (left + rate - 1) / rate);
	}
	jsonout_end(j, '}');
}

/* The scrub that runs, or the last one. */
static void put_scrub(const struct scrub *scrub, struct jsonout *j)
{
	int state = atomic_load(&scrub->state);
	uint64_t began_ns = atomic_load(&scrub->began_ns);
	uint64_t ended_ns = atomic_load(&scrub->ended_ns);
	uint64_t now_ns = clock_now_ns();
	uint64_t end_ns = ended_ns ? ended_ns : now_ns;

	jsonout_begin(j, "scrub", '{');
	jsonout_text(j, "state", scrub_state_name(state));
	jsonout_number(j, "begun", atomic_load(&scrub->begun));
	if (began_ns) {
		jsonout_number(j, "took_s", (end_ns - began_ns) / NS_PER_S);
		jsonout_number(j, "pages", atomic_load(&scrub->pages));
		jsonout_number(j, "done_pages",
			       atomic_load(&scrub->done_pages));
		jsonout_number(j, "wrong_pages",
			       atomic_load(&scrub->wrong_pages));
		jsonout_number(j, "lost_pages",
			       atomic_load(&scrub->lost_pages));
		jsonout_number(j, "unread_pages",
			       atomic_load(&scrub->unread_pages));
	}
	if (ended_ns)
		jsonout_number(j, "ended_s", (now_ns - ended_ns) / NS_PER_S);
	jsonout_end(j, '}');
}

/* Which shards are missing, and what repair has done. */
static void put_repair(const struct repair *repair, struct jsonout *j)
{
	jsonout_number(j, "slabs_short", atomic_load(&repair->short_slabs));
	jsonout_number(j, "slabs_moving", atomic_load(&repair->moving_slabs));
	jsonout_number(j, "slabs_stuck", atomic_load(&repair->stuck_slabs));
	jsonout_number(j, "pages_stale", atomic_load(&repair->stale_pages));
	jsonout_number(j, "pages_copied", atomic_load(&repair->copied_pages));
	put_progress(repair, j);
	put_scrub(&repair->scrub, j);
}

/* How long ago an event was.  WHEN_NS is 0 if there was none. */
static void put_ago(struct jsonout *j, const char *key, uint64_t when_ns)
{
	if (when_ns)
		jsonout_number(j, key, (clock_now_ns() - when_ns) / NS_PER_MS);
}

/* Failed reads and writes are counted separately: a failed read kills a
 * program, and the kernel keeps a page whose write fails. */
static void put_errors(const struct engine_counters *c, struct jsonout *j)
{
	uint64_t reads = atomic_load(&c->read_errors);
	uint64_t writes = atomic_load(&c->write_errors);

	jsonout_number(j, "errors", reads + writes);
	jsonout_number(j, "read_errors", reads);
	jsonout_number(j, "write_errors", writes);
	put_ago(j, "last_error_ms", atomic_load(&c->last_error_ns));
}

/* How many clients there are, when a signal asked for the end, and how long the
 * loops have not turned. */
static void put_lifecycle(struct jsonout *j)
{
	jsonout_number(j, "connections", lifecycle_clients());
	put_ago(j, "asked_to_end_ms", lifecycle_asked_ns());
	put_ago(j, "turned_ms", heartbeat_oldest_ns());
}

/* What SUBJECT took lately. */
static void put_latency(struct engine *e, const char *key, uint32_t subject,
			enum lane_use use, struct jsonout *j)
{
	struct latency_sum sum;
	uint64_t window_ns = recent_sum(&e->recent, subject, use, &sum);

	jsonout_begin(j, key, '{');
	jsonout_number(j, "window_ms", window_ns / NS_PER_MS);
	jsonout_number(j, "count", sum.count);
	if (sum.count) {
		jsonout_real(j, "p50_us",
			     (double)latency_quantile_ns(&sum, 500) / 1e3);
		jsonout_real(j, "p99_us",
			     (double)latency_quantile_ns(&sum, 990) / 1e3);
	}
	jsonout_end(j, '}');
}

static void put_requests(struct engine *e, struct jsonout *j)
{
	uint64_t local_reads = engine_counted(e, ENGINE_LOCAL_READS);
	uint64_t local_writes = engine_counted(e, ENGINE_LOCAL_WRITES);
	struct lane_sum sum;

	figures_sum(&e->lanes, &sum);
	jsonout_number(j, "reads", sum.requests[LANE_READ].count + local_reads);
	jsonout_number(j, "writes",
		       sum.requests[LANE_WRITE].count + local_writes);
	jsonout_number(j, "zeroes", engine_counted(e, ENGINE_ZEROES));
	jsonout_number(j, "trims", engine_counted(e, ENGINE_TRIMS));
	jsonout_number(j, "zero_pages", engine_counted(e, ENGINE_ZERO_PAGES));
	jsonout_number(j, "local_reads", local_reads);
	jsonout_number(j, "local_writes", local_writes);
	jsonout_number(j, "read_bytes", sum.bytes[LANE_READ]);
	jsonout_number(j, "write_bytes", sum.bytes[LANE_WRITE]);
	put_errors(&e->counters, j);
	jsonout_number(j, "retries", sum.retries);
	jsonout_number(j, "hedges", sum.hedges);
	put_latency(e, "read_latency", RECENT_REQUESTS, LANE_READ, j);
	put_latency(e, "write_latency", RECENT_REQUESTS, LANE_WRITE, j);
}

/* --- servers --- */

static void put_identity(struct server *p, struct jsonout *j)
{
	uint8_t incarnation[WIRE_INCARNATION_BYTES];
	char zone[WIRE_ZONE_BYTES];

	pthread_mutex_lock(&p->lock);
	memcpy(zone, p->locked.zone, sizeof zone);
	memcpy(incarnation, p->locked.incarnation, sizeof incarnation);
	pthread_mutex_unlock(&p->lock);
	if (zone[0])
		jsonout_text(j, "zone", zone);
	jsonout_hex(j, "incarnation", incarnation, sizeof incarnation);
}

static void put_path(struct server *p, struct jsonout *j)
{
	struct link_path path;

	pthread_mutex_lock(&p->lock);
	path = p->locked.path;
	pthread_mutex_unlock(&p->lock);
	if (!path.device[0])
		return;
	jsonout_begin(j, "path", '{');
	jsonout_text(j, "device", path.device);
	jsonout_number(j, "port", path.port);
	if (path.gid[0]) {
		jsonout_text(j, "gid", path.gid);
		jsonout_number(j, "gid_index", path.gid_index);
	}
	if (path.mtu_bytes)
		jsonout_number(j, "mtu_bytes", path.mtu_bytes);
	jsonout_end(j, '}');
}

static void put_transfers(struct server *p, struct jsonout *j)
{
	const struct lane_pool *lanes = &p->engine->lanes;
	struct transfer_sum reads, writes;

	figures_sum_transfers(lanes, p->index, LANE_READ, &reads);
	figures_sum_transfers(lanes, p->index, LANE_WRITE, &writes);
	jsonout_number(j, "reads", reads.latency.count);
	jsonout_number(j, "writes", writes.latency.count);
	jsonout_number(j, "read_bytes", reads.bytes);
	jsonout_number(j, "write_bytes", writes.bytes);
	jsonout_number(j, "read_errors", reads.errors);
	jsonout_number(j, "write_errors", writes.errors);
	put_latency(p->engine, "read_latency", p->index, LANE_READ, j);
	put_latency(p->engine, "write_latency", p->index, LANE_WRITE, j);
}

static void put_server(struct server *p, struct jsonout *j)
{
	const struct transport_ops *transport =
		atomic_load(&p->shared.transport);
	uint32_t sessions = atomic_load(&p->shared.sessions);
	uint32_t release = atomic_load(&p->shared.release_slabs);

	jsonout_begin(j, NULL, '{');
	jsonout_text(j, "address", server_text(p).text);
	jsonout_text(j, "state", server_state_name(server_state(p)));
	put_ago(j, "answered_ms", atomic_load(&p->shared.answered_ns));
	jsonout_text(j, "transport", transport ? transport->name : "none");
	jsonout_number(j, "slabs", atomic_load(&p->shared.slabs));
	jsonout_number(j, "free_bytes", atomic_load(&p->shared.free_bytes));
	jsonout_number(j, "total_bytes", atomic_load(&p->shared.total_bytes));
	if (release == WIRE_RELEASE_ALL)
		jsonout_text(j, "release_slabs", "all");
	else
		jsonout_number(j, "release_slabs", release);
	jsonout_number(j, "grace_ms", atomic_load(&p->shared.grace_ms));
	put_identity(p, j);
	put_path(p, j);
	jsonout_number(j, "reconnects", sessions ? sessions - 1 : 0);
	jsonout_number(j, "recoveries", atomic_load(&p->shared.recoveries));
	jsonout_number(j, "wrong_chunks", atomic_load(&p->shared.wrong_chunks));
	jsonout_number(j, "read_us",
		       atomic_load(&p->shared.usual_ns) / NS_PER_US);
	put_transfers(p, j);
	jsonout_end(j, '}');
}

static void put_safety(const struct safety *safety, struct jsonout *j)
{
	jsonout_begin(j, "safety", '{');
	for (int i = 0; i < SAFETY_SETTINGS; i++) {
		jsonout_begin(j, safety_name((enum safety_setting)i), '{');
		jsonout_bool(j, "holds", safety->setting[i].holds);
		if (!safety->setting[i].holds)
			jsonout_text(j, "error", safety->setting[i].why.text);
		jsonout_end(j, '}');
	}
	jsonout_end(j, '}');
	jsonout_bool(j, "confined", safety->confined);
	jsonout_number(j, "locked_bytes", safety_locked_bytes());
}

static void put_reserve(const struct poolreserve_figures *f, struct jsonout *j)
{
	if (!f->wanted_bytes)
		return;
	jsonout_number(j, "reserve_bytes", f->wanted_bytes);
	jsonout_number(j, "reserved_bytes", f->held_bytes);
	if (f->error[0])
		jsonout_text(j, "reserve_error", f->error);
}

/* Left out without a pool. */
static void put_pool(const struct engine *e, struct poolwatch *pool,
		     struct jsonout *j)
{
	struct poolwatch_figures f;

	if (!poolwatch_get_figures(pool, &f))
		return;
	jsonout_begin(j, "pool", '{');
	jsonout_text(j, "name", f.name);
	jsonout_text(j, "state", f.is_away ? "away" : "current");
	jsonout_number(j, "since_s", (clock_now_ns() - f.since_ns) / NS_PER_S);
	jsonout_text(j, "endpoint", f.endpoint.text);
	etcd_figures_put(&f.etcd, j);
	if (f.error[0])
		jsonout_text(j, "error", f.error);
	jsonout_number(j, "registered", f.registered);
	jsonout_number(j, "serving", f.serving);
	jsonout_number(j, "used", roster_used(e));
	jsonout_number(j, "servers_max", e->config.servers_max);
	put_reserve(&f.reserve, j);
	jsonout_end(j, '}');
}

void report_write(struct engine *e, struct poolwatch *pool,
		  const struct safety *safety, FILE *out)
{
	const struct blockdev_name device = blockdev_name();
	struct jsonout j = { .out = out };

	jsonout_begin(&j, NULL, '{');
	jsonout_text(&j, "role", "plugin");
	jsonout_text(&j, "version", RSWAP_VERSION);
	jsonout_number(&j, "pid", (uint64_t)getpid());
	jsonout_number(&j, "uptime_s",
		       (clock_now_ns() - e->start_ns) / NS_PER_S);
	put_lifecycle(&j);
	if (device.path[0])
		jsonout_text(&j, "device", device.path);
	put_device(e, &j);
	put_redundancy(e, &j);
	put_repair(e->repair, &j);
	jsonout_number(&j, "timeout_ms", e->config.timeout_ns / NS_PER_MS);
	jsonout_number(&j, "lanes", e->lanes.config.lanes);
	jsonout_number(&j, "lane_bytes",
		       e->lanes.config.channel.outside_bytes +
			       e->lanes.config.scratch_bytes);
	put_requests(e, &j);
	put_pool(e, pool, &j);
	jsonout_begin(&j, "servers", '[');
	for (uint32_t i = 0; i < e->n_servers; i++) {
		if (server_in_use(&e->servers[i]))
			put_server(&e->servers[i], &j);
	}
	jsonout_end(&j, ']');
	put_safety(safety, &j);
	jsonout_end(&j, '}');
	fputc('\n', out);
}
