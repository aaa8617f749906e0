#include "poolwatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "poolpick.h"

/* How long etcd has at start to tell of the servers.  An election among etcd's
 * servers is over by then. */
#define FIRST_NS (10 * NS_PER_S)

/* How many more servers are chosen at start than may be used. */
#define SPARE_SERVERS 16u

static int first_list(struct poolwatch *watch, struct error *why)
{
	uint64_t deadline_ns = clock_now_ns() + FIRST_NS;

	for (;;) {
		int rc = members_step(&watch->members, deadline_ns, why);
		uint64_t again_ns =
			clock_now_ns() + etcd_backoff_ns(watch->etcd);

		if (!rc || rc == -EACCES || rc == -ENOMEM ||
		    again_ns >= deadline_ns)
			return rc;
		etcd_pause(watch->etcd, again_ns);
	}
}

/* --- choosing --- */

static uint32_t transport_bits(const struct engine_config *engine)
{
	return engine->transport ? engine->transport->wire_bit : UINT32_MAX;
}

static bool is_configured(void *arg, const struct net_name *address)
{
	const struct engine_config *engine = arg;
	struct net_text text = net_name_format(address);

	for (uint32_t i = 0; i < engine->n_servers; i++) {
		if (!strcmp(net_name_format(&engine->servers[i]).text,
			    text.text))
			return true;
	}
	return false;
}

static int add_servers(struct poolwatch *watch, struct engine_config *engine,
		       struct error *why)
{
	const struct poolpick pick = { .members = &watch->members,
				       .transports = transport_bits(engine),
				       .is_used = is_configured,
				       .arg = engine };
	uint32_t n = engine->servers_max - engine->n_servers + SPARE_SERVERS;
	struct net_name *servers = realloc(
		engine->servers, (engine->n_servers + n) * sizeof *servers);
	int chosen = -ENOMEM;

	if (servers) {
		engine->servers = servers;
		chosen = poolpick_choose(&pick, servers + engine->n_servers, n);
	}
	if (chosen < 0) {
		error_set(why, "out of memory");
		return chosen;
	}
	engine->n_servers += (uint32_t)chosen;
	engine->n_pooled = (uint32_t)chosen;
	if (engine->n_servers)
		return 0;
	error_set(why, "none of the %u memory servers in it is serving%s%s",
		  watch->members.n, engine->transport ? " by transport=" : "",
		  engine->transport ? engine->transport->name : "");
	return -ENOENT;
}

/* --- life --- */

int poolwatch_open(struct poolwatch *watch, struct config *config,
		   struct error *why)
{
	struct error detail;
	int rc;

	if (!config->given[KEY_POOL])
		return 0;
	rc = etcd_open(&watch->etcd, &config->pool.etcd, &detail);
	if (!rc) {
		watch->config = config;
		members_open(&watch->members, watch->etcd, &config->pool);
		rc = first_list(watch, &detail);
	}
	if (!rc)
		rc = add_servers(watch, &config->engine, &detail);
	if (rc)
		error_set(why, "pool=%.100s: %.140s", config->pool_url,
			  detail.text);
	return rc;
}

void poolwatch_close(struct poolwatch *watch)
{
	if (!watch->config)
		return;
	members_close(&watch->members);
	etcd_close(watch->etcd);
	watch->config = NULL;
}
