/* nbdkit's callbacks: the front end of the page engine. */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "concurrency.h"
#include "engine.h"
#include "journal.h"
#include "log.h"
#include "nbdkit_threads.h"
#include "service/aligned.h"
#include "service/lifecycle.h"
#include "service/safety.h"
#include "service/service.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

/* NBD allows so much in one request.  nbdkit allows twice as much. */
#define MAX_REQUEST_BYTES (32u << 20)

/* nbdkit keeps a buffer for each thread, as large as the largest request that
 * the thread served.  The kernel's nbd device sends 128 KiB at most by default.
 * The heap has that for each thread, and HEAP_BYTES for the rest. */
#define HEAP_BYTES_PER_REQUEST (128u << 10)
#define HEAP_BYTES	       (2u << 20)

static struct service service;
static bool under_journal; /* standard error is */

/* Called by the thread that writes the log, once there is such a thread. */
static void log_line(enum log_level level, const char *line)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		/* nbdkit writes no priority. */
		if (under_journal)
			fprintf(stderr, "%snbdkit: rswap: error: %s\n",
				journal_priority(level), line);
		else
			nbdkit_error("%s", line);
		break;
	case LOG_LEVEL_NOTICE:
		fprintf(stderr, "%snbdkit: rswap: %s\n",
			under_journal ? journal_priority(level) : "", line);
		break;
	case LOG_LEVEL_DEBUG:
		nbdkit_debug("%s", line);
		break;
	case LOG_LEVEL_MANAGER:
		break;
	}
}

/* --- life --- */

static void rswap_load(void)
{
	under_journal = journal_has(STDERR_FILENO);
	log_to(log_line);
	config_fill_help();
	safety_prepare();
}

static int rswap_config(const char *key, const char *value)
{
	if (!config_key(&service.config, key, value))
		return 0;
	nbdkit_error("%s", service.config.why);
	return -1;
}

/* The client is taken to have the usual number of connections. */
static int rswap_config_complete(void)
{
	service.config.requests = nbdkit_threads() * CONCURRENCY_CONNECTIONS;
	if (!config_complete(&service.config))
		return 0;
	nbdkit_error("%s", service.config.why);
	return -1;
}

static void rswap_dump_plugin(void)
{
	char names[512];
	struct error why;

	keys_names(" ", names, sizeof names);
	printf("rswap_version=%s\n", RSWAP_VERSION);
	printf("rswap_protocol=%d\n", WIRE_VERSION);
	printf("rswap_page_bytes=%u\n", PAGE_BYTES);
	printf("rswap_keys=%s\n", names);
	printf("rswap_transports=");
	for (size_t i = 0; i < WIRE_TRANSPORTS; i++)
		printf("%s%s", i ? " " : "", transports[i]->name);
	printf("\n");
	printf("rswap_rdma_device=%s\n",
	       transport_rdma.available(&why) ? "yes" : "no");
}

/* After this callback errors may no longer reach the terminal. */
static int rswap_get_ready(void)
{
	struct error why;

	if (!service_probe(&service, &why))
		return 0;
	nbdkit_error("%s", why.text);
	return -1;
}

/* Where lanes= says more than nbdkit's threads of two connections need, there
 * are more connections. */
static uint64_t heap_bytes(const struct config *config)
{
	const struct engine_config *e = &config->engine;
	unsigned requests = concurrency_writes(e->lanes);
	uint64_t bytes = HEAP_BYTES;

	if (requests < config->requests)
		requests = config->requests;
	if (requests > CONCURRENCY_LANES_MAX)
		requests = CONCURRENCY_LANES_MAX;
	bytes += (uint64_t)requests * HEAP_BYTES_PER_REQUEST;
	return bytes;
}

/* Lanes fit if those for writes are as many as nbdkit's threads for some number
 * of connections. */
static void advise(const struct config *config)
{
	unsigned threads = nbdkit_threads();
	unsigned lanes = config->engine.lanes;
	unsigned writes = concurrency_writes(lanes);
	unsigned connections = (writes + threads - 1) / threads;
	unsigned fit = concurrency_lanes(config->requests);
	unsigned fit_threads = writes / CONCURRENCY_CONNECTIONS;

	if (!config->given[KEY_LANES] || lanes == fit ||
	    (writes >= threads && connections <= CONCURRENCY_CONNECTIONS_MAX))
		return;
	log_notice("lanes=%u do not fit nbdkit's %u threads for each "
		   "connection (-t): writes may hold %u lanes; for %u "
		   "connections lanes=%u fits -t %u, and -t %u fits lanes=%u",
		   lanes, threads, writes, CONCURRENCY_CONNECTIONS, fit,
		   threads, fit_threads ? fit_threads : 1, lanes);
}

/* nbdkit has its own signal handlers by now. */
static int rswap_after_fork(void)
{
	const struct service_front front = {
		.shut_down = nbdkit_shutdown,
		.heap_bytes = heap_bytes(&service.config),
	};

	if (service_start(&service, &front))
		return -1; /* nbdkit exits */
	service_tell(&service);
	advise(&service.config);
	return 0;
}

static void rswap_unload(void)
{
	service_stop(&service);
}

/* --- connections --- */

static void *rswap_open(int readonly)
{
	(void)readonly;
	if (lifecycle_client_opens())
		return &service.engine;
	log_error("no new client is served: this nbdkit was asked to end, "
		  "and ends when its last client goes");
	return NULL;
}

static void rswap_close(void *handle)
{
	(void)handle;
	lifecycle_client_closed();
}

static int64_t rswap_get_size(void *handle)
{
	(void)handle;
	return (int64_t)service.config.engine.size_bytes;
}

static int rswap_block_size(void *handle, uint32_t *minimum,
			    uint32_t *preferred, uint32_t *maximum)
{
	(void)handle;
	*minimum = *preferred = PAGE_BYTES;
	*maximum = MAX_REQUEST_BYTES;
	return 0;
}

/* All connections share the page map: after a write is acknowledged on one
 * connection, reads on all connections return it. */
static int rswap_can_multi_conn(void *handle)
{
	(void)handle;
	return 1;
}

static int rswap_can_fua(void *handle)
{
	(void)handle;
	/* A write is acknowledged when the servers have it, so every write
	 * is as good as one with FUA. */
	return NBDKIT_FUA_NATIVE;
}

static int rswap_can_fast_zero(void *handle)
{
	(void)handle;
	return 1;
}

/* --- requests --- */

/* RC: 0 or a negative errno.  NBD has only a few errno values, EIO and ENOSPC
 * among them. */
static int result(int rc)
{
	if (rc) {
		lifecycle_hold();
		nbdkit_set_error(-rc);
	}
	return rc ? -1 : 0;
}

static bool whole_pages(const char *what, uint32_t count, uint64_t offset)
{
	if (aligned(what, count, offset))
		return true;
	nbdkit_set_error(EINVAL);
	return false;
}

static int rswap_pread(void *handle, void *buf, uint32_t count, uint64_t offset,
		       uint32_t flags)
{
	int rc;

	(void)flags;
	if (!whole_pages("read", count, offset))
		return -1;
	safety_request_begin();
	rc = engine_read(handle, buf, count, offset);
	safety_request_end();
	return result(rc);
}

static int rswap_pwrite(void *handle, const void *buf, uint32_t count,
			uint64_t offset, uint32_t flags)
{
	int rc;

	(void)flags;
	if (!whole_pages("write", count, offset))
		return -1;
	safety_request_begin();
	rc = engine_write(handle, buf, count, offset);
	safety_request_end();
	return result(rc);
}

/* There is nothing to flush: an acknowledged write is on the servers. */
static int rswap_flush(void *handle, uint32_t flags)
{
	(void)handle;
	(void)flags;
	return 0;
}

static int discard(struct engine *e, enum engine_event event, const char *what,
		   uint32_t count, uint64_t offset)
{
	if (!whole_pages(what, count, offset))
		return -1;
	engine_count(e, event, 1);
	engine_discard(e, count, offset);
	return 0;
}

static int rswap_trim(void *handle, uint32_t count, uint64_t offset,
		      uint32_t flags)
{
	(void)flags;
	return discard(handle, ENGINE_TRIMS, "trim", count, offset);
}

/* Zeroing makes pages absent, whether or not the client allows a hole: NBD
 * calls NO_HOLE a hint.  Zeroing frees memory on the servers.  A later write
 * there can fail only if every server is full. */
static int rswap_zero(void *handle, uint32_t count, uint64_t offset,
		      uint32_t flags)
{
	(void)flags;
	return discard(handle, ENGINE_ZEROES, "zero", count, offset);
}

static int rswap_extents(void *handle, uint32_t count, uint64_t offset,
			 uint32_t flags, struct nbdkit_extents *extents)
{
	uint64_t end = offset + count;

	/* The client may ask about any range.  Extents are whole pages. */
	offset &= ~(uint64_t)(PAGE_BYTES - 1);
	end = (end + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
	while (offset < end) {
		bool absent;
		uint64_t bytes =
			engine_extent(handle, end - offset, offset, &absent);
		uint32_t type =
			absent ? NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO : 0;

		if (nbdkit_add_extent(extents, offset, bytes, type))
			return -1;
		offset += bytes;
		if (flags & NBDKIT_FLAG_REQ_ONE)
			break;
	}
	return 0;
}

static struct nbdkit_plugin plugin = {
	.name = "rswap",
	.longname = "swap to another machine's memory",
	.version = RSWAP_VERSION,
	.description = "Serves a block device whose pages live in the memory "
		       "of other machines, reached over RDMA or TCP.",
	.magic_config_key = "server",
	.config_help = config_help,
	.load = rswap_load,
	.unload = rswap_unload,
	.config = rswap_config,
	.config_complete = rswap_config_complete,
	.dump_plugin = rswap_dump_plugin,
	.get_ready = rswap_get_ready,
	.after_fork = rswap_after_fork,
	.open = rswap_open,
	.close = rswap_close,
	.get_size = rswap_get_size,
	.block_size = rswap_block_size,
	.can_multi_conn = rswap_can_multi_conn,
	.can_fua = rswap_can_fua,
	.can_fast_zero = rswap_can_fast_zero,
	.pread = rswap_pread,
	.pwrite = rswap_pwrite,
	.flush = rswap_flush,
	.trim = rswap_trim,
	.zero = rswap_zero,
	.extents = rswap_extents,
	.errno_is_preserved = 0,
};

NBDKIT_REGISTER_PLUGIN(plugin)
