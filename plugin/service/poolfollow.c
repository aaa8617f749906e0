#include "poolfollow.h"

#include <string.h>

#include "clock.h"
#include "events.h"
#include "log.h"
#include "poolparts.h"
#include "poolpick.h"
#include "servers/roster.h"

#define EVERY_NS (1 * NS_PER_S)

/* How often it is looked at, at most.  A pool of a thousand servers tells of
 * one of them a hundred times in a second. */
#define LOOK_NS (200 * NS_PER_MS)

/* A server that comes is not met by all its clients at the same moment. */
#define SPREAD_NS (500 * NS_PER_MS)

/* How long a server may be of no use while others wait for its place. */
#define USELESS_NS (30 * NS_PER_S)

/* How long others are taken before one that was dismissed for that. */
#define AVOID_NS (300 * NS_PER_S)

static bool is_name(const struct net_name *a, const struct net_name *b)
{
	return a->port == b->port && !strcmp(a->host, b->host);
}

static bool is_of(const struct members_entry *entry,
		  const struct server *server)
{
	return entry->is_understood
		       ? is_name(&entry->member.address, &server->name)
		       : !strcmp(entry->address.text, server->text.text);
}

/* What the list has of SERVER, or NULL.  The name changes only in this thread,
 * while a server is vacant.  A key may spell an address in another way. */
static const struct members_entry *listed(const struct poolfollow *follow,
					  const struct server *server)
{
	const struct members *members = follow->members;
	const struct members_entry *found =
		members_find(members, server->text.text);

	if (found && is_of(found, server))
		return found;
	for (unsigned i = 0; i < members->n; i++) {
		if (is_of(&members->entries[i], server))
			return &members->entries[i];
	}
	return NULL;
}

static bool is_used(void *arg, const struct net_name *address)
{
	const struct poolfollow *follow = arg;
	const struct engine *engine = follow->engine;

	for (uint32_t i = 0; i < engine->n_servers; i++) {
		const struct server *server = &engine->servers[i];

		if (server_in_use(server) && is_name(&server->name, address))
			return true;
	}
	return false;
}

/* Whether there is any server to be avoided. */
static bool avoids(const struct poolfollow *follow)
{
	for (uint32_t i = 0; i < follow->engine->n_servers; i++) {
		if (clock_left_ns(follow->servers[i].avoided_until_ns))
			return true;
	}
	return false;
}

/* A server that was started again since is another one. */
static bool is_avoided(void *arg, const struct member *member)
{
	const struct poolfollow *follow = arg;

	for (uint32_t i = 0; i < follow->engine->n_servers; i++) {
		if (clock_left_ns(follow->servers[i].avoided_until_ns) &&
		    is_name(&follow->servers[i].avoided, &member->address) &&
		    !memcmp(follow->servers[i].avoided_incarnation,
			    member->incarnation, sizeof member->incarnation))
			return true;
	}
	return false;
}

static void avoid(struct poolfollow *follow, const struct server *server)
{
	const struct members_entry *entry = listed(follow, server);

	if (!entry || !entry->is_understood)
		return;
	follow->servers[server->index].avoided = server->name;
	memcpy(follow->servers[server->index].avoided_incarnation,
	       entry->member.incarnation, sizeof entry->member.incarnation);
	follow->servers[server->index].avoided_until_ns =
		clock_now_ns() + AVOID_NS;
}

/* A server that was away comes back with what is reserved there for this
 * device, which is why it has less free memory, or none. */
static uint64_t own_bytes(void *arg, const struct members_entry *entry)
{
	const struct poolfollow *follow = arg;

	return poolparts_bytes(follow->ledger, entry->address.text);
}

/* A server with free memory that waits to join, in NAME, if there is one.
 * ANYONE: also one that is avoided. */
static bool candidate(struct poolfollow *follow, bool anyone,
		      struct net_name *name)
{
	struct engine *engine = follow->engine;
	const struct transport_ops *transport = engine->config.transport;
	const struct poolpick pick = {
		.members = follow->members,
		.transports = transport ? transport->wire_bit : UINT32_MAX,
		.slab_bytes = engine->slabs.geometry.slab_bytes,
		.free_bytes = engine->slabs.geometry.slab_bytes,
		.own_bytes = own_bytes,
		.is_used = is_used,
		.is_avoided = !anyone && avoids(follow) ? is_avoided : NULL,
		.arg = follow,
	};

	return poolpick_choose(&pick, name, 1) > 0;
}

static bool next_to_join(struct poolfollow *follow, struct net_name *name)
{
	return candidate(follow, false, name) ||
	       (avoids(follow) && candidate(follow, true, name));
}

/* --- leaving --- */

/* Without a key a server is as busy as it was. */
static void heed(struct server *server, const struct members_entry *entry)
{
	roster_want(server, entry);
	if (entry && entry->is_understood)
		atomic_store(&server->shared.load_permille,
			     entry->member.load_permille);
}

static void heed_list(struct poolfollow *follow)
{
	struct engine *engine = follow->engine;

	for (uint32_t i = 0; i < engine->n_servers; i++) {
		struct server *server = &engine->servers[i];

		if (!roster_is_open(engine, i))
			continue;
		if (!server_in_use(server))
			follow->servers[i].dismissed = false;
		else if (!follow->servers[i].dismissed)
			heed(server, listed(follow, server));
	}
}

/* Without a session, or without a slab and without a slab to grant. */
static bool is_useless(const struct server *server)
{
	uint64_t slab_bytes = server->engine->slabs.geometry.slab_bytes;

	if (server_state(server) != SERVER_UP)
		return server_state(server) == SERVER_DOWN;
	return atomic_load(&server->shared.slabs) == 0 &&
	       (atomic_load(&server->shared.release_slabs) ||
		atomic_load(&server->shared.free_bytes) < slab_bytes);
}

/* A server that is of no use for long, or N_SERVERS. */
static uint32_t useless(struct poolfollow *follow)
{
	struct engine *engine = follow->engine;
	uint32_t found = engine->n_servers;

	for (uint32_t i = 0; i < engine->n_servers; i++) {
		struct server *server = &engine->servers[i];
		uint64_t *since_ns;

		if (!roster_is_open(engine, i))
			continue;
		since_ns = &follow->servers[i].useless_ns;
		if (!server_in_use(server) || !is_useless(server))
			*since_ns = 0;
		else if (!*since_ns)
			*since_ns = clock_now_ns();
		else if (!clock_left_ns(*since_ns + USELESS_NS))
			found = i;
	}
	return found;
}

static void make_room(struct poolfollow *follow)
{
	struct engine *engine = follow->engine;
	uint32_t i = useless(follow);
	struct net_name name;

	if (i == engine->n_servers || roster_vacant(engine) ||
	    !candidate(follow, false, &name))
		return;
	avoid(follow, &engine->servers[i]);
	follow->servers[i].dismissed = true;
	roster_dismiss(&engine->servers[i]);
}

/* --- joining --- */

static uint64_t soon_ns(void)
{
	return clock_now_ns() + etcd_draw_ns(SPREAD_NS);
}

static void join(struct poolfollow *follow)
{
	struct engine *engine = follow->engine;
	struct server *server;
	struct net_name name;

	follow->join_at_ns = 0;
	while (next_to_join(follow, &name)) {
		struct net_text text = net_name_format(&name);

		server = roster_join(engine, &name);
		if (!server)
			break;
		follow->servers[server->index].useless_ns = 0;
		follow->servers[server->index].dismissed = false;
		log_notice("server %s joins from pool %s: %u in use, of %u "
			   "allowed",
			   text.text, follow->pool, roster_used(engine),
			   engine->config.servers_max);
		events_add(EVENT_SERVER_JOINED, text.text, "from pool %s",
			   follow->pool);
	}
}

static void look_for_more(struct poolfollow *follow)
{
	struct net_name name;

	if (!roster_vacant(follow->engine) || !next_to_join(follow, &name))
		follow->join_at_ns = 0;
	else if (!follow->join_at_ns)
		follow->join_at_ns = soon_ns();
	else if (!clock_left_ns(follow->join_at_ns))
		join(follow);
}

/* A server that is about to join does not wait for the next look. */
static uint64_t or_to_join(const struct poolfollow *follow, uint64_t again_ns)
{
	return follow->join_at_ns && follow->join_at_ns < again_ns
		       ? follow->join_at_ns
		       : again_ns;
}

uint64_t poolfollow_step(struct poolfollow *follow)
{
	uint64_t look_at_ns = or_to_join(follow, follow->look_at_ns);
	uint64_t now_ns = clock_now_ns();

	if (now_ns < look_at_ns)
		return look_at_ns;
	follow->look_at_ns = now_ns + LOOK_NS;
	heed_list(follow);
	make_room(follow);
	look_for_more(follow);
	return or_to_join(follow, now_ns + EVERY_NS);
}
