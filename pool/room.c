#include "room.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "size.h"

struct reading {
	struct room *room;
	const struct members *members;
	struct pool_key prefix;
	bool is_wrong; /* the settings */
	struct error *why;
};

/* What no reader understands reserves nothing.  The key is ADDRESS/ID behind
 * the prefix. */
static void add(const struct reading *reading, const struct etcd_kv *kv)
{
	const char *begin = kv->key + strlen(reading->prefix.text);
	const char *slash = strrchr(begin, '/');
	const struct members_entry *entry;
	struct net_text address;
	struct reservation said;
	struct error ignored;
	uint64_t *sum;

	if (!slash || !reservation_id_ok(slash + 1) ||
	    (size_t)(slash - begin) >= sizeof address.text ||
	    reservation_parse(kv->value, &said, &ignored))
		return;
	snprintf(address.text, sizeof address.text, "%.*s",
		 (int)(slash - begin), begin);
	entry = members_find(reading->members, address.text);
	if (!entry)
		return;
	sum = &reading->room->reserved_bytes[entry - reading->members->entries];
	if (said.bytes <= INT64_MAX - *sum)
		*sum += said.bytes;
}

static void add_each(void *arg, const struct etcd_kv *kvs, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		add(arg, &kvs[i]);
}

/* Other keys may begin like that of the settings. */
static void take_settings(void *arg, const struct etcd_kv *kvs, unsigned n)
{
	struct reading *reading = arg;

	for (unsigned i = 0; i < n; i++) {
		struct error detail;

		if (strcmp(kvs[i].key, reading->prefix.text) ||
		    !settings_parse(kvs[i].value, &reading->room->settings,
				    &detail))
			continue;
		reading->is_wrong = true;
		error_set(reading->why, "%.100s: %.150s", kvs[i].key,
			  detail.text);
	}
}

int room_read(struct room *room, struct etcd *etcd, const struct pool *pool,
	      const struct members *members, uint64_t deadline_ns,
	      struct error *why)
{
	struct reading reading = { .room = room,
				   .members = members,
				   .prefix = settings_key(pool),
				   .why = why };
	uint64_t revision;
	int rc;

	*room = (struct room){
		.settings = { SETTINGS_OVERCOMMIT_DEFAULT },
		.reserved_bytes =
			calloc(members->n + 1u, sizeof *room->reserved_bytes),
	};
	if (!room->reserved_bytes) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	rc = etcd_range(etcd, reading.prefix.text, deadline_ns, take_settings,
			&reading, &revision, why);
	if (!rc && reading.is_wrong)
		rc = -EINVAL;
	if (rc)
		return rc;
	reading.prefix = pool_key(pool, "reserved/");
	return etcd_range(etcd, reading.prefix.text, deadline_ns, add_each,
			  &reading, &revision, why);
}

void room_free(struct room *room)
{
	free(room->reserved_bytes);
	room->reserved_bytes = NULL;
}

int room_refuse(const struct room_figures *f, uint64_t wanted_bytes,
		uint32_t overcommit_permille, const char *note,
		struct error *why)
{
	bool is_one = f->servers == 1;

	error_set(why,
		  "%s are wanted, and %u server%s of the pool ha%s %s free to "
		  "reserve%s: of %s in all, at an overcommit of %u.%03u, "
		  "others reserve %s",
		  size_format(wanted_bytes).text, f->servers, is_one ? "" : "s",
		  is_one ? "s" : "ve", size_format(f->left_bytes).text, note,
		  size_format(f->memory_bytes).text, overcommit_permille / 1000,
		  overcommit_permille % 1000,
		  size_format(f->reserved_bytes).text);
	return -ENOSPC;
}
