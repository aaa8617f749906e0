#include "roster.h"

#include <string.h>

#include "clock.h"
#include "events.h"
#include "log.h"
#include "pages/figures.h"
#include "session.h"

/* How long a vacant one sleeps at a time; it is woken. */
#define VACANT_NS (60 * NS_PER_S)

bool roster_is_open(const struct engine *engine, uint32_t i)
{
	return i >= engine->config.n_servers - engine->config.n_pooled &&
	       i < engine->config.servers_max;
}

static bool is_vacant(const struct engine *engine, uint32_t i)
{
	return roster_is_open(engine, i) && !server_in_use(&engine->servers[i]);
}

uint32_t roster_vacant(const struct engine *engine)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < engine->n_servers; i++)
		n += is_vacant(engine, i);
	return n;
}

uint32_t roster_used(const struct engine *engine)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < engine->n_servers; i++)
		n += server_in_use(&engine->servers[i]) &&
		     !server_is_last_resort(&engine->servers[i]);
	return n;
}

/* What is known of the server that was here before says nothing of the next
 * one.  No request uses it: its links are closed. */
static void forget(struct server *server)
{
	struct engine *engine = server->engine;

	atomic_store(&server->shared.total_bytes, 0);
	atomic_store(&server->shared.free_bytes, 0);
	atomic_store(&server->shared.grace_ms, 0);
	atomic_store(&server->shared.answered_ns, 0);
	atomic_store(&server->shared.sessions, 0);
	atomic_store(&server->shared.recoveries, 0);
	atomic_store(&server->shared.release_slabs, 0);
	atomic_store(&server->shared.wrong_chunks, 0);
	atomic_store(&server->shared.usual_ns, 0);
	atomic_store(&server->shared.deviation_ns, 0);
	atomic_store(&server->shared.zone_id, 0);
	atomic_store(&server->shared.load_permille, 0);
	atomic_store(&server->shared.dismissed, false);
	atomic_store(&server->shared.transport, NULL);
	figures_forget(&engine->lanes, &engine->recent, server->index);
}

struct server *roster_join(struct engine *engine, const struct net_name *name)
{
	uint32_t i = 0;
	struct server *server;

	while (i < engine->n_servers && !is_vacant(engine, i))
		i++;
	if (i == engine->n_servers)
		return NULL;
	server = &engine->servers[i];
	pthread_mutex_lock(&server->lock);
	server->name = *name;
	server->text = net_name_format(name);
	atomic_store(&server->shared.wanted, true);
	atomic_store(&server->shared.in_use, true);
	pthread_mutex_unlock(&server->lock);
	server_wake(server);
	return server;
}

void roster_want(struct server *server, bool wanted)
{
	if (atomic_exchange(&server->shared.wanted, wanted) != wanted)
		server_wake(server);
}

void roster_dismiss(struct server *server)
{
	atomic_store(&server->shared.dismissed, true);
	roster_want(server, false);
}

bool roster_has_to_go(const struct server *server)
{
	return atomic_load(&server->shared.dismissed) &&
	       atomic_load(&server->shared.slabs) == 0;
}

bool roster_wait(struct server *server)
{
	while (!server_in_use(server) && !atomic_load(&server->shared.stopping))
		session_nap(server, NULL, clock_now_ns() + VACANT_NS);
	return !atomic_load(&server->shared.stopping);
}

bool roster_leave(struct server *server)
{
	const char *why = atomic_load(&server->shared.dismissed)
				  ? "another one takes its place"
				  : "it is not in the pool";

	if (atomic_load(&server->shared.wanted))
		return false;
	log_limited(&server->session.lines, LOG_LEVEL_NOTICE,
		    "server %s is not in use any more: %s", server->text.text,
		    why);
	events_add(EVENT_SERVER_LEFT, server->text.text, "%s", why);
	forget(server);
	pthread_mutex_lock(&server->lock);
	server->text = (struct net_text){ "" };
	server->locked.zone[0] = '\0';
	server->locked.path = (struct link_path){ .device = "" };
	atomic_store(&server->shared.in_use, false);
	pthread_mutex_unlock(&server->lock);
	server->session.complained = false;
	return true;
}
