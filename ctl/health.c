#include "health.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctlsock.h"
#include "error.h"

/* A plugin asks each of its servers every 3 seconds. */
#define SILENT_MS 8000

struct value {
	char text[256];
};

/* What a check reads: the keys of the whole plugin, or of one of its servers
 * ("server.2."). */
struct subject {
	const char *answer;
	int server; /* or -1 */
};

/* False: there is no such key. */
static bool get(const struct subject *s, const char *key, struct value *value)
{
	char name[64];

	if (s->server < 0)
		snprintf(name, sizeof name, "%s", key);
	else
		snprintf(name, sizeof name, "server.%d.%s", s->server, key);
	return ctlsock_value(s->answer, name, value->text, sizeof value->text);
}

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
	    number(&wanted) == 0 || !get(s, "slabs", &held) ||
	    number(&held) == 0 || !get(&plugin, "slabs_stuck", &stuck) ||
	    number(&stuck) == 0)
		return false;
	if (number(&wanted) == HEALTH_ALL_SLABS)
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

/* Another signal would end nbdkit at once, and lose every page. */
static bool end_was_asked_for(const struct subject *s, struct error *what)
{
	struct value asked;

	if (!get(s, "asked_to_end_ms", &asked))
		return false;
	error_set(what,
		  "nbdkit was asked to end (SIGTERM) %" PRIu64
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
		  "%" PRIu64 " MiB of pages, by slabs of %" PRIu64
		  " MiB: rswap-memserver --slab-size=2M takes less",
		  number(&taken) >> 20, number(&present) >> 20,
		  number(&slab) >> 20);
	return true;
}

static bool refused(const struct subject *s, const char *key, const char *name,
		    struct error *what)
{
	struct value value;

	if (!get(s, key, &value) || strncmp(value.text, "no", 2))
		return false;
	error_set(what, "%s is refused:%.180s", name, value.text + 2);
	return true;
}

static bool io_flusher_is_refused(const struct subject *s, struct error *what)
{
	return refused(s, "safety.io_flusher", "IO_FLUSHER", what);
}

static bool realtime_is_refused(const struct subject *s, struct error *what)
{
	return refused(s, "safety.realtime", "real-time priority", what);
}

static bool oom_is_refused(const struct subject *s, struct error *what)
{
	return refused(s, "safety.oom", "an OOM score of -1000", what);
}

static bool lock_is_refused(const struct subject *s, struct error *what)
{
	return refused(s, "safety.locked", "locked memory", what);
}

/* It was locked and isn't any more: nbdkit went into the background. */
static bool lock_is_gone(const struct subject *s, struct error *what)
{
	struct value setting, bytes;

	if (!get(s, "safety.locked", &setting) || strcmp(setting.text, "yes") ||
	    !get(s, "locked_bytes", &bytes) || number(&bytes))
		return false;
	error_set(what, "no memory is locked: nbdkit must run with -f");
	return true;
}

static const struct check {
	bool (*is_wrong)(const struct subject *s, struct error *what);
	enum health health; /* where it is */
	bool of_server;	    /* checks each server */
	bool serves;	    /* tells whether it serves, not how safely */
} checks[] = {
	{ pages_are_lost, HEALTH_BAD, false, true },
	{ end_was_asked_for, HEALTH_DEGRADED, false, true },
	{ servers_are_full, HEALTH_DEGRADED, false, false },
	{ memory_is_wasted, HEALTH_DEGRADED, false, false },
	{ copies_are_missing, HEALTH_DEGRADED, false, false },
	{ no_room_is_left, HEALTH_DEGRADED, false, false },
	{ bytes_were_wrong, HEALTH_DEGRADED, false, false },
	{ server_is_not_up, HEALTH_DEGRADED, true, true },
	{ server_is_silent, HEALTH_DEGRADED, true, true },
	{ slabs_cannot_leave, HEALTH_DEGRADED, true, false },
	{ memserver_is_draining, HEALTH_DEGRADED, false, false },
	{ io_flusher_is_refused, HEALTH_DEGRADED, false, false },
	{ realtime_is_refused, HEALTH_DEGRADED, false, false },
	{ lock_is_refused, HEALTH_DEGRADED, false, false },
	{ lock_is_gone, HEALTH_DEGRADED, false, false },
	{ oom_is_refused, HEALTH_DEGRADED, false, false },
};

#define N_CHECKS (sizeof checks / sizeof checks[0])

struct listener {
	void (*tell)(void *arg, const char *what);
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
		listener->tell(listener->arg, line.text);
	return check->health;
}

static enum health run(const char *answer, bool only_serving,
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

enum health health_check(const char *answer,
			 void (*tell)(void *arg, const char *what), void *arg)
{
	return run(answer, false, &(struct listener){ tell, arg });
}

bool health_serves(const char *answer)
{
	return run(answer, true, &(struct listener){ NULL, NULL }) ==
	       HEALTH_GOOD;
}

const char *health_server_state(const char *answer, int i)
{
	static struct value state;
	struct subject s = { answer, i };
	struct error ignored;

	if (server_is_silent(&s, &ignored))
		return "silent";
	return get(&s, "state", &state) ? state.text : "-";
}
