#include "poolparts.h"

#include <stdatomic.h>
#include <string.h>

#include "servers/server.h"

static const struct member *member_of(const struct members *members,
				      const char *address)
{
	const struct members_entry *entry = members_find(members, address);

	return entry && entry->is_understood ? &entry->member : NULL;
}

void poolparts_begin(struct ledger *ledger, const struct members *members,
		     const struct engine_config *engine)
{
	for (uint32_t i = 0;
	     i < engine->n_servers && ledger->n < LEDGER_SERVERS_MAX; i++) {
		struct net_text text = net_name_format(&engine->servers[i]);
		const struct member *m = member_of(members, text.text);

		if (m)
			ledger->servers[ledger->n++] = (struct ledger_server){
				.address = text,
				.memory_bytes = m->memory_bytes,
				.unreserved_bytes = m->unreserved_bytes,
				.is_wanted = true,
			};
	}
}

/* --- which are used --- */

/* A name changes only in this thread, while its server is vacant.  So nobody
 * who does I/O ever waits here for a lock. */
static const struct server *server_of(const struct engine *engine,
				      const char *address)
{
	for (uint32_t i = 0; i < engine->n_servers; i++) {
		const struct server *server = &engine->servers[i];

		if (server_in_use(server) &&
		    !strcmp(net_name_format(&server->name).text, address))
			return server;
	}
	return NULL;
}

/* A session goes on without a key in the pool. */
static bool is_used(const struct members *members, const struct engine *engine,
		    const char *address)
{
	const struct server *server = server_of(engine, address);
	const struct member *m = member_of(members, address);

	if (!server)
		return false;
	return m ? !member_drains(m) : server_state(server) != SERVER_DOWN;
}

uint64_t poolparts_bytes(const struct ledger *ledger, const char *address)
{
	for (unsigned i = 0; ledger->lease && i < ledger->n; i++) {
		const struct ledger_server *part = &ledger->servers[i];

		if (!strcmp(part->address.text, address))
			return part->slabs * ledger->slab_bytes;
	}
	return 0;
}

uint64_t poolparts_misplaced(const struct ledger *ledger,
			     const struct members *members,
			     const struct engine *engine)
{
	uint64_t slabs = 0;

	for (unsigned i = 0; i < ledger->n; i++) {
		const struct ledger_server *part = &ledger->servers[i];

		if (part->slabs &&
		    !is_used(members, engine, part->address.text))
			slabs += part->slabs;
	}
	return slabs;
}

/* Returns how many of the parts are still wanted.  Those without slabs are
 * found anew. */
static unsigned leave_servers(struct ledger *ledger,
			      const struct members *members,
			      const struct engine *engine)
{
	unsigned n = ledger->n, wanted = 0;

	ledger->n = 0;
	for (unsigned i = 0; i < n; i++) {
		struct ledger_server part = ledger->servers[i];

		if (!part.slabs && !part.has_key)
			continue;
		part.is_wanted = wanted < LEDGER_SERVERS_MAX &&
				 is_used(members, engine, part.address.text);
		wanted += part.is_wanted;
		ledger->servers[ledger->n++] = part;
	}
	return wanted;
}

static bool has_part(const struct ledger *ledger, const char *address)
{
	for (unsigned i = 0; i < ledger->n; i++) {
		if (!strcmp(ledger->servers[i].address.text, address))
			return true;
	}
	return false;
}

static void add_servers(struct ledger *ledger, const struct members *members,
			const struct engine *engine, unsigned wanted)
{
	for (uint32_t i = 0;
	     i < engine->n_servers && wanted < LEDGER_SERVERS_MAX; i++) {
		struct net_text text =
			net_name_format(&engine->servers[i].name);

		if (!member_of(members, text.text) ||
		    !is_used(members, engine, text.text) ||
		    has_part(ledger, text.text) ||
		    ledger->n == 2 * LEDGER_SERVERS_MAX)
			continue;
		ledger->servers[ledger->n++] =
			(struct ledger_server){ .address = text,
						.is_wanted = true };
		wanted++;
	}
}

/* --- what they have --- */

/* What is not to be reserved there.  What this device uses beyond its part, or
 * beyond nothing once the part's lease has ended, counts as that, but is what
 * it reserves. */
static uint64_t unreserved_bytes(const struct ledger *ledger,
				 const struct ledger_server *part,
				 const struct member *m,
				 const struct server *server)
{
	uint64_t used = server ? atomic_load(&server->shared.slabs) : 0;
	uint64_t part_slabs = ledger->lease ? part->slabs : 0;
	uint64_t beyond_bytes = 0;

	if (used > part_slabs)
		beyond_bytes = (used - part_slabs) * ledger->slab_bytes;
	return m->unreserved_bytes > beyond_bytes
		       ? m->unreserved_bytes - beyond_bytes
		       : 0;
}

void poolparts_look_again(struct ledger *ledger, const struct members *members,
			  const struct engine *engine)
{
	if (engine)
		add_servers(ledger, members, engine,
			    leave_servers(ledger, members, engine));
	for (unsigned i = 0; i < ledger->n; i++) {
		struct ledger_server *part = &ledger->servers[i];
		const char *address = part->address.text;
		const struct member *m = member_of(members, address);

		part->unreserved_bytes = 0;
		if (!m)
			continue;
		part->memory_bytes = m->memory_bytes;
		part->unreserved_bytes = unreserved_bytes(
			ledger, part, m,
			engine ? server_of(engine, address) : NULL);
	}
}
