#include "rules.h"

#include <stdlib.h>

#include "servers/rebalance.h"
#include "service/poolpick.h"

/* --- rswap's --- */

static uint32_t server_of(const struct net_name *name)
{
	return (uint32_t)strtoul(name->host, NULL, 10);
}

static bool is_used(void *arg, const struct net_name *address)
{
	const struct sim_client *client = arg;

	for (uint32_t i = 0; i < client->n_known; i++) {
		if (client->known[i] == server_of(address))
			return true;
	}
	return false;
}

/* Has the plugin choose servers of the pool, as far as it has room for more. */
static void know(struct sim *sim, struct sim_client *client)
{
	const struct poolpick pick = { .members = &sim->members,
				       .transports = UINT32_MAX,
				       .slab_bytes = SIM_SLAB_BYTES,
				       .is_used = is_used,
				       .arg = client,
				       .seed = sim_below(sim, UINT32_MAX) +
					       1ull };
	struct net_name names[SIM_KNOWN_MAX];
	uint32_t kept = 0;
	int found;

	for (uint32_t i = 0; i < client->n_known; i++) {
		if (!sim->servers[client->known[i]].alive)
			continue;
		client->known[kept] = client->known[i];
		client->own[kept++] = client->own[i];
	}
	client->n_known = kept;
	if (kept == sim->servers_max)
		return;
	found = poolpick_choose(&pick, names, sim->servers_max - kept);
	for (int i = 0; i < found; i++) {
		client->known[client->n_known] = (uint16_t)server_of(&names[i]);
		client->own[client->n_known++] = 0;
	}
}

static uint32_t shards_of(const struct sim *sim, const struct sim_slab *slab,
			  uint32_t n, struct choose_shard *shards)
{
	for (uint32_t k = 0; k < n; k++)
		shards[k] = (struct choose_shard){
			.server = slab->servers[k],
			.zone = sim->servers[slab->servers[k]].zone
		};
	return n;
}

static struct choose_server seen(const struct sim *sim, uint32_t server,
				 uint32_t own)
{
	return (struct choose_server){
		.index = server,
		.free_slabs = sim_seen_free(sim, server),
		.total_slabs = sim->servers[server].total,
		.zone = sim->servers[server].zone,
		.own_slabs = own,
	};
}

static void offer(struct choose *choice, const struct sim *sim, uint32_t server,
		  uint32_t own)
{
	struct choose_server s = seen(sim, server, own);

	choose_offer(choice, &s);
}

uint32_t rule_rswap(struct sim *sim, struct sim_client *client,
		    const struct sim_slab *slab, uint32_t n)
{
	struct choose_shard shards[SIM_COPIES_MAX];
	struct choose choice;

	know(sim, client);
	choose_begin(&choice, shards, shards_of(sim, slab, n, shards),
		     sim_below(sim, UINT32_MAX));
	for (uint32_t i = 0; i < client->n_known; i++)
		offer(&choice, sim, client->known[i], client->own[i]);
	return choose_end(&choice);
}

/* Moves copy K of SLAB.  False if no server may take it. */
static bool move(struct sim *sim, struct sim_client *client,
		 const struct rebalance *r, struct sim_slab *slab, uint32_t k)
{
	struct choose_shard shards[SIM_COPIES_MAX];
	struct choose choice;
	uint32_t to;

	shards_of(sim, slab, sim->copies, shards);
	shards[k].gives_way = true;
	choose_begin(&choice, shards, sim->copies, sim_below(sim, UINT32_MAX));
	choose_apart(&choice);
	for (uint32_t i = 0; i < client->n_known; i++) {
		struct choose_server s =
			seen(sim, client->known[i], client->own[i]);

		if (rebalance_may_take(r, &s))
			choose_offer(&choice, &s);
	}
	to = choose_end(&choice);
	return to != CHOOSE_NONE && sim_move(sim, client, slab, k, to);
}

/* The copy of SLAB on SERVER, or sim->copies. */
static uint32_t copy_on(const struct sim *sim, const struct sim_slab *slab,
			uint32_t server)
{
	uint32_t k = 0;

	while (k < sim->copies && slab->servers[k] != server)
		k++;
	return k;
}

uint32_t rule_rebalance(struct sim *sim, struct sim_client *client,
			uint32_t most)
{
	struct rebalance r = { .has_from = false };
	uint32_t slabs, moved = 0, at;

	sim->bursts++;
	for (uint32_t i = 0; i < client->n_known; i++) {
		struct choose_server s =
			seen(sim, client->known[i], client->own[i]);

		rebalance_offer(&r, &s);
	}
	slabs = rebalance_slabs(&r, sim_below(sim, UINT32_MAX));
	slabs = slabs < most ? slabs : most;
	at = slabs ? sim_below(sim, client->n) : 0;
	for (uint32_t i = 0; i < client->n && moved < slabs; i++) {
		struct sim_slab *slab = &client->slabs[(at + i) % client->n];
		uint32_t k = copy_on(sim, slab, r.from.index);

		if (k < sim->copies)
			moved += move(sim, client, &r, slab, k);
	}
	return moved;
}

/* --- others --- */

static bool holds(const struct sim_slab *slab, uint32_t n, uint32_t server)
{
	for (uint32_t k = 0; k < n; k++) {
		if (slab->servers[k] == server)
			return true;
	}
	return false;
}

static bool is_in_its_zone(const struct sim *sim, const struct sim_slab *slab,
			   uint32_t n, uint32_t server)
{
	for (uint32_t k = 0; k < n; k++) {
		if (sim->servers[slab->servers[k]].zone ==
		    sim->servers[server].zone)
			return true;
	}
	return false;
}

uint32_t rule_random(struct sim *sim, struct sim_client *client,
		     const struct sim_slab *slab, uint32_t n)
{
	(void)client;
	for (uint32_t try = 0; try < 100 * sim->n_servers; try++) {
		uint32_t i = sim_below(sim, sim->n_servers);

		if (sim_seen_free(sim, i) && !holds(slab, n, i))
			return i;
	}
	return CHOOSE_NONE;
}

uint32_t rule_most_free(struct sim *sim, struct sim_client *client,
			const struct sim_slab *slab, uint32_t n)
{
	uint32_t best = CHOOSE_NONE, most = 0;

	(void)client;
	for (uint32_t i = 0; i < sim->n_servers; i++) {
		uint32_t free = sim_seen_free(sim, i);

		if (free > most && !is_in_its_zone(sim, slab, n, i)) {
			best = i;
			most = free;
		}
	}
	return best;
}

uint32_t rule_single(struct sim *sim, struct sim_client *client,
		     const struct sim_slab *slab, uint32_t n)
{
	struct choose_shard shards[SIM_COPIES_MAX];
	struct choose choice;

	if (client->n > 0) {
		uint32_t last = client->slabs[client->n - 1].servers[n];

		if (last < sim->n_servers && sim_seen_free(sim, last) &&
		    !holds(slab, n, last))
			return last;
	}
	/* By rswap's choice, but of all servers. */
	choose_begin(&choice, shards, shards_of(sim, slab, n, shards),
		     sim_below(sim, UINT32_MAX));
	for (uint32_t i = 0; i < sim->n_servers; i++)
		offer(&choice, sim, i, 0);
	return choose_end(&choice);
}
