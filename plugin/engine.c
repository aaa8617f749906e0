#include "engine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "session.h"
#include "size.h"

/* What requests in flight are given to end at engine_stop. */
#define STOP_NS (5 * NS_PER_S)

/* --- before anything is opened --- */

/* One server under two names would be counted twice, and be taken for two
 * places.  WELCOMES: of the servers up to I. */
static int refuse_same(const struct engine_config *config,
		       const struct wire_welcome *welcomes, uint32_t i,
		       struct reason *why)
{
	for (uint32_t k = 0; k < i; k++) {
		if (memcmp(welcomes[k].incarnation, welcomes[i].incarnation,
			   sizeof welcomes[i].incarnation))
			continue;
		reason_set(why,
			   "server=%s and server=%s are the same memory "
			   "server: each may be given once",
			   net_name_format(&config->servers[k]).text,
			   net_name_format(&config->servers[i]).text);
		return -EINVAL;
	}
	return 0;
}

static int probe_server(const struct engine_config *config, uint32_t i,
			uint64_t deadline_ns, struct wire_welcome *welcomes,
			uint64_t *slab_bytes, uint64_t *free_bytes,
			struct reason *why)
{
	struct net_text text = net_name_format(&config->servers[i]);
	struct wire_welcome *welcome = &welcomes[i];
	struct reason inner;
	int rc = session_probe(&config->servers[i], deadline_ns, welcome,
			       &inner);

	if (!rc && !session_can_use(welcome, config->transport, &inner))
		rc = -EPROTONOSUPPORT;
	if (rc) {
		reason_set(why, "server=%s: %s", text.text, inner.text);
		return rc;
	}
	rc = refuse_same(config, welcomes, i, why);
	if (rc)
		return rc;
	if (i > 0 && welcome->slab_bytes != *slab_bytes) {
		reason_set(why,
			   "server=%s has slabs of %s, the servers before it "
			   "have %s: all must have the same",
			   text.text, size_format(welcome->slab_bytes).text,
			   size_format(*slab_bytes).text);
		return -EINVAL;
	}
	*slab_bytes = welcome->slab_bytes;
	*free_bytes += welcome->free_bytes;
	return 0;
}

int engine_probe(const struct engine_config *config, uint64_t *slab_bytes,
		 struct reason *why)
{
	uint64_t deadline_ns = clock_now_ns() + config->timeout_ns;
	struct wire_welcome *welcomes =
		calloc(config->n_servers, sizeof *welcomes);
	uint64_t free_bytes = 0;
	int rc = 0;

	if (!welcomes) {
		reason_set(why, "out of memory");
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < config->n_servers && !rc; i++)
		rc = probe_server(config, i, deadline_ns, welcomes, slab_bytes,
				  &free_bytes, why);
	free(welcomes);
	if (rc)
		return rc;
	if (free_bytes >= config->size_bytes)
		return 0;
	reason_set(why,
		   "size=%s (%" PRIu64 " bytes) is more than the server%s can "
		   "hand out now: %s (%" PRIu64 " bytes)",
		   size_format(config->size_bytes).text, config->size_bytes,
		   config->n_servers > 1 ? "s" : "",
		   size_format(free_bytes).text, free_bytes);
	return -ENOSPC;
}

/* --- life --- */

static int create_peers(struct engine *engine, struct reason *why)
{
	const struct engine_config *config = &engine->config;

	engine->peers = calloc(config->n_servers, sizeof *engine->peers);
	if (!engine->peers) {
		reason_set(why, "out of memory");
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < config->n_servers; i++) {
		int rc = peer_create(&engine->peers[i], engine, i,
				     &config->servers[i], why);

		if (rc) {
			while (i-- > 0)
				peer_destroy(&engine->peers[i]);
			free(engine->peers);
			engine->peers = NULL;
			return rc;
		}
	}
	return 0;
}

void engine_destroy(struct engine *engine)
{
	for (uint32_t i = 0; engine->peers && i < engine->config.n_servers; i++)
		peer_destroy(&engine->peers[i]);
	free(engine->peers);
	if (engine->lanes.n)
		lane_pool_destroy(&engine->lanes);
	slab_table_destroy(&engine->slabs);
	pagemap_destroy(&engine->pages);
	memset(engine, 0, sizeof *engine);
}

int engine_create(struct engine *engine, const struct engine_config *config,
		  uint64_t slab_bytes, struct reason *why)
{
	uint64_t pages = config->size_bytes / PAGE_BYTES;
	struct channel_config channel = { .buffer_bytes =
						  LANE_PAGES * PAGE_BYTES,
					  .spin_ns = config->spin_ns };
	int rc;

	memset(engine, 0, sizeof *engine);
	engine->config = *config;
	engine->start_ns = clock_now_ns();
	rc = pagemap_create(&engine->pages, pages, why);
	if (!rc)
		rc = slab_table_create(&engine->slabs, pages,
				       slab_geometry(slab_bytes, PAGE_BYTES),
				       why);
	if (!rc)
		rc = lane_pool_create(&engine->lanes, config->lanes,
				      config->n_servers, &channel, why);
	if (!rc)
		rc = create_peers(engine, why);
	if (rc)
		engine_destroy(engine);
	return rc;
}

int engine_start(struct engine *engine, uint64_t deadline_ns,
		 struct reason *why)
{
	uint32_t n = engine->config.n_servers;

	for (uint32_t i = 0; i < n; i++) {
		int rc = session_start(&engine->peers[i], why);

		if (rc)
			return rc;
	}
	for (uint32_t i = 0; i < n; i++) {
		struct peer *peer = &engine->peers[i];
		struct reason inner = { "" };
		int rc = session_wait_first(peer, deadline_ns, &inner);

		if (rc) {
			reason_set(why, "server=%s: %s", peer->text.text,
				   inner.text);
			return rc;
		}
	}
	return 0;
}

bool engine_stop(struct engine *engine)
{
	uint64_t deadline_ns = clock_now_ns() + STOP_NS;

	if (!engine->peers)
		return true;
	/* No new requests; those in flight end as their servers go. */
	lane_pool_close(&engine->lanes, 0);
	for (uint32_t i = 0; i < engine->config.n_servers; i++)
		session_ask_to_stop(&engine->peers[i]);
	for (uint32_t i = 0; i < engine->config.n_servers; i++)
		session_stop(&engine->peers[i]);
	return lane_pool_close(&engine->lanes, deadline_ns);
}

uint64_t engine_memory_bytes(const struct engine *engine)
{
	return engine->pages.pages * sizeof *engine->pages.state +
	       engine->slabs.n * sizeof *engine->slabs.slabs +
	       (uint64_t)engine->lanes.n *
		       (sizeof *engine->lanes.lanes +
			engine->config.n_servers * sizeof(struct lane_link));
}

/* --- pages and the counts of their slabs --- */

/* Calls CHANGE on the part of the range that each slab has. */
static void by_slab(struct engine *engine, uint64_t page, uint64_t n,
		    int64_t (*change)(struct pagemap *map, uint64_t page,
				      uint64_t n, enum page_state state),
		    enum page_state state)
{
	struct slab_table *table = &engine->slabs;

	while (n > 0) {
		uint64_t slab = slab_of_page(table, page);
		uint64_t end = (slab + 1) * table->geometry.slab_pages;
		uint64_t now = end - page < n ? end - page : n;
		int64_t present = change(&engine->pages, page, now, state);

		if (present)
			atomic_fetch_add(&table->slabs[slab].present_pages,
					 (int32_t)present);
		page += now;
		n -= now;
	}
}

void engine_set_pages(struct engine *engine, uint64_t page, uint64_t n,
		      enum page_state state)
{
	by_slab(engine, page, n, pagemap_set, state);
}

static int64_t lose(struct pagemap *map, uint64_t page, uint64_t n,
		    enum page_state state)
{
	(void)state;
	return -pagemap_lose(map, page, n);
}

void engine_lose_pages(struct engine *engine, uint64_t page, uint64_t n)
{
	by_slab(engine, page, n, lose, PAGE_LOST);
}
