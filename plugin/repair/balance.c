#include "balance.h"

#include "clock.h"
#include "repair.h"
#include "servers/placement.h"

/* Servers tell what they have free as often. */
#define TURN_NS (3 * NS_PER_S)

bool balance_unloads(const struct server *server)
{
	return server->repair.unload_slabs > 0 &&
	       atomic_load(&server->shared.release_slabs) == 0;
}

void balance_count(struct server *server)
{
	if (server->repair.unload_slabs > 0)
		server->repair.unload_slabs--;
}

static bool is_at_rest(const struct repair *repair)
{
	return atomic_load(&repair->short_slabs) == 0 &&
	       atomic_load(&repair->moving_slabs) == 0;
}

/* All moves of the last decision are over.  What is left of it could not be
 * moved, for example because all slabs have copies in the zones of the servers
 * that could take them.  The next decision is about another server then. */
static void end_last(struct server *server)
{
	if (server->repair.unload_slabs > 0)
		server->repair.unloads_in_vain = true;
	server->repair.unload_slabs = 0;
}

static void offer(struct rebalance *r, const struct server *server)
{
	struct choose_server view = placement_view(server);

	if (server->repair.unloads_in_vain)
		view.own_slabs = 0;
	if (server_state(server) == SERVER_UP &&
	    atomic_load(&server->shared.release_slabs) == 0)
		rebalance_offer(r, &view);
}

/* All servers that are too full were tried: begin anew with the fullest. */
static void forget_vain(struct engine *engine)
{
	for (uint32_t i = 0; i < engine->n_servers; i++)
		engine->servers[i].repair.unloads_in_vain = false;
}

static void decide(struct engine *engine)
{
	struct rebalance *r = &engine->repair->balance;

	*r = (struct rebalance){ .has_from = false };
	for (uint32_t i = 0; i < engine->n_servers; i++) {
		end_last(&engine->servers[i]);
		offer(r, &engine->servers[i]);
	}
	if (rebalance_is_wide(r))
		engine->servers[r->from.index].repair.unload_slabs =
			rebalance_slabs(r, clock_now_ns());
	else
		forget_vain(engine);
}

void balance_turn(struct engine *engine)
{
	struct repair *repair = engine->repair;

	if (!engine->config.servers_max || !is_at_rest(repair) ||
	    clock_left_ns(repair->balance_ns) > 0)
		return;
	repair->balance_ns = clock_now_ns() + TURN_NS;
	decide(engine);
}
