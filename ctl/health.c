#include "health.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "error.h"
#include "places.h"
#include "words.h"

/* A plugin asks each of its servers every 3 seconds. */
#define SILENT_MS 8000
/* A loop that has not turned for so long hangs. */
#define LOOP_HANGS_S 5

struct value {
	char text[256];
};

/* What a check reads: the members of the whole plugin, or of one of its servers
 * ("servers.2."). */
struct subject {
	struct json_object *answer;
	int server; /* or -1 */
};

/* False: there is no such key. */
static bool get(const struct subject *s, const char *key, struct value *value)
{
	struct answer_path path =
		s->server < 0 ? answer_path("%s", key)
			      : answer_path("servers.%d.%s", s->server, key);

	return answer_text(s->answer, path.text, value->text,
			   sizeof value->text);
}

/* Of "all" it is 0. */
static uint64_t number(const struct value *value)
{
	return strtoull(value->text, NULL, 10);
}

static bool is_up(const struct subject *server)
{
	struct value state;

	return get(server, "state", &state) && !strcmp(state.text, "up");
}

/* --- the checks: whether something is wrong, and then what, in WHAT --- */

static bool pages_are_lost(const struct subject *s, struct error *what)
{
	struct value lost;

	if (!get(s, "pages_lost", &lost) || number(&lost) == 0)
		return false;
	error_set(what,
		  "%s pages are lost: reading them ends with an I/O error",
		  lost.text);
	return true;
}

static bool copies_are_missing(const struct subject *s, struct error *what)
{
	struct value slabs, pages;

	if (!get(s, "slabs_short", &slabs) || number(&slabs) == 0 ||
	    !get(s, "pages_stale", &pages))
		return false;
	error_set(what,
		  "%s slabs lack a copy, or pages of one; %s pages are still "
		  "to be copied",
		  slabs.text, pages.text);
	return true;
}

static bool no_room_is_left(const struct subject *s, struct error *what)
{
	struct value slabs;

	if (!get(s, "slabs_stuck", &slabs) || number(&slabs) == 0)
		return false;
	error_set(what,
		  "no server has room for %s slabs that lack a copy or are to "
		  "be moved",
		  slabs.text);
	return true;
}

static bool bytes_were_wrong(const struct subject *s, struct error *what)
{
	struct value reads;

	if (!get(s, "wrong_reads", &reads) || number(&reads) == 0)
		return false;
	error_set(what, "%s reads got wrong bytes from a server", reads.text);
	return true;
}

static bool server_is_not_up(const struct subject *s, struct error *what)
{
	struct value state;

	if (is_up(s) || !get(s, "state", &state))
		return false;
	error_set(what, "it is %s", state.text);
	return true;
}

static bool server_is_silent(const struct subject *s, struct error *what)
{
	struct value answered;

	if (!is_up(s) || !get(s, "answered_ms", &answered) ||
	    number(&answered) < SILENT_MS)
		return false;
	error_set(what, "it is silent: it last answered %" PRIu64 " s ago",
		  number(&answered) / 1000);
	return true;
}

/* The plugin goes on trying.  The server's slabs are safe until the server
 * leaves. */
static bool slabs_cannot_leave(const struct subject *s, struct error *what)
{
	const struct subject plugin = { s->answer, -1 };
	struct value wanted, held, stuck;

	if (!is_up(s) || !get(s, "release_slabs", &wanted) ||
	    !strcmp(wanted.text, "0") || !get(s, "slabs", &held) ||
	    number(&held) == 0 || !get(&plugin, "slabs_stuck", &stuck) ||
	    number(&stuck) == 0)
		return false;
	if (!strcmp(wanted.text, "all"))
		error_set(what,
			  "it asks for all its slabs back, and %s slabs have "
			  "no place to go to",
			  stuck.text);
	else
		error_set(what,
			  "it asks for %s slabs back, and %s slabs have no "
			  "place to go to",
			  wanted.text, stuck.text);
	return true;
}

/* Only a memory server has a state of its own. */
static bool memserver_is_draining(const struct subject *s, struct error *what)
{
	struct value state;

	if (!get(s, "state", &state) ||
	    (strcmp(state.text, "draining") && strcmp(state.text, "leaving")))
		return false;
	error_set(what, "it is %s: it grants no slabs", state.text);
	return true;
}

/* A memory server is registered in its pool, a device follows its own. */
static bool pool_is_away(const struct subject *s, struct error *what)
{
	struct value name, state, error, registered;

	if (!get(s, "pool.state", &state) ||
	    !strcmp(state.text, "registered") || !strcmp(state.text, "current"))
		return false;
	if (!get(s, "pool.name", &name) || !get(s, "pool.error", &error))
		return false; /* it tries for the first time */
	if (get(s, "pool.registered", &registered))
		error_set(what,
			  "new servers in pool %.60s are not found, and the "
			  "known ones are used: %.130s",
			  name.text, error.text);
	else
		error_set(what, "clients do not find it in pool %.60s: %.150s",
			  name.text, error.text);
	return true;
}

/* In the pool, with pool-reserve=. */
static bool reservation_is_lost(const struct subject *s, struct error *what)
{
	struct value wanted, held, error;

	if (!get(s, "pool.reserve_bytes", &wanted) ||
	    !get(s, "pool.reserved_bytes", &held) ||
	    number(&held) >= number(&wanted))
		return false;
	if (!get(s, "pool.reserve_error", &error))
		error.text[0] = '\0';
	error_set(what,
		  "of the %s that it reserves in the pool it has %s: %.150s",
		  words_bytes(number(&wanted)).text,
		  words_bytes(number(&held)).text, error.text);
	return true;
}

/* A loop turns at least once a second.  The thread that answers is another one.
 */
static bool loop_hangs(const struct subject *s, struct error *what)
{
	struct value turned;

	if (!get(s, "turned_ms", &turned) ||
	    number(&turned) < LOOP_HANGS_S * 1000)
		return false;
	error_set(what,
		  "a thread of the front end has served no request for "
		  "%" PRIu64 " s: programs that need a page wait; to end the "
		  "front end would lose all pages",
		  number(&turned) / 1000);
	return true;
}

/* Another signal would end it at once, and lose every page. */
static bool end_was_asked_for(const struct subject *s, struct error *what)
{
	struct value asked;

	if (!get(s, "asked_to_end_ms", &asked))
		return false;
	error_set(what,
		  "the front end was asked to end (SIGTERM) %" PRIu64
		  " s ago, and waits for swapoff and rswapctl detach; asked "
		  "again it ends at once, and all pages are lost",
		  number(&asked) / 1000);
	return true;
}

/* The kernel keeps a page whose write fails: swap is as good as full.  Where no
 * server is up, nothing is known of their memory. */
static bool servers_are_full(const struct subject *s, struct error *what)
{
	struct subject server = { s->answer, 0 };
	struct value live, all, slab_bytes, free_bytes, address;
	uint64_t sum = 0;
	bool any_up = false;

	if (!get(s, "slabs_live", &live) || !get(s, "slabs", &all) ||
	    number(&live) >= number(&all) || !get(s, "slab_bytes", &slab_bytes))
		return false;
	for (; get(&server, "address", &address); server.server++) {
		if (!is_up(&server) || !get(&server, "free_bytes", &free_bytes))
			continue;
		any_up = true;
		sum += number(&free_bytes);
	}
	if (!any_up || sum >= number(&slab_bytes))
		return false;
	error_set(what,
		  "no server has memory left, and %" PRIu64
		  " of %s slabs are not taken yet: writes there fail",
		  number(&all) - number(&live), all.text);
	return true;
}

/* So much more than is needed may be taken without a word. */
#define WASTE_BYTES (UINT64_C(512) << 20)

/* Slabs that are kept for a few pages each, as large ones are. */
static bool memory_is_wasted(const struct subject *s, struct error *what)
{
	struct value taken, present, slab;

	if (!get(s, "taken_bytes", &taken) ||
	    !get(s, "present_bytes", &present) ||
	    !get(s, "slab_bytes", &slab) ||
	    number(&taken) < 2 * number(&present) + WASTE_BYTES)
		return false;
	error_set(what,
		  "%" PRIu64 " MiB of the servers' memory are taken for "
		  "%" PRIu64 " MiB of pages, by slabs of %" PRIu64 " MiB",
		  number(&taken) >> 20, number(&present) >> 20,
		  number(&slab) >> 20);
	return true;
}

static bool refused(const struct subject *s, const char *setting,
		    const char *name, struct error *what)
{
	struct answer_path holds = answer_path("safety.%s.holds", setting);
	struct answer_path error = answer_path("safety.%s.error", setting);
	struct value value, why;

	if (!get(s, holds.text, &value) || strcmp(value.text, "no"))
		return false;
	error_set(what, "%s is refused: %.180s", name,
		  get(s, error.text, &why) ? why.text : "");
	return true;
}

static bool io_flusher_is_refused(const struct subject *s, struct error *what)
{
	return refused(s, "io_flusher", "IO_FLUSHER", what);
}

static bool realtime_is_refused(const struct subject *s, struct error *what)
{
	return refused(s, "realtime", "real-time priority", what);
}

static bool oom_is_refused(const struct subject *s, struct error *what)
{
	return refused(s, "oom", "an OOM score of -1000", what);
}

static bool lock_is_refused(const struct subject *s, struct error *what)
{
	return refused(s, "locked", "locked memory", what);
}

/* It was locked and isn't any more: nbdkit went into the background, where the
 * lock does not follow. */
static bool lock_is_gone(const struct subject *s, struct error *what)
{
	struct value setting, bytes;

	if (!get(s, "safety.locked.holds", &setting) ||
	    strcmp(setting.text, "yes") || !get(s, "locked_bytes", &bytes) ||
	    number(&bytes))
		return false;
	error_set(what, "no memory is locked: nbdkit runs without -f");
	return true;
}

static const struct check {
	bool (*is_wrong)(const struct subject *s, struct error *what);
	enum finding_code code;
	bool of_server; /* checks each server */
	bool serves;	/* tells whether it serves, not how safely */
} checks[] = {
	{ pages_are_lost, FINDING_PAGES_LOST, false, true },
	{ loop_hangs, FINDING_LOOP_HANGS, false, true },
	{ end_was_asked_for, FINDING_ASKED_TO_END, false, true },
	{ servers_are_full, FINDING_SERVERS_FULL, false, false },
	{ memory_is_wasted, FINDING_MEMORY_WASTED, false, false },
	{ copies_are_missing, FINDING_COPIES_MISSING, false, false },
	{ no_room_is_left, FINDING_NO_ROOM, false, false },
	{ bytes_were_wrong, FINDING_WRONG_BYTES, false, false },
	{ server_is_not_up, FINDING_SERVER_NOT_UP, true, true },
	{ server_is_silent, FINDING_SERVER_SILENT, true, true },
	{ slabs_cannot_leave, FINDING_SLABS_CANNOT_LEAVE, true, false },
	{ memserver_is_draining, FINDING_DRAINING, false, false },
	{ pool_is_away, FINDING_POOL_AWAY, false, false },
	{ reservation_is_lost, FINDING_RESERVATION_LOST, false, false },
	{ io_flusher_is_refused, FINDING_IO_FLUSHER_REFUSED, false, false },
	{ realtime_is_refused, FINDING_REALTIME_REFUSED, false, false },
	{ lock_is_refused, FINDING_LOCK_REFUSED, false, false },
	{ lock_is_gone, FINDING_NOT_LOCKED, false, false },
	{ oom_is_refused, FINDING_OOM_REFUSED, false, false },
};

#define N_CHECKS (sizeof checks / sizeof checks[0])

struct listener {
	finding_tell *tell;
	void *arg;
};

static enum health look(const struct check *check, const struct subject *s,
			const struct listener *listener)
{
	struct error what, line;
	struct value address;

	if (!check->is_wrong(s, &what))
		return HEALTH_GOOD;
	if (s->server >= 0 && get(s, "address", &address))
		error_set(&line, "server %.112s: %.130s", address.text,
			  what.text);
	else
		line = what;
	if (listener->tell)
		listener->tell(listener->arg,
			       &(struct finding){
				       check->code, line.text,
				       places_action(s->answer, check->code),
				       false });
	return finding_health(check->code);
}

static enum health run(struct json_object *answer, bool only_serving,
		       const struct listener *listener)
{
	enum health worst = HEALTH_GOOD;

	for (const struct check *c = checks; c < checks + N_CHECKS; c++) {
		struct subject s = { answer, c->of_server ? 0 : -1 };
		struct value ignored;

		if (only_serving && !c->serves)
			continue;
		do {
			enum health health = look(c, &s, listener);

			if (health > worst)
				worst = health;
			s.server++;
		} while (c->of_server && get(&s, "address", &ignored));
	}
	return worst;
}

enum health health_check(struct json_object *answer, finding_tell *tell,
			 void *arg)
{
	return run(answer, false, &(struct listener){ tell, arg });
}

bool health_serves(struct json_object *answer)
{
	return run(answer, true, &(struct listener){ NULL, NULL }) ==
	       HEALTH_GOOD;
}

const char *health_server_state(struct json_object *answer, int i)
{
	static struct value state;
	struct subject s = { answer, i };
	struct error ignored;

	if (server_is_silent(&s, &ignored))
		return "silent";
	return get(&s, "state", &state) ? state.text : "-";
}
