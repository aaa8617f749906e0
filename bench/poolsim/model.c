#include "model.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

/* How often a client asks another server after a refusal. */
#define TRIES 16

/* --- chance --- */

static uint64_t next_random(struct sim *sim)
{
	return choose_mix(sim->random += UINT64_C(0x9e3779b97f4a7c15));
}

uint32_t sim_below(struct sim *sim, uint32_t below)
{
	return (uint32_t)((next_random(sim) >> 32) * below >> 32);
}

/* Between 0 and 1, and neither of them. */
static double unit(struct sim *sim)
{
	return ((double)(next_random(sim) >> 11) + 0.5) / 9007199254740992.0;
}

/* A log-normal law with a median of 1 (docs/pool.md says why). */
#define SIGMA 1.5

static double demand(struct sim *sim)
{
	double normal = sqrt(-2 * log(unit(sim))) *
			cos(2 * 3.14159265358979 * unit(sim));

	return exp(SIGMA * normal);
}

/* --- servers --- */

static void *allocate(size_t n, size_t bytes)
{
	void *p = calloc(n, bytes);

	if (!p) {
		fprintf(stderr, "poolsim: out of memory\n");
		exit(EXIT_FAILURE);
	}
	return p;
}

static void name_member(struct sim *sim, uint32_t server)
{
	struct members_entry *entry = &sim->members.entries[server];
	struct member *m = &entry->member;

	entry->is_understood = true;
	snprintf(m->address.host, sizeof m->address.host, "%u", server);
	m->address.port = 1;
	m->transports = WIRE_TRANSPORT_RDMA;
	snprintf(m->zone, sizeof m->zone, "%u", sim->servers[server].zone);
	snprintf(m->state, sizeof m->state, "serving");
	m->slab_bytes = SIM_SLAB_BYTES;
	m->memory_bytes = sim->servers[server].total * SIM_SLAB_BYTES;
	m->free_bytes = m->memory_bytes;
}

uint32_t sim_join(struct sim *sim, uint32_t total, uint32_t zone)
{
	uint32_t i = sim->n_servers++;

	sim->servers[i] = (struct sim_server){ .total = total,
					       .zone = zone,
					       .alive = true };
	sim->members.n = sim->n_servers;
	name_member(sim, i);
	return i;
}

/* Each server looks so often whether its key has to be put again.  A key that
 * would be the same need not be put here. */
#define REPORTS_A_KEY (MEMBER_CHANGED_NS / SIM_REPORT_NS)

void sim_report(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->n_servers; i++) {
		struct sim_server *s = &sim->servers[i];

		s->reported_used = s->used;
		/* Servers were not started at the same time. */
		if ((sim->reports + i) % REPORTS_A_KEY == 0)
			sim->members.entries[i].member.free_bytes =
				(s->total - s->used) * SIM_SLAB_BYTES;
	}
	sim->reports++;
}

uint32_t sim_seen_free(const struct sim *sim, uint32_t server)
{
	const struct sim_server *s = &sim->servers[server];

	if (!s->alive)
		return 0;
	return s->total - (s->fresh_burst == sim->bursts ? s->fresh_used
							 : s->reported_used);
}

/* --- clients --- */

static void want(struct sim *sim, uint32_t client)
{
	/* In thousandths of the median, until sim_scale. */
	sim->clients[client].wanted = (uint32_t)(1000 * demand(sim)) + 1;
}

void sim_scale(struct sim *sim, uint32_t percent)
{
	double total = 0, taken = 0, wanted = 0, factor;

	for (uint32_t i = 0; i < sim->n_servers; i++)
		total += sim->servers[i].alive ? sim->servers[i].total : 0;
	for (uint32_t i = 0; i < sim->n_clients; i++)
		*(sim->clients[i].n ? &taken : &wanted) +=
			sim->clients[i].wanted;
	factor = (total * percent / 100 / sim->copies - taken) / wanted;
	for (uint32_t i = 0; i < sim->n_clients; i++) {
		struct sim_client *c = &sim->clients[i];

		if (!c->n)
			c->wanted = (uint32_t)(c->wanted * factor) + 1;
	}
}

void sim_create(struct sim *sim, uint32_t servers, uint32_t zones,
		uint32_t clients, uint32_t copies, uint32_t percent,
		uint64_t seed)
{
	*sim = (struct sim){ .n_zones = zones,
			     .n_clients = clients,
			     .copies = copies,
			     .random = seed };
	sim->clients = allocate(clients, sizeof *sim->clients);
	sim->members.entries =
		allocate(SIM_SERVERS_MAX, sizeof *sim->members.entries);
	for (uint32_t i = 0; i < servers; i++)
		sim_join(sim, 512u << sim_below(sim, 5),
			 1 + sim_below(sim, zones));
	for (uint32_t i = 0; i < clients; i++)
		want(sim, i);
	sim_scale(sim, percent);
	sim_report(sim);
}

void sim_destroy(struct sim *sim)
{
	for (uint32_t i = 0; i < sim->n_clients; i++)
		free(sim->clients[i].slabs);
	free(sim->clients);
	free(sim->members.entries);
}

static uint32_t *own(struct sim_client *client, uint32_t server)
{
	for (uint32_t i = 0; i < client->n_known; i++) {
		if (client->known[i] == server)
			return &client->own[i];
	}
	return NULL;
}

void sim_take(struct sim *sim, struct sim_client *client, uint32_t server)
{
	uint32_t *n = own(client, server);

	sim->servers[server].used++;
	if (n)
		++*n;
}

void sim_give_back(struct sim *sim, struct sim_client *client, uint32_t server)
{
	uint32_t *n = own(client, server);

	sim->servers[server].used--;
	if (n)
		--*n;
}

void sim_replace(struct sim *sim, uint32_t client)
{
	struct sim_client *c = &sim->clients[client];

	for (uint32_t i = 0; i < c->n; i++) {
		for (uint32_t k = 0; k < sim->copies; k++)
			sim_give_back(sim, c, c->slabs[i].servers[k]);
	}
	free(c->slabs);
	*c = (struct sim_client){ 0 };
	want(sim, client);
}

#define NOWHERE UINT16_MAX

/* Asks servers for one more copy.  False if none took it. */
static bool place(struct sim *sim, struct sim_client *client,
		  struct sim_slab *slab, uint32_t n, sim_rule *rule)
{
	for (uint32_t tried = 0; tried < TRIES; tried++) {
		uint32_t i = rule(sim, client, slab, n);
		struct sim_server *s;
		bool full;

		if (i == CHOOSE_NONE)
			return false;
		s = &sim->servers[i];
		full = s->used == s->total;
		if (full)
			sim->refused++;
		else
			sim_take(sim, client, i);
		/* The answer tells what is free. */
		s->fresh_used = s->used;
		s->fresh_burst = sim->bursts;
		slab->servers[n] = full ? NOWHERE : (uint16_t)i;
		if (!full)
			return true;
	}
	return false;
}

static bool place_slab(struct sim *sim, struct sim_client *client,
		       struct sim_slab *slab, sim_rule *rule)
{
	memset(slab, 0xff, sizeof *slab);
	for (uint32_t n = 0; n < sim->copies; n++) {
		if (place(sim, client, slab, n, rule))
			continue;
		while (n-- > 0)
			sim_give_back(sim, client, slab->servers[n]);
		return false;
	}
	return true;
}

static void make_room(struct sim_client *c)
{
	struct sim_slab *slabs;

	if (c->n + SIM_BURST_SLABS <= c->room)
		return;
	c->room = 2 * c->room + SIM_BURST_SLABS;
	slabs = allocate(c->room, sizeof *slabs);
	if (c->n)
		memcpy(slabs, c->slabs, c->n * sizeof *slabs);
	free(c->slabs);
	c->slabs = slabs;
}

bool sim_burst(struct sim *sim, uint32_t client, sim_rule *rule)
{
	struct sim_client *c = &sim->clients[client];

	sim->bursts++;
	make_room(c);
	for (uint32_t i = 0; i < SIM_BURST_SLABS && c->n < c->wanted; i++) {
		if (!place_slab(sim, c, &c->slabs[c->n], rule)) {
			/* It swaps less. */
			sim->failed += c->wanted - c->n;
			c->wanted = c->n;
			return false;
		}
		c->n++;
	}
	return c->n < c->wanted;
}

bool sim_move(struct sim *sim, struct sim_client *client, struct sim_slab *slab,
	      uint32_t k, uint32_t server)
{
	struct sim_server *s = &sim->servers[server];
	bool full = s->used == s->total;

	if (full) {
		sim->refused++;
	} else {
		sim_give_back(sim, client, slab->servers[k]);
		sim_take(sim, client, server);
		slab->servers[k] = (uint16_t)server;
	}
	s->fresh_used = s->used;
	s->fresh_burst = sim->bursts;
	return !full;
}

/* --- losing --- */

/* Makes the copies of SLAB anew that were on SERVER.  Returns how many. */
static uint64_t repair(struct sim *sim, struct sim_client *c,
		       struct sim_slab *slab, uint32_t server, sim_rule *rule)
{
	uint32_t last = sim->copies - 1;

	for (uint32_t k = 0; k <= last; k++) {
		if (slab->servers[k] != server)
			continue;
		sim_give_back(sim, c, server);
		slab->servers[k] = slab->servers[last];
		slab->servers[last] = NOWHERE;
		if (!place(sim, c, slab, last, rule))
			sim->failed++;
		return 1;
	}
	return 0;
}

static bool is_gone(const struct sim *sim, const struct sim_slab *slab)
{
	for (uint32_t k = 0; k < sim->copies; k++) {
		if (slab->servers[k] != NOWHERE &&
		    sim->servers[slab->servers[k]].alive)
			return false;
	}
	return true;
}

uint64_t sim_lose(struct sim *sim, uint32_t server, sim_rule *rule,
		  uint64_t *lost)
{
	uint64_t copies = 0;

	sim->servers[server].alive = false;
	sim->members.entries[server].is_understood = false;
	*lost = 0;
	for (uint32_t i = 0; i < sim->n_clients; i++) {
		struct sim_client *c = &sim->clients[i];

		sim->bursts++;
		for (uint32_t k = 0; k < c->n; k++) {
			*lost += is_gone(sim, &c->slabs[k]);
			copies += repair(sim, c, &c->slabs[k], server, rule);
		}
	}
	return copies;
}

/* --- measuring --- */

double sim_spread(const struct sim *sim)
{
	double least = 1, most = 0;

	for (uint32_t i = 0; i < sim->n_servers; i++) {
		const struct sim_server *s = &sim->servers[i];
		double share = (double)s->used / s->total;

		if (!s->alive)
			continue;
		least = share < least ? share : least;
		most = share > most ? share : most;
	}
	return 100 * (most - least);
}

static bool is_all_in(const struct sim *sim, const struct sim_slab *slab,
		      uint32_t zone)
{
	for (uint32_t k = 0; k < sim->copies; k++) {
		if (slab->servers[k] != NOWHERE &&
		    sim->servers[slab->servers[k]].zone != zone)
			return false;
	}
	return true;
}

uint64_t sim_lost_with_zone(const struct sim *sim, uint32_t zone)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < sim->n_clients; i++) {
		const struct sim_client *c = &sim->clients[i];

		for (uint32_t k = 0; k < c->n; k++)
			n += is_all_in(sim, &c->slabs[k], zone);
	}
	return n;
}

uint32_t sim_fragments(const struct sim *sim, const struct sim_client *client)
{
	static uint8_t seen[UINT16_MAX + 1u];
	uint32_t n = 0;

	memset(seen, 0, sizeof seen);
	for (uint32_t i = 0; i < client->n; i++) {
		for (uint32_t k = 0; k < sim->copies; k++) {
			uint16_t server = client->slabs[i].servers[k];

			n += server != NOWHERE && !seen[server];
			seen[server] = 1;
		}
	}
	return n;
}
