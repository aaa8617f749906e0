#include "metrics.h"

#include <inttypes.h>
#include <sys/resource.h>
#include <time.h>

#include "clock.h"
#include "log.h"
#include "machine/memory.h"
#include "promtext.h"
#include "registration.h"
#include "session/lookup.h"
#include "session/release.h"

static void put_state(struct promtext *p, const char *state, uint64_t n)
{
	promtext_label(p, "state", state);
	promtext_integer(p, n);
}

static void put_op(struct promtext *p, const char *op, uint64_t n)
{
	promtext_label(p, "op", op);
	promtext_integer(p, n);
}

/* --- the process --- */

static uint64_t timeval_ns(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * NS_PER_S +
	       (uint64_t)t->tv_usec * NS_PER_US;
}

static void put_process(struct promtext *p, const struct server *server)
{
	static uint64_t start_time_ns;
	struct rusage usage;
	struct timespec now;

	if (!start_time_ns) {
		clock_gettime(CLOCK_REALTIME, &now);
		start_time_ns = (uint64_t)now.tv_sec * NS_PER_S +
				(uint64_t)now.tv_nsec -
				(clock_now_ns() - server->start_ns);
	}
	getrusage(RUSAGE_SELF, &usage);
	promtext_program(p, "memserver", start_time_ns);
	promtext_family(p, "rswap_memserver_cpu_seconds_total", "counter",
			"Processor time that it took.");
	promtext_seconds(p, timeval_ns(&usage.ru_utime) +
				    timeval_ns(&usage.ru_stime));
	promtext_gauge(p, "rswap_memserver_resident_bytes",
		       "Memory of the process, slabs included.",
		       memory_rss_bytes());
	promtext_counter(p, "rswap_log_lines_dropped_total",
			 "Log lines that nobody read in time.", log_dropped());
}

static void put_server_state(struct promtext *p, const struct server *server)
{
	const char *now = release_state_name(&server->sessions);

	promtext_family(p, "rswap_memserver_state", "gauge",
			"1 for the state of the server, 0 for the others.");
	for (unsigned i = 0; release_states[i]; i++)
		put_state(p, release_states[i], release_states[i] == now);
	promtext_gauge(p, "rswap_memserver_drain_left_slabs",
		       "While it drains: slabs that clients have to move away.",
		       server->sessions.drain == RELEASE_SERVING
			       ? 0
			       : release_held(&server->sessions).slabs);
}

static void put_pool(struct promtext *p, struct server *server)
{
	struct registration_figures f = { .is_registered = false };

	registration_figures(server, &f);
	promtext_gauge(p, "rswap_memserver_pool_registered",
		       "1 while clients find the server in its pool (--pool).",
		       f.is_registered);
	promtext_family(p, "rswap_memserver_pool_heard_seconds", "gauge",
			"With --pool: how long ago etcd last answered, or told "
			"of a change.");
	if (f.etcd.heard_ns)
		promtext_seconds(p, clock_now_ns() - f.etcd.heard_ns);
	promtext_counter(p, "rswap_memserver_pool_writes_total",
			 "Times that the server wrote its key in the pool.",
			 f.writes);
	promtext_counter(p, "rswap_memserver_pool_failures_total",
			 "Calls to etcd that failed at all of its servers, and "
			 "watches that ended.",
			 f.etcd.failures);
}

/* --- memory --- */

static void put_memory(struct promtext *p, struct server *server)
{
	struct slab_figures slabs = slab_pool_figures(&server->pool);

	promtext_gauge(p, "rswap_memserver_memory_bytes",
		       "Memory that it grants, at most.",
		       server->config->memory_bytes);
	promtext_gauge(p, "rswap_slab_bytes", "Size of a slab.",
		       server->pool.slab_bytes);
	promtext_family(p, "rswap_memserver_slabs", "gauge",
			"Slabs: of sessions, ready in the stock, and without "
			"memory.");
	put_state(p, "used", slabs.used);
	put_state(p, "stock", slabs.stock);
	put_state(p, "empty", slabs.total - slabs.used - slabs.stock);
	promtext_gauge(p, "rswap_memserver_free_bytes",
		       "Memory that it can still grant now.", slabs.free_bytes);
}

/* --- sessions --- */

#define SESSION_STATES (SESSION_ENDING + 1)

static void put_session_counts(struct promtext *p,
			       const struct sessions *sessions)
{
	unsigned n[SESSION_STATES] = { 0 }, lanes = 0;
	const struct session *s;

	TAILQ_FOREACH(s, &sessions->list, entry)
	{
		n[s->state]++;
		lanes += s->links.count;
	}
	promtext_family(p, "rswap_memserver_sessions", "gauge",
			"Sessions of clients.");
	for (int state = 0; state < SESSION_STATES; state++)
		put_state(p, session_state_name((enum session_state)state),
			  n[state]);
	promtext_gauge(p, "rswap_memserver_lanes",
		       "Connections of the sessions for pages.", lanes);
}

static uint64_t session_slabs(const struct session *s)
{
	return s->owner.slab_count;
}

static uint64_t session_size_bytes(const struct session *s)
{
	return s->owner.size_bytes;
}

static uint64_t session_is_connected(const struct session *s)
{
	return s->state == SESSION_OPEN;
}

static const struct {
	const char *name, *help;
	uint64_t (*of)(const struct session *session);
} session_metrics[] = {
	{ "rswap_memserver_session_slabs", "Slabs that the session owns.",
	  session_slabs },
	{ "rswap_memserver_session_size_bytes",
	  "Size of the device that the session is for.", session_size_bytes },
	{ "rswap_memserver_session_connected",
	  "1 if the client is there, 0 while the session waits for it.",
	  session_is_connected },
};

#define SESSION_METRICS (sizeof session_metrics / sizeof session_metrics[0])

static void put_sessions(struct promtext *p, const struct sessions *sessions)
{
	const struct session *s;

	put_session_counts(p, sessions);
	for (size_t i = 0; i < SESSION_METRICS; i++) {
		promtext_family(p, session_metrics[i].name, "gauge",
				session_metrics[i].help);
		TAILQ_FOREACH(s, &sessions->list, entry)
		{
			char key[24];

			snprintf(key, sizeof key, "%" PRIu64,
				 (uint64_t)s->owner.key);
			promtext_label(p, "session", key);
			promtext_label(p, "client", s->name);
			promtext_label(p, "tenant", session_identity(s));
			promtext_integer(p, session_metrics[i].of(s));
		}
	}
}

/* --- tenants --- */

static uint64_t tenant_used_bytes(const struct tenant *t)
{
	return t->slabs * t->tenants->pool->slab_bytes;
}

static uint64_t tenant_limit_bytes(const struct tenant *t)
{
	return t->limits.memory_bytes;
}

static uint64_t tenant_guaranteed_bytes(const struct tenant *t)
{
	return t->limits.guaranteed_bytes;
}

static uint64_t tenant_sessions(const struct tenant *t)
{
	return t->sessions;
}

static uint64_t tenant_lanes(const struct tenant *t)
{
	return t->lanes;
}

static const struct {
	const char *name, *help;
	uint64_t (*of)(const struct tenant *tenant);
} tenant_metrics[] = {
	{ "rswap_memserver_tenant_used_bytes",
	  "Memory of the tenant's sessions.", tenant_used_bytes },
	{ "rswap_memserver_tenant_limit_bytes",
	  "Memory that the tenant may have, if that is limited.",
	  tenant_limit_bytes },
	{ "rswap_memserver_tenant_guaranteed_bytes",
	  "Memory that is kept free for the tenant.", tenant_guaranteed_bytes },
	{ "rswap_memserver_tenant_reserved_bytes",
	  "Memory that the tenant has reserved here in the pool, within "
	  "its quota.",
	  tenant_reserved_bytes },
	{ "rswap_memserver_tenant_sessions", "Sessions of the tenant.",
	  tenant_sessions },
	{ "rswap_memserver_tenant_lanes", "Lanes of the tenant's sessions.",
	  tenant_lanes },
};

#define TENANT_METRICS (sizeof tenant_metrics / sizeof tenant_metrics[0])

static void put_tenants(struct promtext *p, const struct tenants *tenants)
{
	const struct tenant *t;

	for (size_t i = 0; i < TENANT_METRICS; i++) {
		promtext_family(p, tenant_metrics[i].name, "gauge",
				tenant_metrics[i].help);
		TAILQ_FOREACH(t, &tenants->list, entry)
		{
			uint64_t value = tenant_metrics[i].of(t);

			if (value == TENANT_ANY_BYTES)
				continue;
			promtext_label(p, "tenant", t->name);
			promtext_integer(p, value);
		}
	}
}

/* --- pages that travel --- */

static void put_work(struct promtext *p, const struct server *server)
{
	const struct links *links = &server->links;
	struct data_figures data = data_loops_figures(&links->data);

	promtext_family(p, "rswap_memserver_requests_total", "counter",
			"Requests of clients that it served itself: not those "
			"over RDMA, which its network card serves.");
	put_op(p, "read", data.reads);
	put_op(p, "write", data.writes);
	promtext_family(p, "rswap_memserver_request_bytes_total", "counter",
			"Bytes of these requests.");
	put_op(p, "read", data.read_bytes);
	put_op(p, "write", data.write_bytes);
	promtext_counter(p, "rswap_memserver_errors_total",
			 "Connections that ended with an error.",
			 server->controls.errors + links->errors + data.errors);
	promtext_counter(p, "rswap_memserver_refused_connections_total",
			 "Connections that were refused.",
			 server->controls.refused + links->refused);
}

void metrics_write(struct server *server, FILE *out)
{
	struct promtext p = { .out = out };

	put_process(&p, server);
	put_server_state(&p, server);
	put_pool(&p, server);
	put_memory(&p, server);
	put_sessions(&p, &server->sessions);
	put_tenants(&p, &server->tenants);
	put_work(&p, server);
}
