#include "report.h"

#include <sys/resource.h>
#include <unistd.h>

#include "clock.h"
#include "jsonout.h"
#include "links/transports.h"
#include "machine/memory.h"
#include "registration.h"
#include "session/lookup.h"
#include "session/release.h"

static void put_addresses(const struct listeners *listeners, struct jsonout *j)
{
	jsonout_begin(j, "listen", '[');
	for (unsigned i = 0; i < listeners->count; i++)
		jsonout_text(j, NULL,
			     net_addr_format(&listeners->at[i].addr).text);
	jsonout_end(j, ']');
}

static void put_transports(const struct links *links, struct jsonout *j)
{
	const struct link_ops *ops;

	jsonout_begin(j, "transports", '[');
	for (size_t i = 0; (ops = transport_at(i)); i++) {
		if (links->open & ops->wire_bit)
			jsonout_text(j, NULL, ops->name);
	}
	jsonout_end(j, ']');
}

static void put_server(const struct server *server, struct jsonout *j)
{
	const struct config *config = server->config;
	uint64_t up_ns = clock_now_ns() - server->start_ns;

	jsonout_text(j, "role", "memserver");
	jsonout_text(j, "version", RSWAP_VERSION);
	jsonout_number(j, "pid", (uint64_t)getpid());
	jsonout_number(j, "uptime_s", up_ns / NS_PER_S);
	jsonout_hex(j, "incarnation", server->incarnation,
		    sizeof server->incarnation);
	put_addresses(&server->listeners, j);
	jsonout_text(j, "state", release_state_name(&server->sessions));
	if (config->zone[0])
		jsonout_text(j, "zone", config->zone);
	jsonout_number(j, "grace_s", config->grace_s);
	put_transports(&server->links, j);
}

static void put_memory(struct server *server, struct jsonout *j)
{
	struct slab_figures slabs = slab_pool_figures(&server->pool);

	jsonout_number(j, "memory_bytes", server->config->memory_bytes);
	jsonout_number(j, "slab_bytes", server->pool.slab_bytes);
	jsonout_number(j, "slabs_total", slabs.total);
	jsonout_number(j, "slabs_used", slabs.used);
	jsonout_number(j, "slabs_stock", slabs.stock);
	jsonout_number(j, "free_bytes", slabs.free_bytes);
	jsonout_number(j, "rss_bytes", memory_rss_bytes());
}

static void put_session(const struct session *s, struct jsonout *j)
{
	jsonout_begin(j, NULL, '{');
	jsonout_number(j, "id", s->owner.key);
	jsonout_text(j, "name", s->name);
	if (*session_identity(s))
		jsonout_text(j, "identity", session_identity(s));
	jsonout_text(j, "peer", peer_name_address(&s->peer));
	jsonout_text(j, "state", session_state_name(s->state));
	jsonout_number(j, "state_s", (clock_now_ns() - s->since_ns) / NS_PER_S);
	if (s->release_slabs == WIRE_RELEASE_ALL)
		jsonout_text(j, "release_slabs", "all");
	else
		jsonout_number(j, "release_slabs", s->release_slabs);
	jsonout_text(j, "transport", s->links.ops->name);
	jsonout_number(j, "size_bytes", s->owner.size_bytes);
	jsonout_number(j, "slabs", s->owner.slab_count);
	jsonout_number(j, "slabs_held", s->owner.held_count);
	jsonout_number(j, "slabs_spare", s->owner.spare ? 1 : 0);
	jsonout_number(j, "lanes", s->links.count);
	jsonout_end(j, '}');
}

static void put_sessions(const struct sessions *sessions, struct jsonout *j)
{
	const struct session *session;
	unsigned lanes = 0;

	jsonout_begin(j, "sessions", '[');
	TAILQ_FOREACH(session, &sessions->list, entry)
	{
		lanes += session->links.count;
		put_session(session, j);
	}
	jsonout_end(j, ']');
	jsonout_number(j, "lanes", lanes);
}

static void put_limit(struct jsonout *j, const char *key, uint64_t limit,
		      uint64_t none)
{
	if (limit == none)
		jsonout_null(j, key);
	else
		jsonout_number(j, key, limit);
}

static void put_tenant(const struct tenant *t, struct jsonout *j)
{
	const struct tenant_limits *limits = &t->limits;

	jsonout_begin(j, NULL, '{');
	jsonout_text(j, "name", t->name);
	put_limit(j, "memory_bytes", limits->memory_bytes, TENANT_ANY_BYTES);
	jsonout_number(j, "guaranteed_bytes", limits->guaranteed_bytes);
	jsonout_number(j, "reserved_bytes", tenant_reserved_bytes(t));
	jsonout_number(j, "used_bytes",
		       t->slabs * t->tenants->pool->slab_bytes);
	put_limit(j, "sessions_max", limits->sessions, TENANT_ANY);
	jsonout_number(j, "sessions", t->sessions);
	put_limit(j, "lanes_max", limits->lanes, TENANT_ANY);
	jsonout_number(j, "lanes", t->lanes);
	jsonout_number(j, "weight", limits->weight);
	jsonout_end(j, '}');
}

static void put_tenants(const struct tenants *tenants, struct jsonout *j)
{
	const struct tenant *tenant;

	jsonout_begin(j, "tenants", '[');
	TAILQ_FOREACH(tenant, &tenants->list, entry)
	{
		put_tenant(tenant, j);
	}
	jsonout_end(j, ']');
}

static uint64_t cpu_us(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) *
		       1000000 +
	       (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static bool any_one_sided(const struct links *links)
{
	const struct link_ops *ops;

	for (size_t i = 0; (ops = transport_at(i)); i++) {
		if (links->open & ops->wire_bit && ops->one_sided)
			return true;
	}
	return false;
}

static void put_work(const struct server *server, struct jsonout *j)
{
	const struct links *links = &server->links;
	const struct controls *controls = &server->controls;
	struct data_figures data = data_loops_figures(&links->data);

	jsonout_number(j, "reads", data.reads);
	jsonout_number(j, "writes", data.writes);
	jsonout_number(j, "read_bytes", data.read_bytes);
	jsonout_number(j, "write_bytes", data.write_bytes);
	/* the figures above are without these */
	jsonout_bool(j, "rdma_one_sided", any_one_sided(links));
	jsonout_number(j, "errors",
		       controls->errors + links->errors + data.errors);
	jsonout_number(j, "connections_refused",
		       controls->refused + links->refused);
	jsonout_number(j, "cpu_us", cpu_us());
}

/* While it drains: since when, and how much has gone. */
static void put_drain_progress(const struct server *server, struct jsonout *j)
{
	const struct sessions *sessions = &server->sessions;
	uint64_t ns, now, gone;

	if (sessions->drain == RELEASE_SERVING)
		return;
	ns = clock_now_ns() - sessions->drain_since_ns;
	now = release_held(&server->sessions).slabs;
	gone = sessions->drain_slabs > now ? sessions->drain_slabs - now : 0;
	jsonout_begin(j, "drain", '{');
	jsonout_number(j, "since_s", ns / NS_PER_S);
	jsonout_number(j, "slabs_at_start", sessions->drain_slabs);
	jsonout_number(j, "slabs_left", now);
	if (gone)
		jsonout_number(j, "left_s", ns / NS_PER_S * now / gone);
	jsonout_end(j, '}');
}

/* Where clients find the server. */
static void put_pool(struct server *server, struct jsonout *j)
{
	struct registration_figures f;

	if (!registration_figures(server, &f))
		return;
	jsonout_begin(j, "pool", '{');
	jsonout_text(j, "name", server->config->pool.name);
	jsonout_text(j, "state", f.is_registered ? "registered" : "away");
	jsonout_number(j, "since_s", (clock_now_ns() - f.since_ns) / NS_PER_S);
	jsonout_text(j, "address", f.address);
	jsonout_text(j, "endpoint", f.endpoint.text);
	jsonout_number(j, "writes", f.writes);
	etcd_figures_put(&f.etcd, j);
	if (*f.error)
		jsonout_text(j, "error", f.error);
	jsonout_end(j, '}');
}

void report_status(struct server *server, FILE *out)
{
	struct jsonout j = { .out = out };

	jsonout_begin(&j, NULL, '{');
	put_server(server, &j);
	put_memory(server, &j);
	put_sessions(&server->sessions, &j);
	put_tenants(&server->tenants, &j);
	put_work(server, &j);
	put_drain_progress(server, &j);
	put_pool(server, &j);
	jsonout_end(&j, '}');
	fputc('\n', out);
}

void report_drain(struct server *server, FILE *out)
{
	struct release_held held = release_held(&server->sessions);
	struct jsonout j = { .out = out };

	jsonout_begin(&j, NULL, '{');
	jsonout_text(&j, "state", release_state_name(&server->sessions));
	jsonout_number(&j, "slabs", held.slabs);
	jsonout_number(&j, "sessions", held.sessions);
	jsonout_number(&j, "sessions_away", held.away);
	jsonout_end(&j, '}');
	fputc('\n', out);
}
