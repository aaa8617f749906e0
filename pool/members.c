#include "members.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* By then some server has put its key again, and etcd has told of it.  The view
 * waits for up to half as long more, so that not all clients list at once. */
#define QUIET_NS (75 * NS_PER_S)
_Static_assert(QUIET_NS > MEMBER_UNCHANGED_NS, "silence is usual");

/* Where ADDRESS is, or would be. */
static unsigned find(const struct members *members, const char *address,
		     bool *found)
{
	unsigned low = 0, high = members->n;

	*found = false;
	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		int order =
			strcmp(members->entries[middle].address.text, address);

		if (!order) {
			*found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct members_entry *members_find(const struct members *members,
					 const char *address)
{
	bool found;
	unsigned i = find(members, address, &found);

	return found ? &members->entries[i] : NULL;
}

static void take_out(struct members *members, unsigned i)
{
	memmove(&members->entries[i], &members->entries[i + 1],
		(--members->n - i) * sizeof *members->entries);
	members->changes++;
}

static bool make_room(struct members *members)
{
	unsigned room = members->room ? 2 * members->room : 64;
	struct members_entry *more;

	if (members->n < members->room)
		return true;
	more = realloc(members->entries, room * sizeof *more);
	if (!more) {
		members->out_of_memory = true;
		return false;
	}
	members->entries = more;
	members->room = room;
	return true;
}

/* A new entry at I, or NULL. */
static struct members_entry *put_in(struct members *members, unsigned i,
				    const char *address)
{
	struct members_entry *at;

	if (members->n == MEMBERS_MAX) {
		members->too_many++;
		return NULL;
	}
	if (!make_room(members))
		return NULL;
	at = &members->entries[i];
	memmove(at + 1, at, (members->n++ - i) * sizeof *at);
	*at = (struct members_entry){ 0 };
	snprintf(at->address.text, sizeof at->address.text, "%s", address);
	return at;
}

/* The entry, new or not, or NULL. */
static struct members_entry *put(struct members *members, const char *address,
				 const char *value)
{
	struct members_entry *entry;
	bool found;
	unsigned i = find(members, address, &found);

	entry = found ? &members->entries[i] : put_in(members, i, address);
	if (!entry)
		return NULL;
	entry->is_listed = true;
	entry->is_understood =
		!member_parse(address, value, &entry->member, &entry->why);
	members->changes++;
	return entry;
}

bool members_put(struct members *members, const char *address,
		 const char *value)
{
	return put(members, address, value);
}

/* --- the view's --- */

static void begin(void *arg)
{
	struct members *members = arg;

	for (unsigned i = 0; i < members->n; i++)
		members->entries[i].is_listed = false;
	members->too_many = 0;
}

static void end(void *arg)
{
	struct members *members = arg;

	for (unsigned i = members->n; i-- > 0;) {
		if (!members->entries[i].is_listed)
			take_out(members, i);
	}
	members->changes++;
}

/* The address at the end of a server's key; NULL where it is no such key.  Keys
 * may come from anybody, and addresses are printed. */
static const char *address_of(const struct members *members, const char *key)
{
	size_t n = strlen(members->prefix.text);
	const char *address = key + n;

	if (strncmp(key, members->prefix.text, n) != 0 || !*address ||
	    strlen(address) >= sizeof(struct net_text) ||
	    !wire_name_ok(address))
		return NULL;
	return address;
}

static void take_away(struct members *members, const char *address)
{
	bool found;
	unsigned i = find(members, address, &found);

	if (found)
		take_out(members, i);
}

static void changed(void *arg, const struct etcd_kv *kv)
{
	struct members *members = arg;
	const char *address = address_of(members, kv->key);
	struct members_entry *entry;

	if (!address)
		return;
	if (kv->deleted) {
		take_away(members, address);
		return;
	}
	entry = put(members, address, kv->value);
	if (!entry)
		return;
	entry->lease = kv->lease;
	if (members->each && entry->is_understood)
		members->each(members->arg, entry);
}

static const struct etcd_view_ops ops = { begin, end, changed };

/* --- life --- */

void members_open(struct members *members, struct etcd *etcd,
		  const struct pool *pool)
{
	*members = (struct members){ .prefix = pool_servers_prefix(pool) };
	members->view = (struct etcd_view){ .etcd = etcd,
					    .prefix = members->prefix.text,
					    .ops = &ops,
					    .arg = members,
					    .quiet_ns = QUIET_NS };
}

int members_step(struct members *members, uint64_t deadline_ns,
		 struct error *why)
{
	int rc = etcd_view_step(&members->view, deadline_ns, why);

	if (rc || !members->out_of_memory)
		return rc;
	/* The next list has what is missing now. */
	members->out_of_memory = false;
	members->view.list_at_ns = 0;
	error_set(why, "out of memory");
	return etcd_view_fail(&members->view, -ENOMEM, why);
}

void members_close(struct members *members)
{
	etcd_view_close(&members->view);
	free(members->entries);
	*members = (struct members){ 0 };
}
