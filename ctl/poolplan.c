#include "poolplan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "servers/rebalance.h"

/* A front end decides as often at most.  The whole of a large pool takes some
 * ten thousand decisions. */
#define TURNS_MAX 100000u
/* What one decision moves goes to so many servers at most, to save time. */
#define PIECES 4
/* How often a fraction of a slab is rounded, before it counts as none. */
#define ROUNDINGS 1000

/* The servers of one slab size. */
struct group {
	struct choose_server *servers; /* [n] */
	unsigned n;
	bool *in_vain; /* [n], nothing could be moved from there */
	uint32_t turns;
	uint64_t moved_slabs;
};

static uint32_t slabs_of(const struct member *m, uint64_t bytes)
{
	uint64_t n = bytes / m->slab_bytes;

	return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static bool counts(const struct members_entry *e)
{
	return e->is_understood && !strcmp(e->member.state, "serving") &&
	       e->member.memory_bytes >= e->member.slab_bytes;
}

/* The slabs of all clients as if they were those of one.  What is only reserved
 * is not free either, but nothing is there to move. */
static struct choose_server view_of(const struct member *m, uint32_t index)
{
	uint32_t free_slabs = slabs_of(m, m->free_bytes);
	uint32_t total_slabs = slabs_of(m, m->memory_bytes);
	uint32_t taken_slabs = total_slabs - free_slabs;

	return (struct choose_server){
		.index = index,
		.free_slabs = free_slabs,
		.total_slabs = total_slabs,
		.own_slabs = m->held_slabs < taken_slabs ? m->held_slabs
							 : taken_slabs,
	};
}

/* --- what would move --- */

static struct rebalance decide(const struct group *g)
{
	struct rebalance r = { .has_from = false };

	for (unsigned i = 0; i < g->n; i++) {
		struct choose_server view = g->servers[i];

		if (g->in_vain[i])
			view.own_slabs = 0;
		rebalance_offer(&r, &view);
	}
	return r;
}

static uint32_t slabs_to_move(const struct group *g, const struct rebalance *r)
{
	uint32_t slabs = 0;

	for (unsigned i = 0; i < ROUNDINGS && !slabs; i++)
		slabs = rebalance_slabs(r,
					(uint64_t)g->turns * ROUNDINGS + i + 1);
	return slabs;
}

static uint32_t smallest(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Moves SLABS at most to the server that placement chooses.  Returns how many.
 */
static uint32_t move(struct group *g, const struct rebalance *r, uint32_t slabs,
		     uint64_t seed)
{
	struct choose_server *from = &g->servers[r->from.index], *to;
	struct choose choice;
	uint32_t chosen;

	choose_begin(&choice, NULL, 0, seed);
	for (unsigned i = 0; i < g->n; i++) {
		if (&g->servers[i] != from &&
		    rebalance_may_take(r, &g->servers[i]))
			choose_offer(&choice, &g->servers[i]);
	}
	chosen = choose_end(&choice);
	if (chosen == CHOOSE_NONE)
		return 0;
	to = &g->servers[chosen];
	slabs = smallest(slabs, to->free_slabs, from->own_slabs);
	from->own_slabs -= slabs;
	from->free_slabs += slabs;
	to->own_slabs += slabs;
	to->free_slabs -= slabs;
	return slabs;
}

/* What a front end does until the servers report again.  False if nothing is to
 * be moved any more. */
static bool turn(struct group *g)
{
	struct rebalance r = decide(g);
	uint32_t left, piece, moved = 0;

	if (!rebalance_is_wide(&r))
		return false;
	left = slabs_to_move(g, &r);
	piece = left / PIECES + 1;
	for (unsigned i = 0; left && i < PIECES; i++) {
		uint32_t n = move(g, &r, piece < left ? piece : left,
				  choose_mix((uint64_t)g->turns * PIECES + i));

		left -= n;
		moved += n;
	}
	g->in_vain[r.from.index] = !moved;
	g->moved_slabs += moved;
	return true;
}

/* Those of PLAN whose slabs are of SLAB_BYTES.  False if that was cut off. */
static bool move_all(struct poolplan *plan, struct group *g,
		     uint64_t slab_bytes)
{
	*g = (struct group){ .servers = g->servers, .in_vain = g->in_vain };
	for (unsigned i = 0; i < plan->n; i++) {
		const struct member *m = plan->servers[i].member;

		if (m->slab_bytes != slab_bytes)
			continue;
		g->servers[g->n] = view_of(m, g->n);
		g->in_vain[g->n++] = false;
	}
	while (g->turns < TURNS_MAX && turn(g))
		g->turns++;
	plan->move_slabs += g->moved_slabs;
	plan->move_bytes += g->moved_slabs * slab_bytes;
	return g->turns < TURNS_MAX;
}

/* Slabs of one size do not move to servers of another. */
static bool is_first_of_size(const struct poolplan *plan, unsigned i)
{
	unsigned k = 0;

	while (plan->servers[k].member->slab_bytes !=
	       plan->servers[i].member->slab_bytes)
		k++;
	return k == i;
}

static int plan_moves(struct poolplan *plan)
{
	struct group g = {
		.servers = calloc(plan->n + 1u, sizeof *g.servers),
		.in_vain = calloc(plan->n + 1u, sizeof *g.in_vain),
	};
	int rc = g.servers && g.in_vain ? 0 : -ENOMEM;

	for (unsigned i = 0; !rc && i < plan->n; i++) {
		if (is_first_of_size(plan, i) &&
		    !move_all(plan, &g, plan->servers[i].member->slab_bytes))
			plan->is_cut = true;
	}
	free(g.servers);
	free(g.in_vain);
	return rc;
}

/* --- how it stands --- */

static uint64_t used_bytes(const struct member *m)
{
	return m->memory_bytes - m->free_bytes;
}

static void compare(struct poolplan *plan)
{
	uint32_t least = UINT32_MAX, most = 0;
	double used = 0, memory = 0, mean;

	for (unsigned i = 0; i < plan->n; i++) {
		used += (double)used_bytes(plan->servers[i].member);
		memory += (double)plan->servers[i].member->memory_bytes;
	}
	mean = memory > 0 ? used / memory : 0;
	for (unsigned i = 0; i < plan->n; i++) {
		struct poolplan_server *s = &plan->servers[i];
		const struct choose_server view = view_of(s->member, i);

		s->fill_ppm = choose_fill_ppm(&view, 0);
		s->excess_bytes =
			(int64_t)used_bytes(s->member) -
			(int64_t)(mean * (double)s->member->memory_bytes);
		least = s->fill_ppm < least ? s->fill_ppm : least;
		most = s->fill_ppm > most ? s->fill_ppm : most;
	}
	plan->mean_ppm = (uint32_t)(mean * 1e6);
	plan->spread_ppm = plan->n ? most - least : 0;
}

int poolplan_make(struct poolplan *plan, const struct members *members)
{
	*plan = (struct poolplan){
		.servers = calloc(members->n + 1u, sizeof *plan->servers),
	};
	if (!plan->servers)
		return -ENOMEM;
	for (unsigned i = 0; i < members->n; i++) {
		if (counts(&members->entries[i]))
			plan->servers[plan->n++].member =
				&members->entries[i].member;
	}
	compare(plan);
	return plan_moves(plan);
}
