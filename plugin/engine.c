#include "engine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "io/transfer.h"
#include "log.h"
#include "repair/repair.h"
#include "servers/probe.h"
#include "servers/session.h"
#include "size.h"

/* How long engine_stop waits for requests in flight. */
#define STOP_NS (5 * NS_PER_S)

/* The longest that a server may take to answer an attempt, if another server
 * has the page too. */
#define ATTEMPT_MAX_NS (1 * NS_PER_S)

/* How long servers of a pool may take to answer at start.  There are others. */
#define POOLED_ANSWER_NS (2 * NS_PER_S)

/* --- before anything is opened --- */

/* What the servers answered. */
struct probe {
	struct engine_config *config;
	struct probe_answer *answers; /* [config->n_servers] */
	uint64_t slab_bytes, free_bytes;
	struct error skipped; /* why a server of a pool was taken out last */
};

/* Refuses server I if it is one of the servers before it under another name:
 * its memory would be counted twice, and it would get two shards of a slab. */
static int refuse_same(const struct probe *probe, uint32_t i, struct error *why)
{
	const struct engine_config *config = probe->config;
	const struct probe_answer *answers = probe->answers;

	for (uint32_t k = 0; k < i; k++) {
		if (memcmp(answers[k].welcome.incarnation,
			   answers[i].welcome.incarnation,
			   sizeof answers[i].welcome.incarnation))
			continue;
		error_set(why,
			  "server=%s and server=%s are the same memory "
			  "server: each may be given once",
			  net_name_format(&config->servers[k]).text,
			  net_name_format(&config->servers[i]).text);
		return -EINVAL;
	}
	return 0;
}

static int judge(struct probe *probe, uint32_t i, struct error *why)
{
	const struct probe_answer *answer = &probe->answers[i];
	const struct wire_welcome *welcome = &answer->welcome;
	struct net_text text = net_name_format(&probe->config->servers[i]);
	int rc = answer->rc;

	if (rc) {
		error_set(why, "server=%s: %s", text.text, answer->why.text);
		return rc;
	}
	rc = refuse_same(probe, i, why);
	if (rc)
		return rc;
	if (i > 0 && welcome->slab_bytes != probe->slab_bytes) {
		error_set(why,
			  "server=%s has slabs of %s, the servers before it "
			  "have %s: all must have the same",
			  text.text, size_format(welcome->slab_bytes).text,
			  size_format(probe->slab_bytes).text);
		return -EINVAL;
	}
	probe->slab_bytes = welcome->slab_bytes;
	probe->free_bytes += welcome->free_bytes;
	return 0;
}

static void ask(struct probe *probe, uint32_t from, uint32_t n,
		uint64_t deadline_ns)
{
	probe_servers(probe->config, &probe->config->servers[from], n,
		      deadline_ns, &probe->answers[from]);
}

/* Takes the servers of a pool from I on out, N of them. */
static void take_out(struct probe *probe, uint32_t i, uint32_t n)
{
	struct engine_config *config = probe->config;
	uint32_t behind = config->n_servers - i - n;

	memmove(&config->servers[i], &config->servers[i + n],
		behind * sizeof *config->servers);
	memmove(&probe->answers[i], &probe->answers[i + n],
		behind * sizeof *probe->answers);
	config->n_servers -= n;
	config->n_pooled -= n;
}

/* As many as are missing, and if these are not enough, all others.  A server
 * that does not answer as it should may come later. */
static void probe_pooled(struct probe *probe, uint32_t i, uint64_t deadline_ns)
{
	struct engine_config *config = probe->config;
	uint32_t most = config->n_servers < config->servers_max
				? config->n_servers
				: config->servers_max;

	while (i < most && i < config->servers_max) {
		uint64_t soon_ns = clock_now_ns() + POOLED_ANSWER_NS;

		ask(probe, i, most - i,
		    soon_ns < deadline_ns ? soon_ns : deadline_ns);
		for (uint32_t left = most - i; left && i < config->servers_max;
		     left--) {
			if (!judge(probe, i, &probe->skipped)) {
				i++;
				continue;
			}
			log_notice("%s; starting without it",
				   probe->skipped.text);
			take_out(probe, i, 1);
		}
		most = config->n_servers;
	}
	take_out(probe, i, config->n_servers - i);
}

static int probe_all(struct probe *probe, struct error *why)
{
	struct engine_config *config = probe->config;
	uint64_t deadline_ns = clock_now_ns() + engine_reach_ns(config);
	uint32_t by_hand = config->n_servers - config->n_pooled;
	int rc = 0;

	ask(probe, 0, by_hand, deadline_ns);
	for (uint32_t i = 0; i < by_hand && !rc; i++)
		rc = judge(probe, i, why);
	if (!rc && config->n_pooled)
		probe_pooled(probe, by_hand, deadline_ns);
	return rc;
}

/* A pool may have fewer servers than it takes. */
static int check_number(const struct probe *probe, struct error *why)
{
	const struct engine_config *config = probe->config;
	uint32_t shards = redundancy_shards(&config->redundancy);

	if (!config->servers_max || config->n_servers >= shards)
		return 0;
	error_set(why, "%u server%s, and %s needs %u%s%.120s",
		  config->n_servers,
		  config->n_servers == 1 ? " can be used" : "s can be used",
		  redundancy_format(&config->redundancy).key, shards,
		  *probe->skipped.text ? ": " : "", probe->skipped.text);
	return -ENOENT;
}

/* The bytes of a page in each shard. */
static uint32_t chunk_bytes(const struct engine_config *config)
{
	return redundancy_chunk_bytes(&config->redundancy,
				      codec_unit_bytes(config->encrypt));
}

uint64_t engine_count_slabs(const struct engine_config *config,
			    uint64_t slab_bytes)
{
	uint32_t need = config->redundancy.data ? config->redundancy.data : 1;
	struct slab_geometry geometry =
		slab_geometry(config->size_bytes / PAGE_BYTES, slab_bytes,
			      chunk_bytes(config), need);

	return geometry_slabs(&geometry);
}

static int open_fallback(const struct engine_config *config,
			 uint64_t slab_bytes, struct fallback *fallback,
			 struct error *why)
{
	struct fallback_config f = { .path = config->fallback,
				     .size_bytes = config->fallback_bytes,
				     .default_slots = engine_count_slabs(
					     config, slab_bytes),
				     .slab_bytes = slab_bytes,
				     .chunk_bytes = chunk_bytes(config) };

	memset(fallback, 0, sizeof *fallback);
	return config->fallback ? fallback_open(fallback, &f, why) : 0;
}

/* Whether the servers and the fallback, which it closes if not, have room. */
static int check_room(const struct engine_config *config,
		      const struct probe *probe, struct fallback *fallback,
		      struct error *why)
{
	uint64_t free_bytes =
		probe->free_bytes + fallback_total_bytes(fallback);
	uint64_t wanted_bytes = engine_count_slabs(config, probe->slab_bytes) *
				redundancy_shards(&config->redundancy) *
				probe->slab_bytes;

	if (config->is_reserved || free_bytes >= wanted_bytes)
		return 0;
	fallback_close(fallback);
	error_set(why,
		  "size=%s (%" PRIu64 " bytes%s%s) is more than the server%s "
		  "can grant now: %s (%" PRIu64 " bytes)",
		  size_format(config->size_bytes).text, config->size_bytes,
		  wanted_bytes > config->size_bytes ? ", as stored " : "",
		  wanted_bytes > config->size_bytes
			  ? size_format(wanted_bytes).text
			  : "",
		  config->n_servers > 1 ? "s" : "",
		  size_format(free_bytes).text, free_bytes);
	return -ENOSPC;
}

int engine_probe(struct engine_config *config, uint64_t *slab_bytes,
		 struct fallback *fallback, struct error *why)
{
	struct probe probe = { .config = config };
	int rc;

	probe.answers = calloc(config->n_servers, sizeof *probe.answers);
	if (!probe.answers) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	rc = probe_all(&probe, why);
	free(probe.answers);
	if (!rc)
		rc = check_number(&probe, why);
	if (rc)
		return rc;
	*slab_bytes = probe.slab_bytes;
	if (open_fallback(config, *slab_bytes, fallback, why))
		return -EIO;
	return check_room(config, &probe, fallback, why);
}

/* --- life --- */

static uint32_t count_remote(const struct engine_config *config)
{
	return config->servers_max ? config->servers_max : config->n_servers;
}

/* The fallback counts as one more server, the last. */
static uint32_t count_servers(const struct engine_config *config)
{
	return count_remote(config) + (config->fallback != NULL);
}

static int create_local_server(struct engine *engine, struct error *why)
{
	struct server *server = &engine->servers[engine->n_servers];
	struct net_name name = { .port = 0 };
	int rc = server_create(server, engine, engine->n_servers,
			       &session_fallback, &name, why);

	if (rc)
		return rc;
	snprintf(server->text.text, sizeof server->text.text, "fallback=%s",
		 engine->config.fallback);
	engine->n_servers++;
	return 0;
}

static int create_servers(struct engine *engine, struct error *why)
{
	const struct engine_config *config = &engine->config;

	engine->servers =
		calloc(count_servers(config), sizeof *engine->servers);
	if (!engine->servers) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < count_remote(config); i++) {
		bool vacant = i >= config->n_servers;
		int rc = server_create(
			&engine->servers[i], engine, i, &session_remote,
			vacant ? NULL : &config->servers[i], why);

		if (rc)
			return rc;
		engine->n_servers++;
	}
	return config->fallback ? create_local_server(engine, why) : 0;
}

/* Called by lane_reap: transfers to SERVER were not answered in time. */
static void give_up_late(void *owner, uint32_t server)
{
	struct engine *engine = owner;

	server_break(&engine->servers[server],
		     transfer_failure_text(-ETIMEDOUT));
}

/* Wakes the repairer, which reaps lanes that were parked. */
static void parked(void *owner)
{
	struct engine *engine = owner;

	wake_up(&engine->wake);
}

static int create_lanes(struct engine *engine, struct error *why)
{
	const struct engine_config *config = &engine->config;
	struct lane_pool_config pool = {
		.lanes = config->lanes,
		.servers = count_servers(config),
		.channel = { .buffer_bytes =
				     (uint32_t)lane_channel_bytes(engine),
			     .outside_bytes =
				     (uint32_t)lane_outside_bytes(engine),
			     .spin_ns = config->spin_ns },
		.scratch_bytes = lane_scratch_bytes(engine),
		.late_ns = engine->attempt_ns,
		.give_up = give_up_late,
		.parked = parked,
		.owner = engine,
	};

	return lane_pool_create(&engine->lanes, &pool, why);
}

static int create_recent(struct engine *engine, struct error *why)
{
	int rc = recent_create(&engine->recent, &engine->lanes);

	if (rc)
		error_set(why, "out of memory");
	return rc;
}

void engine_destroy(struct engine *engine)
{
	repair_destroy(engine);
	for (uint32_t i = 0; i < engine->n_servers; i++)
		server_destroy(&engine->servers[i]);
	free(engine->servers);
	recent_destroy(&engine->recent);
	if (engine->lanes.n)
		lane_pool_destroy(&engine->lanes);
	slab_table_destroy(&engine->slabs);
	pagemap_destroy(&engine->pages);
	codec_destroy(&engine->codec);
	fallback_close(&engine->fallback);
	if (engine->redundancy.ops)
		redundancy_destroy(&engine->redundancy);
	pthread_mutex_destroy(&engine->identities);
	memset(engine, 0, sizeof *engine);
}

/* If only one server has a page, the only remedy for a late answer is a new
 * connection.  Otherwise another server can answer, so an attempt ends sooner.
 */
static uint64_t attempt_ns(const struct engine *engine)
{
	uint64_t ns = engine_answer_ns(&engine->config);

	if (redundancy_can_spare(&engine->redundancy) && ns > ATTEMPT_MAX_NS)
		ns = ATTEMPT_MAX_NS;
	return ns;
}

int engine_create(struct engine *engine, const struct engine_config *config,
		  uint64_t slab_bytes, const struct fallback *fallback,
		  struct error *why)
{
	uint64_t pages = config->size_bytes / PAGE_BYTES;
	/* And the repairer's lane. */
	struct codec_config codec = { .pages = pages,
				      .lanes = config->lanes + 1,
				      .encrypt = config->encrypt,
				      .checksum = config->checksum };
	struct slab_geometry geometry;
	int rc;

	memset(engine, 0, sizeof *engine);
	pthread_mutex_init(&engine->identities, NULL);
	engine->config = *config;
	if (fallback)
		engine->fallback = *fallback;
	engine->start_ns = clock_now_ns();
	rc = codec_create(&engine->codec, &codec, why);
	if (!rc)
		rc = redundancy_create(&engine->redundancy, &config->redundancy,
				       engine->codec.unit_bytes, why);
	if (rc) {
		engine_destroy(engine);
		return rc;
	}
	engine->attempt_ns = attempt_ns(engine);
	geometry =
		slab_geometry(pages, slab_bytes, engine->redundancy.chunk_bytes,
			      engine->redundancy.need);
	rc = pagemap_create(&engine->pages, pages, why);
	if (!rc)
		/* One more shard than there are shard indexes, for a shard
		 * that moves. */
		rc = slab_table_create(&engine->slabs, geometry,
				       engine->redundancy.shards + 1, why);
	if (!rc)
		rc = create_lanes(engine, why);
	if (!rc)
		rc = create_recent(engine, why);
	if (!rc)
		rc = create_servers(engine, why);
	if (!rc)
		rc = repair_create(engine, why);
	if (rc)
		engine_destroy(engine);
	return rc;
}

static bool is_pooled(const struct engine_config *config, uint32_t i)
{
	return i >= config->n_servers - config->n_pooled &&
	       i < config->n_servers;
}

/* Waits for the session of server I.  Without a server of a pool the engine
 * starts. */
static int wait_first(struct engine *engine, uint32_t i, uint64_t deadline_ns,
		      uint32_t *missing, struct error *why)
{
	struct server *server = &engine->servers[i];
	struct error inner = { "" };
	int rc = 0;

	if (server_in_use(server))
		rc = session_wait_first(server, deadline_ns, &inner);
	else
		*missing += 1;
	if (!rc)
		return 0;
	error_set(why, "server=%s: %s", server->text.text, inner.text);
	if (!is_pooled(&engine->config, i))
		return rc;
	log_notice("%s; starting without it", why->text);
	*missing += 1;
	return 0;
}

int engine_start(struct engine *engine, uint64_t deadline_ns, struct error *why)
{
	uint32_t n = engine->n_servers, missing = 0;

	for (uint32_t i = 0; i < n; i++) {
		int rc = session_start(&engine->servers[i], why);

		if (rc)
			return rc;
	}
	for (uint32_t i = 0; i < n; i++) {
		int rc = wait_first(engine, i, deadline_ns, &missing, why);

		if (rc)
			return rc;
	}
	/* WHY tells of one that is missing. */
	if (n - missing < engine->redundancy.shards)
		return -EIO;
	return repair_start(engine, why);
}

bool engine_stop(struct engine *engine)
{
	uint64_t deadline_ns = clock_now_ns() + STOP_NS;
	bool ended;

	if (engine->n_servers == 0)
		return true;
	/* New requests fail.  Requests in flight end when their servers
	 * stop. */
	lane_pool_close(&engine->lanes, 0);
	repair_stop(engine);
	ended = session_stop_all(engine);
	return lane_pool_close(&engine->lanes, deadline_ns) && ended;
}

uint64_t engine_memory_bytes(const struct engine *engine)
{
	return engine->pages.memory_bytes + codec_memory_bytes(&engine->codec) +
	       engine->slabs.memory_bytes + engine->redundancy.memory_bytes +
	       engine->lanes.scratch_bytes +
	       recent_memory_bytes(&engine->recent) +
	       (uint64_t)engine->lanes.n *
		       (sizeof *engine->lanes.lanes +
			engine->n_servers * sizeof(struct lane_link) +
			lane_counters_bytes(&engine->lanes)) +
	       engine->n_servers * server_memory_bytes(engine->servers);
}
