#include "etcd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "clock.h"
#include "cluster.h"
#include "http.h"
#include "jsonout.h"
#include "login.h"
#include "request.h"

#define BACKOFF_FIRST_NS (250 * NS_PER_MS)
/* The longest wait, half as much again, is less than a lease lasts: 9 s. */
#define BACKOFF_MAX_NS (5 * NS_PER_S)

/* --- life --- */

/* As wide as times are: 32 bits of nanoseconds are four seconds. */
static uint64_t draw(void)
{
	uint64_t n = 0;

	if (getrandom(&n, sizeof n, GRND_NONBLOCK) != sizeof n)
		n = clock_now_ns();
	return n;
}

static bool check_file(const char *path, struct error *why)
{
	if (!path || access(path, R_OK) == 0)
		return true;
	error_set(why, "%.150s: %s", path, strerror(errno));
	return false;
}

static int read_files(struct etcd *etcd, const struct etcd_config *config,
		      struct error *why)
{
	struct error detail;
	int rc;

	if (!check_file(config->ca, why) || !check_file(config->cert, why) ||
	    !check_file(config->key, why))
		return -EACCES;
	rc = config->login ? login_read(config->login, &etcd->login, &detail)
			   : 0;
	if (rc)
		error_set(why, "%.100s: %.150s", config->login, detail.text);
	return rc;
}

int etcd_open(struct etcd **etcd, const struct etcd_config *config,
	      struct error *why)
{
	const struct http_tls tls = { config->ca, config->cert, config->key };
	struct etcd *e = calloc(1, sizeof *e);
	int rc;

	if (!e) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	e->has_tls = config->ca;
	e->n = config->n_endpoints;
	/* Not all clients of a cluster at its first server. */
	e->current = (unsigned)(draw() % e->n);
	rc = read_files(e, config, why);
	if (!rc)
		rc = http_open(&e->http, &tls, why);
	if (!rc) {
		e->lookup = lookup_open(config->endpoints, e->n);
		rc = e->lookup ? 0 : -ENOMEM;
		if (rc)
			error_set(why, "out of memory");
	}
	if (rc) {
		etcd_close(e);
		return rc;
	}
	for (unsigned i = 0; i < e->n; i++)
		e->endpoints[i].place.name = config->endpoints[i];
	cluster_look_all_up(e);
	*etcd = e;
	return 0;
}

int etcd_start(struct etcd *etcd, struct error *why)
{
	int rc = lookup_start(etcd->lookup);

	if (rc)
		error_set(why, "cannot start a thread: %s", strerror(rc));
	return -rc;
}

void etcd_close(struct etcd *etcd)
{
	if (!etcd)
		return;
	http_close(etcd->http);
	lookup_close(etcd->lookup);
	explicit_bzero(etcd, sizeof *etcd);
	free(etcd);
}

/* --- calls --- */

int etcd_grant(struct etcd *etcd, uint64_t ttl_s, uint64_t deadline_ns,
	       uint64_t *lease, struct error *why)
{
	struct etcd_answer answer;
	int rc =
		cluster_call(etcd, "/v3/lease/grant", etcd_request_grant(ttl_s),
			     deadline_ns, &answer, why);

	if (!rc && !answer.lease) {
		error_set(why, "etcd granted no lease");
		rc = -EPROTO;
	}
	*lease = answer.lease;
	etcd_answer_free(&answer);
	return rc;
}

int etcd_keep_alive(struct etcd *etcd, uint64_t lease, uint64_t deadline_ns,
		    struct error *why)
{
	struct etcd_answer answer;
	int rc = cluster_call(etcd, "/v3/lease/keepalive",
			      etcd_request_lease(lease), deadline_ns, &answer,
			      why);

	if (!rc && !answer.ttl_s) {
		error_set(why, "etcd knows the lease no more");
		rc = -ENOENT;
	}
	etcd_answer_free(&answer);
	return rc;
}

int etcd_revoke(struct etcd *etcd, uint64_t lease, uint64_t deadline_ns,
		struct error *why)
{
	struct etcd_answer answer;
	int rc = cluster_call(etcd, "/v3/lease/revoke",
			      etcd_request_lease(lease), deadline_ns, &answer,
			      why);

	etcd_answer_free(&answer);
	return rc;
}

int etcd_put(struct etcd *etcd, const char *key, const char *value,
	     uint64_t lease, uint64_t deadline_ns, struct error *why)
{
	struct etcd_answer answer;
	int rc = cluster_call(etcd, "/v3/kv/put",
			      etcd_request_put(key, value, lease), deadline_ns,
			      &answer, why);

	etcd_answer_free(&answer);
	return rc;
}

int etcd_put_if(struct etcd *etcd, const char *where, uint64_t lease_now,
		const char *key, const char *value, uint64_t lease,
		uint64_t deadline_ns, struct etcd_answer *there,
		struct error *why)
{
	return cluster_call(
		etcd, "/v3/kv/txn",
		etcd_request_put_if(where, lease_now, key, value, lease),
		deadline_ns, there, why);
}

int etcd_transact(struct etcd *etcd, const struct etcd_txn *txn,
		  uint64_t deadline_ns, bool *done, struct error *why)
{
	struct etcd_answer answer;
	int rc = cluster_call(etcd, "/v3/kv/txn", etcd_request_txn(txn),
			      deadline_ns, &answer, why);

	*done = !rc && answer.succeeded;
	etcd_answer_free(&answer);
	return rc;
}

/* --- waiting --- */

uint64_t etcd_backoff_ns(unsigned failures)
{
	unsigned doubled = failures ? failures - 1 : 0;
	uint64_t ns = BACKOFF_MAX_NS;

	if (doubled < 10 && BACKOFF_FIRST_NS << doubled < ns)
		ns = BACKOFF_FIRST_NS << doubled;
	return ns / 2 + etcd_draw_ns(ns);
}

uint64_t etcd_draw_ns(uint64_t most_ns)
{
	return most_ns ? draw() % most_ns : 0;
}

void etcd_pause(struct etcd *etcd, uint64_t until_ns)
{
	http_pause(etcd->http, until_ns);
}

void etcd_rest(struct etcd *etcd, uint64_t until_ns)
{
	http_rest(etcd->http, until_ns);
}

void etcd_wake(struct etcd *etcd)
{
	http_wake(etcd->http);
}

void etcd_cancel(struct etcd *etcd)
{
	http_cancel(etcd->http);
}

void etcd_renew(struct etcd *etcd)
{
	http_renew(etcd->http);
}

struct net_text etcd_endpoint(const struct etcd *etcd)
{
	return net_name_format(&etcd->endpoints[etcd->current].place.name);
}

struct etcd_figures etcd_figures(const struct etcd *etcd)
{
	return (struct etcd_figures){
		.heard_ns = atomic_load(&etcd->told.heard_ns),
		.call_ns = atomic_load(&etcd->told.call_ns),
		.failures = atomic_load(&etcd->told.failures)
	};
}

void etcd_figures_put(const struct etcd_figures *f, struct jsonout *j)
{
	if (f->heard_ns)
		jsonout_number(j, "heard_s",
			       (clock_now_ns() - f->heard_ns) / NS_PER_S);
	if (f->call_ns)
		jsonout_number(j, "call_ms", f->call_ns / NS_PER_MS);
	jsonout_number(j, "failures", f->failures);
}
