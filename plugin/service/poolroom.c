#include "poolroom.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "clock.h"
#include "room.h"
#include "servers/choose.h"
#include "shares.h"
#include "size.h"

/* How long etcd has for it. */
#define READ_NS (10 * NS_PER_S)

/* How many more servers are chosen than may be used: some may not answer. */
#define SPARE_SERVERS 16u

struct candidate {
	const struct member *member;
	uint64_t left; /* slabs that may be reserved there */
	bool is_by_hand, is_chosen;
	uint32_t zone_uses; /* by servers that are chosen, or given by hand */
};

struct choice {
	const struct ledger *ledger; /* what is wanted */
	struct candidate *candidates;
	uint32_t n;
	uint64_t seed;
	/* Those that are chosen, the best ones first. */
	uint32_t *order;
	uint32_t n_order;
};

/* --- candidates --- */

static bool is_by_hand(const struct engine_config *engine,
		       const struct members_entry *entry)
{
	uint32_t n = engine->n_servers - engine->n_pooled;

	for (uint32_t i = 0; i < n; i++) {
		if (!strcmp(net_name_format(&engine->servers[i]).text,
			    entry->address.text))
			return true;
	}
	return false;
}

static bool suits(const struct engine_config *engine, const struct member *m,
		  uint64_t slab_bytes)
{
	return !strcmp(m->state, "serving") && m->slab_bytes == slab_bytes &&
	       (!engine->transport ||
		m->transports & engine->transport->wire_bit);
}

static void collect(struct choice *choice, const struct engine_config *engine,
		    const struct members *members, const struct room *room,
		    struct room_figures *all)
{
	const struct ledger *ledger = choice->ledger;

	for (unsigned i = 0; i < members->n; i++) {
		const struct members_entry *entry = &members->entries[i];
		const struct member *m = &entry->member;
		bool by_hand = is_by_hand(engine, entry);
		uint64_t left;

		if (!entry->is_understood ||
		    !(by_hand || suits(engine, m, ledger->slab_bytes)))
			continue;
		left = shares_left(m->memory_bytes,
				   room->settings.overcommit_permille,
				   m->unreserved_bytes, room->reserved_bytes[i],
				   ledger->slab_bytes);
		left = shares_room(&left, 1, ledger->most_each);
		choice->candidates[choice->n++] = (struct candidate){
			.member = m, .left = left, .is_by_hand = by_hand
		};
		all->servers++;
		all->memory_bytes += m->memory_bytes;
		all->reserved_bytes += room->reserved_bytes[i];
		all->left_bytes += left * ledger->slab_bytes;
	}
}

/* --- choosing --- */

/* Counts it in its zone.  A server without a zone has one of its own. */
static void count_zone(struct choice *choice, const struct member *m)
{
	for (uint32_t i = 0; *m->zone && i < choice->n; i++) {
		struct candidate *c = &choice->candidates[i];

		c->zone_uses += !strcmp(c->member->zone, m->zone);
	}
}

/* Of two with as much room any: devices that start at once should not all
 * choose the same. */
static bool is_better(const struct choice *choice, uint32_t i, uint32_t than,
		      bool by_zone)
{
	const struct candidate *a = &choice->candidates[i];
	const struct candidate *b = &choice->candidates[than];

	if (by_zone && a->zone_uses != b->zone_uses)
		return a->zone_uses < b->zone_uses;
	if (a->left != b->left)
		return a->left > b->left;
	return choose_mix(choice->seed + i) > choose_mix(choice->seed + than);
}

/* Chooses one more, with the most room: BY_ZONE of the zones that are used
 * least.  False: there is none. */
static bool choose_one(struct choice *choice, bool by_zone)
{
	uint32_t best = choice->n;

	for (uint32_t i = 0; i < choice->n; i++) {
		const struct candidate *c = &choice->candidates[i];

		if (!c->is_chosen &&
		    (best == choice->n || is_better(choice, i, best, by_zone)))
			best = i;
	}
	if (best == choice->n)
		return false;
	choice->candidates[best].is_chosen = true;
	choice->order[choice->n_order++] = best;
	count_zone(choice, choice->candidates[best].member);
	return true;
}

/* Chooses MOST anew.  Returns the slabs that may be reserved on these and on
 * those that are given by hand. */
static uint64_t choose(struct choice *choice, uint32_t most, bool by_zone)
{
	uint64_t slabs = 0;

	choice->n_order = 0;
	for (uint32_t i = 0; i < choice->n; i++) {
		choice->candidates[i].is_chosen =
			choice->candidates[i].is_by_hand;
		choice->candidates[i].zone_uses = 0;
	}
	for (uint32_t i = 0; i < choice->n; i++) {
		if (choice->candidates[i].is_by_hand)
			count_zone(choice, choice->candidates[i].member);
	}
	while (choice->n_order < most && choose_one(choice, by_zone))
		continue;
	for (uint32_t i = 0; i < choice->n; i++)
		slabs += choice->candidates[i].is_chosen
				 ? choice->candidates[i].left
				 : 0;
	return slabs;
}

/* In as many zones as possible, if all of the device finds room so; else those
 * with the most room, wherever they are.  Returns as `choose`. */
static uint64_t choose_best(struct choice *choice,
			    const struct engine_config *engine)
{
	uint32_t by_hand = engine->n_servers - engine->n_pooled;
	uint32_t most = engine->servers_max < LEDGER_SERVERS_MAX
				? engine->servers_max
				: LEDGER_SERVERS_MAX;
	uint64_t all = choice->ledger->most_each *
		       redundancy_shards(&engine->redundancy);
	uint64_t slabs;

	most = most > by_hand ? most - by_hand : 0;
	slabs = choose(choice, most, true);
	if (slabs < all)
		slabs = choose(choice, most, false);
	for (uint32_t i = 0; i < SPARE_SERVERS; i++)
		choose_one(choice, false);
	return slabs;
}

/* --- all of it --- */

static int refuse(const struct choice *choice, const struct room_figures *all,
		  uint64_t slabs, uint32_t permille, uint32_t servers_max,
		  struct error *why)
{
	const struct ledger *ledger = choice->ledger;
	uint64_t wanted_bytes = ledger->slabs * ledger->slab_bytes;
	char note[96] = "";

	if (all->left_bytes >= wanted_bytes)
		snprintf(note, sizeof note,
			 ", but %s at most with servers-max=%u",
			 size_format(slabs * ledger->slab_bytes).text,
			 servers_max);
	return room_refuse(all, wanted_bytes, permille, note, why);
}

static int put_servers(const struct choice *choice,
		       struct engine_config *engine, struct error *why)
{
	uint32_t by_hand = engine->n_servers - engine->n_pooled;
	struct net_name *servers =
		realloc(engine->servers,
			(by_hand + choice->n_order + 1u) * sizeof *servers);

	if (!servers) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < choice->n_order; i++)
		servers[by_hand + i] =
			choice->candidates[choice->order[i]].member->address;
	engine->servers = servers;
	engine->n_pooled = choice->n_order;
	engine->n_servers = by_hand + choice->n_order;
	return 0;
}

static int choose_and_put(struct choice *choice, const struct members *members,
			  const struct room *room, struct engine_config *engine,
			  struct error *why)
{
	struct room_figures all = { .servers = 0 };
	uint64_t slabs;

	choice->candidates =
		calloc(members->n + 1u, sizeof *choice->candidates);
	choice->order = calloc(members->n + 1u, sizeof *choice->order);
	if (!choice->candidates || !choice->order) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	collect(choice, engine, members, room, &all);
	slabs = choose_best(choice, engine);
	if (slabs < choice->ledger->slabs)
		return refuse(choice, &all, slabs,
			      room->settings.overcommit_permille,
			      engine->servers_max, why);
	return put_servers(choice, engine, why);
}

int poolroom_choose(struct poolwatch *watch, struct engine_config *engine,
		    uint64_t slab_bytes, struct error *why)
{
	struct ledger *ledger = &watch->reserve.ledger;
	struct choice choice = { .ledger = ledger };
	struct room room = { .reserved_bytes = NULL };
	struct error detail;
	int rc = poolreserve_want(ledger, watch->config, slab_bytes, &detail);

	/* Without random bytes the choice is the same each time, and as good.
	 */
	(void)!getrandom(&choice.seed, sizeof choice.seed, GRND_NONBLOCK);
	if (!rc)
		rc = room_read(&room, watch->etcd, &watch->config->pool,
			       &watch->members, clock_now_ns() + READ_NS,
			       &detail);
	if (!rc)
		rc = choose_and_put(&choice, &watch->members, &room, engine,
				    &detail);
	if (rc)
		poolreserve_refuse(watch->config, &detail, why);
	room_free(&room);
	free(choice.candidates);
	free(choice.order);
	return rc;
}
