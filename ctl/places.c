#include "places.h"

#include <string.h>

#include "answer.h"

static const char *const actions[N_FINDINGS] = {
	[FINDING_WRITES_FAILED] =
		"detach, and attach with a larger --servers-max: as many "
		"servers are in use as it allows, and no other one of the pool "
		"is taken",
	[FINDING_NO_ROOM] =
		"bring back the server that is away, or detach and attach with "
		"a larger --servers-max: as many servers are in use as it "
		"allows, and no other one of the pool is taken",
	[FINDING_SERVERS_FULL] =
		"detach, and attach with a larger --servers-max: as many "
		"servers are in use as it allows, and no other one of the pool "
		"is taken",
	[FINDING_SLABS_CANNOT_LEAVE] =
		"before this one leaves, detach, and attach with a larger "
		"--servers-max: as many servers are in use as it allows, and "
		"no other one of the pool is taken",
};

/* As plugin/service/poolfollow.c has it: such a server makes room where another
 * one waits. */
static bool gives_its_place(struct json_object *server, uint64_t slab_bytes)
{
	if (!answer_is(server, "state", "up"))
		return answer_is(server, "state", "down");
	return answer_number(server, "slabs") == 0 &&
	       (!answer_is(server, "release_slabs", "0") ||
		answer_number(server, "free_bytes") < slab_bytes);
}

static struct json_object *server_at(struct json_object *answer, size_t i)
{
	return answer_at(answer, answer_path("servers.%zu", i).text);
}

static bool is_fallback(struct json_object *server)
{
	return answer_is(server, "transport", "file");
}

static bool all_are_taken(struct json_object *answer)
{
	uint64_t slab_bytes = answer_number(answer, "slab_bytes");
	uint64_t most = answer_number(answer, "pool.servers_max");

	if (!most || answer_number(answer, "pool.used") < most)
		return false;
	for (size_t i = 0; i < answer_count(answer, "servers"); i++) {
		struct json_object *server = server_at(answer, i);

		if (!is_fallback(server) && gives_its_place(server, slab_bytes))
			return false;
	}
	return true;
}

/* The other codes are only told where there is no room. */
static bool has_room(struct json_object *answer)
{
	uint64_t slab_bytes = answer_number(answer, "slab_bytes");

	for (size_t i = 0; i < answer_count(answer, "servers"); i++) {
		struct json_object *server = server_at(answer, i);

		if (answer_is(server, "state", "up") &&
		    answer_number(server, "free_bytes") >= slab_bytes)
			return true;
	}
	return false;
}

const char *places_action(struct json_object *answer, enum finding_code code)
{
	if (!actions[code] || !all_are_taken(answer) ||
	    (code == FINDING_WRITES_FAILED && has_room(answer)))
		return NULL;
	return actions[code];
}
