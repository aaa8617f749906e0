#include "service.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "confine.h"
#include "events.h"
#include "lifecycle.h"
#include "log.h"
#include "poolroom.h"
#include "privileges.h"
#include "servers/session.h"
#include "size.h"

/* For end_by_force, which has no argument. */
static struct service *serving;

static int listen_control(struct service *service, struct error *why)
{
	const char *path = service->config.control_path;
	struct error inner;
	int rc;

	if (!path)
		return 0;
	rc = status_listen(&service->status, path, &inner);
	if (rc)
		error_set(why, "control=%s: %s", path, inner.text);
	return rc;
}

static int listen_metrics(struct service *service, struct error *why)
{
	const struct net_name *name = &service->config.metrics;
	struct error inner;
	int rc;

	if (!service->config.given[KEY_METRICS])
		return 0;
	rc = web_listen(&service->web, name, &inner);
	if (rc)
		error_set(why, "metrics=%s: %.150s", net_name_format(name).text,
			  inner.text);
	return rc;
}

/* A server that joins later, or comes back over RDMA, counts too. */
static void uses(const struct transport_ops *transport)
{
	if (transport->apart)
		safety_stay_apart();
}

static int probe_and_reserve(struct service *service, struct error *why)
{
	int rc = engine_probe(&service->config.engine, &service->slab_bytes,
			      &service->fallback, why);

	if (!rc)
		rc = poolwatch_reserve(&service->pool, service->slab_bytes,
				       why);
	return rc;
}

/* The servers of the pool were chosen before their slabs' size was known, and
 * what is reserved there.  Others may have the room that these lack. */
static int reserve_elsewhere(struct service *service, struct error *why)
{
	int rc;

	fallback_close(&service->fallback);
	rc = poolroom_choose(&service->pool, &service->config.engine,
			     service->slab_bytes, why);
	if (!rc)
		rc = probe_and_reserve(service, why);
	return rc;
}

static int use_servers(struct service *service, struct error *why)
{
	int rc = probe_and_reserve(service, why);

	if (rc == -ENOSPC && service->config.pool_reserve_bytes &&
	    service->slab_bytes)
		rc = reserve_elsewhere(service, why);
	return rc;
}

int service_probe(struct service *service, struct error *why)
{
	int rc = poolwatch_open(&service->pool, &service->config, why);

	service->config.engine.uses = uses;
	if (!rc)
		rc = use_servers(service, why);
	if (!rc)
		rc = listen_control(service, why);
	if (!rc)
		rc = listen_metrics(service, why);
	if (rc)
		poolwatch_leave(&service->pool);
	return rc;
}

/* Logs each safety setting that was refused, its danger and its remedy. */
static int tell_safety(const struct service *service, struct error *why)
{
	const struct safety *safety = &service->safety;
	bool refused = false;

	for (int i = 0; i < SAFETY_SETTINGS; i++) {
		if (safety->setting[i].holds)
			continue;
		refused = true;
		log_error("swap safety: %s is refused (%s): %s",
			  safety_name((enum safety_setting)i),
			  safety->setting[i].why.text,
			  safety_remedy((enum safety_setting)i));
	}
	if (refused && service->config.strict) {
		error_set(why, "strict=1 refuses to start without these");
		return -EPERM;
	}
	return 0;
}

void service_tell(const struct service *service)
{
	const struct engine_config *e = &service->config.engine;

	log_notice("serving %s from %u server%s: %u lanes, slabs of %s; "
		   "%" PRIu64 " KiB of tables, %" PRIu64 " KiB locked",
		   size_format(e->size_bytes).text, e->n_servers,
		   e->n_servers > 1 ? "s" : "", e->lanes,
		   size_format(service->slab_bytes).text,
		   engine_memory_bytes(&service->engine) >> 10,
		   safety_locked_bytes() >> 10);
	events_add(EVENT_STARTED, "", "serving %s from %u servers",
		   size_format(e->size_bytes).text, e->n_servers);
}

/* The servers are told.  Memory stays, as requests may still use it. */
static _Noreturn void leave(struct service *service, int status)
{
	web_stop(&service->web);
	status_stop(&service->status);
	poolwatch_stop(&service->pool);
	engine_stop(&service->engine);
	poolwatch_leave(&service->pool);
	log_stop();
	_exit(status);
}

/* Ends while clients are attached. */
static void end_by_force(void)
{
	log_notice("ending at once, open connections: %u", lifecycle_clients());
	leave(serving, EXIT_SUCCESS);
}

/* A TLS handshake takes 47 KiB of the heap for a moment, and its session keeps
 * 10 KiB.  All servers may be connected anew at the same time, while the
 * machine is out of memory. */
#define HEAP_BYTES_PER_TLS (64u << 10)

/* Of what the service itself allocates later. */
static uint64_t heap_bytes(const struct service *service)
{
	const struct engine_config *e = &service->config.engine;
	uint32_t servers = e->servers_max ? e->servers_max : e->n_servers;
	uint64_t bytes = servers * session_links_bytes(e);

	if (service->config.given[KEY_METRICS])
		bytes += web_memory_bytes(servers + (e->fallback != NULL));
	if (e->tls)
		bytes += (uint64_t)servers * HEAP_BYTES_PER_TLS;
	if (service->config.given[KEY_POOL])
		bytes += POOLWATCH_HEAP_BYTES;
	return bytes;
}

/* Where it does not work, the front end serves as it is. */
static void confine(struct service *service, const struct service_front *front)
{
	const char *const paths[] = { front->paths[0], front->paths[1],
				      service->config.control_path,
				      service->config.pool_state };
	struct error why;
	int rc = confine_files(paths, sizeof paths / sizeof paths[0], &why);

	service->safety.confined = !rc;
	if (rc == -ENOSYS || rc == -EOPNOTSUPP)
		log_notice("this kernel has no Landlock: files are not out of "
			   "reach of this process");
	else if (rc)
		log_error("files are not out of reach of this process: %s",
			  why.text);
}

/* Threads inherit the settings of safety_apply and what is given up, so these
 * come before all threads.  The log comes next: no thread that serves may wait
 * for the reader of the log. */
static int start(struct service *service, const struct service_front *front,
		 struct error *why)
{
	const struct config *config = &service->config;
	const uint64_t heap = front->heap_bytes + heap_bytes(service);
	static struct lifecycle_ops ops = { .force = end_by_force };
	int rc;

	ops.shut_down = front->shut_down;
	ops.asked = front->asked;
	lifecycle_block_signals(front->no_handlers);
	safety_apply(&service->safety, heap);
	privileges_give_up();
	if (front->is_confined)
		confine(service, front);
	rc = log_start(why);
	if (!rc)
		rc = tell_safety(service, why);
	/* The lease of a reservation does not last while the engine starts. */
	if (!rc)
		rc = poolwatch_start(&service->pool, why);
	if (!rc)
		rc = engine_create(&service->engine, &config->engine,
				   service->slab_bytes, &service->fallback,
				   why);
	if (!rc)
		rc = engine_start(
			&service->engine,
			clock_now_ns() + engine_reach_ns(&config->engine), why);
	if (!rc)
		poolwatch_follow(&service->pool, &service->engine);
	if (!rc && config->control_path)
		rc = status_start(&service->status, &service->engine,
				  &service->pool, &service->safety, why);
	if (!rc && config->given[KEY_METRICS])
		rc = web_start(&service->web, &service->engine, &service->pool,
			       &service->safety, why);
	if (!rc)
		rc = lifecycle_begin(&ops, why);
	/* What all of this took is there again for later. */
	if (!rc && safety_grow_heap(heap)) {
		error_set(why, "out of memory");
		rc = -ENOMEM;
	}
	safety_keep_huge_pages();
	return rc;
}

int service_start(struct service *service, const struct service_front *front)
{
	struct error why = { "" };

	serving = service;
	if (start(service, front, &why)) {
		log_error("%s", why.text);
		poolwatch_stop(&service->pool);
		poolwatch_leave(&service->pool);
		log_stop();
		return -1;
	}
	return 0;
}

/* A thread that does not end, and a client that is attached, may use the memory
 * until the process ends. */
void service_stop(struct service *service)
{
	bool stopped;

	lifecycle_end();
	web_stop(&service->web);
	status_stop(&service->status);
	stopped = poolwatch_stop(&service->pool);
	stopped &= engine_stop(&service->engine);
	poolwatch_leave(&service->pool);
	if (stopped && lifecycle_clients() == 0)
		engine_destroy(&service->engine);
	poolwatch_close(&service->pool);
	if (stopped)
		config_free(&service->config);
	log_stop();
}

void service_leave(struct service *service, int status)
{
	lifecycle_end();
	leave(service, status);
}
