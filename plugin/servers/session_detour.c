/* A way round for pages, while the session's own transport cannot connect.
 *
 * RDMA connects through the kernel's connection manager, which needs memory
 * (transport/rdma_reaper.h).  A machine without memory waits for its swap, so
 * for these connections, and would wait for ever.  Connecting by TCP needs no
 * memory but this process's own, which is there from the start.  The server has
 * the same slabs by both.
 *
 *   own --links cannot be built--> detour --nor can these--> own
 *   detour --after a while, see return_ns--> own
 *
 * Where the user chose a transport, there is no detour. */
#include "session.h"

#include <errno.h>

#include "clock.h"

/* How long links take the detour before the session tries its own transport
 * again: an attempt that fails holds requests up.  Twice as long each time. */
#define RETURN_FIRST_NS (60 * NS_PER_S)
#define RETURN_MAX_NS	(600 * NS_PER_S)

bool session_can_use(const struct wire_welcome *welcome,
		     const struct transport_ops *transport, struct error *why)
{
	if (!transport)
		return true; /* the server answers OPEN with an error if not */
	if (!(welcome->transports & transport->wire_bit)) {
		error_set(why, "the server does not offer transport=%s",
			  transport->name);
		return false;
	}
	return transport->available(why);
}

static const struct transport_ops *
find_detour(const struct server *server, const struct wire_welcome *welcome,
	    const struct transport_ops *own)
{
	const struct engine *engine = server->engine;
	struct error ignored;

	if (engine->config.transport)
		return NULL;
	for (size_t i = transport_number(own) + 1; i < WIRE_TRANSPORTS; i++) {
		if (session_can_use(welcome, transports[i], &ignored) &&
		    transports[i]->connections(engine->lanes.n) <=
			    welcome->max_lanes)
			return transports[i];
	}
	return NULL;
}

void session_detour_find(struct server *server,
			 const struct wire_welcome *welcome,
			 const struct transport_ops *own)
{
	server->session.own = own;
	server->session.detour = find_detour(server, welcome, own);
	server->session.return_after_ns = RETURN_FIRST_NS;
}

size_t session_links_bytes(const struct engine_config *config)
{
	size_t most = 0;

	for (size_t i = 0; i < WIRE_TRANSPORTS; i++) {
		const struct transport_ops *ops = transports[i];
		size_t bytes =
			ops->links_bytes ? ops->links_bytes(config->lanes) : 0;

		if ((!config->transport || config->transport == ops) &&
		    bytes > most)
			most = bytes;
	}
	return most;
}

int session_detour_prepare(struct server *server, struct error *why)
{
	struct lane_pool *pool = &server->engine->lanes;
	const struct transport_ops *detour = server->session.detour;
	struct channel *channel;
	int rc = 0;

	for (uint32_t i = 0; detour && !rc && i < pool->n; i++)
		rc = lane_channel(pool, &pool->lanes[i], detour, &channel, why);
	return rc;
}

uint32_t session_connections(const struct server *server)
{
	uint32_t lanes = server->engine->lanes.n;
	const struct transport_ops *detour = server->session.detour;
	uint32_t own = server->session.own->connections(lanes);
	uint32_t others = detour ? detour->connections(lanes) : 0;

	return own > others ? own : others;
}

void session_detour_turn(struct server *server)
{
	const struct transport_ops *now =
		atomic_load(&server->shared.transport);
	uint64_t *after_ns = &server->session.return_after_ns;

	if (!server->session.detour)
		return;
	if (now == server->session.detour) {
		atomic_store(&server->shared.transport, server->session.own);
		return;
	}
	atomic_store(&server->shared.transport, server->session.detour);
	server->session.return_ns = clock_now_ns() + *after_ns;
	*after_ns =
		2 * *after_ns < RETURN_MAX_NS ? 2 * *after_ns : RETURN_MAX_NS;
}

bool session_detour_ends(struct server *server, struct error *why)
{
	const struct transport_ops *own = server->session.own;
	const struct transport_ops *now =
		atomic_load(&server->shared.transport);

	if (now == own || clock_left_ns(server->session.return_ns))
		return false;
	error_set(why, "its pages go over %s, and are to go over %s again",
		  now->name, own->name);
	atomic_store(&server->shared.transport, own);
	return true;
}
