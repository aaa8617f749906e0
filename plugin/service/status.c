#include "status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "ctlsock.h"
#include "lifecycle.h"
#include "net.h"
#include "repair/repair.h"

static void put(FILE *out, const char *key, uint64_t value)
{
	fprintf(out, "%s %" PRIu64 "\n", key, value);
}

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

static void put_device(const struct engine *e, FILE *out)
{
	struct slab_sums sums = sum_slabs(&e->slabs);

	put(out, "size_bytes", e->config.size_bytes);
	put(out, "page_bytes", PAGE_BYTES);
	put(out, "pages_present", (uint64_t)sums.present_pages);
	put(out, "pages_lost", (uint64_t)atomic_load(&e->pages.lost));
	put(out, "pages_lost_ever", atomic_load(&e->counters.pages_lost));
	put(out, "slab_bytes", e->slabs.geometry.slab_bytes);
	put(out, "slabs", e->slabs.n);
	put(out, "slabs_live", sums.live);
	put(out, "taken_bytes", taken_bytes(e));
	put(out, "present_bytes", present_bytes(e, &sums));
}

/* How pages are kept, which shards are missing, and what repair has done. */
static void put_redundancy(const struct engine *e, FILE *out)
{
	struct redundancy_text text = redundancy_format(&e->config.redundancy);
	const struct repair *repair = e->repair;

	fprintf(out, "%s %s\n", text.key, text.value);
	fprintf(out, "cipher %s\n", codec_cipher(&e->codec));
	fprintf(out, "checksum %s\n", e->config.checksum ? "yes" : "no");
	put(out, "repair_after_ms", e->config.repair_after_ns / NS_PER_MS);
	put(out, "slabs_short", atomic_load(&repair->short_slabs));
	put(out, "slabs_moving", atomic_load(&repair->moving_slabs));
	put(out, "slabs_stuck", atomic_load(&repair->stuck_slabs));
	put(out, "pages_stale", atomic_load(&repair->stale_pages));
	put(out, "pages_copied", atomic_load(&repair->copied_pages));
	put(out, "wrong_reads", atomic_load(&e->counters.wrong_reads));
	put(out, "wrong_lost", atomic_load(&e->counters.wrong_lost));
}

/* How long ago an event was.  WHEN_NS is 0 if there was none. */
static void put_ago(FILE *out, const char *key, uint64_t when_ns)
{
	if (when_ns)
		put(out, key, (clock_now_ns() - when_ns) / NS_PER_MS);
}

/* Failed reads and writes are counted separately: a failed read kills a
 * program, and the kernel keeps a page whose write fails. */
static void put_errors(const struct engine_counters *c, FILE *out)
{
	uint64_t reads = atomic_load(&c->read_errors);
	uint64_t writes = atomic_load(&c->write_errors);

	put(out, "errors", reads + writes);
	put(out, "read_errors", reads);
	put(out, "write_errors", writes);
	put_ago(out, "last_error_ms", atomic_load(&c->last_error_ns));
}

/* How many clients there are, and when a signal asked for the end. */
static void put_lifecycle(FILE *out)
{
	put(out, "connections", lifecycle_clients());
	put_ago(out, "asked_to_end_ms", lifecycle_asked_ns());
}

static void put_requests(const struct engine *e, FILE *out)
{
	struct {
		uint64_t reads, writes, read_bytes, write_bytes, retries,
			hedges;
	} sum = { 0 };

	for (uint32_t i = 0; i < e->lanes.n; i++) {
		const struct lane_counters *c = &e->lanes.lanes[i].counters;

		sum.reads += atomic_load(&c->reads);
		sum.writes += atomic_load(&c->writes);
		sum.read_bytes += atomic_load(&c->read_bytes);
		sum.write_bytes += atomic_load(&c->write_bytes);
		sum.retries += atomic_load(&c->retries);
		sum.hedges += atomic_load(&c->hedges);
	}
	put(out, "reads", sum.reads + atomic_load(&e->counters.local_reads));
	put(out, "writes", sum.writes + atomic_load(&e->counters.local_writes));
	put(out, "zeroes", atomic_load(&e->counters.zeroes));
	put(out, "trims", atomic_load(&e->counters.trims));
	put(out, "zero_pages", atomic_load(&e->counters.zero_pages));
	put(out, "local_reads", atomic_load(&e->counters.local_reads));
	put(out, "local_writes", atomic_load(&e->counters.local_writes));
	put(out, "read_bytes", sum.read_bytes);
	put(out, "write_bytes", sum.write_bytes);
	put_errors(&e->counters, out);
	put(out, "retries", sum.retries);
	put(out, "hedges", sum.hedges);
}

static void put_hex(FILE *out, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%02x", bytes[i]);
	fputc('\n', out);
}

static void put_identity(struct server *p, FILE *out)
{
	uint8_t incarnation[WIRE_INCARNATION_BYTES];
	char zone[WIRE_ZONE_BYTES];

	pthread_mutex_lock(&p->lock);
	memcpy(zone, p->locked.zone, sizeof zone);
	memcpy(incarnation, p->locked.incarnation, sizeof incarnation);
	pthread_mutex_unlock(&p->lock);
	if (zone[0])
		fprintf(out, "server.%u.zone %s\n", p->index, zone);
	fprintf(out, "server.%u.incarnation ", p->index);
	put_hex(out, incarnation, sizeof incarnation);
}

static void put_server(struct server *p, FILE *out)
{
	const struct transport_ops *transport =
		atomic_load(&p->shared.transport);
	uint32_t sessions = atomic_load(&p->shared.sessions);
	uint64_t answered_ns = atomic_load(&p->shared.answered_ns);
	unsigned i = p->index;

	fprintf(out, "server.%u.address %s\n", i, p->text.text);
	fprintf(out, "server.%u.state %s\n", i,
		server_state_name(server_state(p)));
	if (answered_ns)
		fprintf(out, "server.%u.answered_ms %" PRIu64 "\n", i,
			(uint64_t)((clock_now_ns() - answered_ns) / NS_PER_MS));
	fprintf(out, "server.%u.transport %s\n", i,
		transport ? transport->name : "none");
	fprintf(out, "server.%u.slabs %u\n", i, atomic_load(&p->shared.slabs));
	fprintf(out, "server.%u.free_bytes %" PRIu64 "\n", i,
		atomic_load(&p->shared.free_bytes));
	fprintf(out, "server.%u.total_bytes %" PRIu64 "\n", i,
		atomic_load(&p->shared.total_bytes));
	fprintf(out, "server.%u.release_slabs %u\n", i,
		atomic_load(&p->shared.release_slabs));
	fprintf(out, "server.%u.grace_ms %u\n", i,
		atomic_load(&p->shared.grace_ms));
	put_identity(p, out);
	fprintf(out, "server.%u.reconnects %u\n", i,
		sessions ? sessions - 1 : 0);
	fprintf(out, "server.%u.recoveries %u\n", i,
		atomic_load(&p->shared.recoveries));
	fprintf(out, "server.%u.wrong_chunks %" PRIu64 "\n", i,
		atomic_load(&p->shared.wrong_chunks));
	fprintf(out, "server.%u.read_us %" PRIu64 "\n", i,
		(uint64_t)(atomic_load(&p->shared.usual_ns) / NS_PER_US));
}

static void put_safety(const struct safety *safety, FILE *out)
{
	for (int i = 0; i < SAFETY_SETTINGS; i++)
		fprintf(out, "safety.%s %s%s%s\n",
			safety_name((enum safety_setting)i),
			safety->setting[i].holds ? "yes" : "no",
			safety->setting[i].holds ? "" : " ",
			safety->setting[i].why.text);
}

static bool answer(const char *command, FILE *out, void *arg)
{
	const struct status_server *server = arg;
	const struct engine *e = server->engine;

	if (strcmp(command, "status"))
		return false;
	fprintf(out, "role plugin\nversion %s\n", RSWAP_VERSION);
	put(out, "pid", (uint64_t)getpid());
	put(out, "uptime_s", (clock_now_ns() - e->start_ns) / NS_PER_S);
	put_lifecycle(out);
	put_device(e, out);
	put_redundancy(e, out);
	put(out, "timeout_ms", e->config.timeout_ns / NS_PER_MS);
	put(out, "lanes", e->lanes.config.lanes);
	put(out, "lane_bytes",
	    e->lanes.config.channel.buffer_bytes +
		    e->lanes.config.scratch_bytes);
	put_requests(e, out);
	for (uint32_t i = 0; i < e->n_servers; i++)
		put_server(&e->servers[i], out);
	put_safety(server->safety, out);
	put(out, "locked_bytes", safety_locked_bytes());
	return true;
}

static void *status_main(void *arg)
{
	/* Static, so that the buffer is locked with the plugin. */
	static char buffer[256 * 1024];
	const struct status_server *status = arg;
	const struct ctlsock_server server = {
		.listen_fd = status->listen_fd,
		.stop_fd = status->stop_fd,
		.answer = answer,
		.arg = arg,
		.buffer = buffer,
		.buffer_bytes = sizeof buffer,
	};

	ctlsock_serve(&server);
	return NULL;
}

int status_listen(struct status_server *server, const char *path,
		  struct error *why)
{
	*server = (struct status_server){ .path = path };
	server->listen_fd = net_listen_unix(path, why);
	if (server->listen_fd < 0)
		return server->listen_fd;
	server->listening = true;
	return 0;
}

int status_start(struct status_server *server, const struct engine *engine,
		 const struct safety *safety, struct error *why)
{
	int rc;

	server->engine = engine;
	server->safety = safety;
	server->stop_fd = eventfd(0, EFD_CLOEXEC);
	rc = server->stop_fd < 0 ? errno
				 : pthread_create(&server->thread, NULL,
						  status_main, server);
	if (rc) {
		error_set(why, "the control socket's thread: %s", strerror(rc));
		if (server->stop_fd >= 0)
			close(server->stop_fd);
	}
	server->running = rc == 0;
	return -rc;
}

void status_stop(struct status_server *server)
{
	uint64_t one = 1;

	if (server->running) {
		(void)!write(server->stop_fd, &one, sizeof one);
		pthread_join(server->thread, NULL);
		close(server->stop_fd);
	}
	if (server->listening) {
		unlink(server->path);
		close(server->listen_fd);
	}
	server->running = server->listening = false;
}
