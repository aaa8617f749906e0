#include "member.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "jsonout.h"
#include "value.h"

static const struct {
	const char *name;
	uint32_t bit;
} transports[] = { { "tcp", WIRE_TRANSPORT_TCP },
		   { "rdma", WIRE_TRANSPORT_RDMA } };

#define TRANSPORTS (sizeof transports / sizeof transports[0])

/* --- writing --- */

static void write_transports(const struct member *member, struct jsonout *j)
{
	jsonout_begin(j, "transports", '[');
	for (size_t i = 0; i < TRANSPORTS; i++) {
		if (member->transports & transports[i].bit)
			jsonout_text(j, NULL, transports[i].name);
	}
	jsonout_end(j, ']');
}

void member_write(const struct member *member, FILE *out)
{
	struct jsonout j = { .out = out };

	jsonout_begin(&j, NULL, '{');
	jsonout_text(&j, "address", net_name_format(&member->address).text);
	write_transports(member, &j);
	if (*member->zone)
		jsonout_text(&j, "zone", member->zone);
	jsonout_hex(&j, "incarnation", member->incarnation,
		    sizeof member->incarnation);
	jsonout_text(&j, "state", member->state);
	jsonout_number(&j, "slab_bytes", member->slab_bytes);
	jsonout_number(&j, "memory_bytes", member->memory_bytes);
	jsonout_number(&j, "free_bytes", member->free_bytes);
	if (member->held_slabs != MEMBER_HELD_UNKNOWN)
		jsonout_number(&j, "held_slabs", member->held_slabs);
	jsonout_number(&j, "unreserved_bytes", member->unreserved_bytes);
	jsonout_number(&j, "sessions", member->sessions);
	jsonout_number(&j, "load_permille", member->load_permille);
	jsonout_text(&j, "version", member->version);
	jsonout_end(&j, '}');
}

/* --- reading --- */

static bool take_transports(struct json_object *object, struct member *member)
{
	struct json_object *found;
	size_t n;

	if (!json_object_object_get_ex(object, "transports", &found) ||
	    !json_object_is_type(found, json_type_array))
		return false;
	n = json_object_array_length(found);
	for (size_t k = 0; k < n; k++) {
		struct json_object *at = json_object_array_get_idx(found, k);

		for (size_t i = 0; at && i < TRANSPORTS; i++) {
			if (!strcmp(json_object_get_string(at),
				    transports[i].name))
				member->transports |= transports[i].bit;
		}
	}
	return member->transports;
}

static bool take_address(struct json_object *object, const char *address,
			 struct member *member)
{
	char text[sizeof(struct net_text)];
	struct error why;

	return value_text(object, "address", text, sizeof text) &&
	       !strcmp(text, address) &&
	       net_name_parse(text, WIRE_DEFAULT_PORT, &member->address,
			      &why) &&
	       member->address.port;
}

/* A server of an earlier version does not tell it. */
static bool take_held(struct json_object *object, struct member *member)
{
	uint64_t n = MEMBER_HELD_UNKNOWN;
	bool ok =
		!json_object_object_get_ex(object, "held_slabs", NULL) ||
		value_number(object, "held_slabs", MEMBER_HELD_UNKNOWN - 1, &n);

	member->held_slabs = (uint32_t)n;
	return ok;
}

/* The name of the first member that is wrong, or NULL. */
static const char *take_all(struct json_object *object, const char *address,
			    struct member *m)
{
	uint64_t sessions, load;

	if (!take_address(object, address, m))
		return "address";
	if (!take_transports(object, m))
		return "transports";
	if (!value_text(object, "zone", m->zone, sizeof m->zone))
		return "zone";
	if (!value_incarnation(object, m->incarnation))
		return "incarnation";
	if (!value_text(object, "state", m->state, sizeof m->state) ||
	    !*m->state)
		return "state";
	if (!value_text(object, "version", m->version, sizeof m->version))
		return "version";
	if (!value_number(object, "slab_bytes", INT64_MAX, &m->slab_bytes) ||
	    !m->slab_bytes)
		return "slab_bytes";
	if (!value_number(object, "memory_bytes", INT64_MAX, &m->memory_bytes))
		return "memory_bytes";
	if (!value_number(object, "free_bytes", m->memory_bytes,
			  &m->free_bytes))
		return "free_bytes";
	if (!take_held(object, m))
		return "held_slabs";
	if (!value_number(object, "unreserved_bytes", INT64_MAX,
			  &m->unreserved_bytes))
		return "unreserved_bytes";
	if (!value_number(object, "sessions", UINT32_MAX, &sessions))
		return "sessions";
	if (!value_number(object, "load_permille", 1000, &load))
		return "load_permille";
	m->sessions = (uint32_t)sessions;
	m->load_permille = (uint32_t)load;
	return NULL;
}

int member_parse(const char *address, const char *value, struct member *member,
		 struct error *why)
{
	struct json_object *object = value_parse(value);
	const char *wrong;

	*member = (struct member){ 0 };
	wrong = object ? take_all(object, address, member) : "whole value";
	json_object_put(object);
	if (!wrong)
		return 0;
	error_set(why, "its %s is not what a memory server registers", wrong);
	return -EINVAL;
}

bool member_drains(const struct member *member)
{
	return !strcmp(member->state, "draining") ||
	       !strcmp(member->state, "leaving") ||
	       !strcmp(member->state, "stopping");
}
