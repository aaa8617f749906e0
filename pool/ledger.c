#include "ledger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "room.h"
#include "shares.h"
#include "size.h"

#define CALL_NS (5 * NS_PER_S)

/* How long to wait after others were first: up to the first figure, twice as
 * long each time. */
#define AGAIN_FIRST_NS (10 * NS_PER_MS)
#define AGAIN_MAX_NS   (640 * NS_PER_MS)

/* What is read before a transaction, besides the servers. */
struct terms {
	struct pool_settings settings;
	bool has_quota;
	uint64_t quota_bytes, used_bytes; /* of the identity; used by others */
	struct etcd_guard guards[LEDGER_SERVERS_MAX + 3];
	unsigned n_guards;
	/* The guards' prefixes. */
	struct pool_key settings_key, quota_key, identity_prefix;
	struct pool_key server_prefixes[LEDGER_SERVERS_MAX];
};

/* --- reading --- */

struct sum {
	const char *own_id;   /* does not count */
	const char *identity; /* NULL: of all */
	uint64_t bytes;
};

/* What no reader understands reserves nothing. */
static void add_up(void *arg, const struct etcd_kv *kvs, unsigned n)
{
	struct sum *sum = arg;

	for (unsigned i = 0; i < n; i++) {
		const char *slash = strrchr(kvs[i].key, '/');
		struct reservation r;
		struct error why;

		if (!slash || !reservation_id_ok(slash + 1) ||
		    !strcmp(slash + 1, sum->own_id) ||
		    reservation_parse(kvs[i].value, &r, &why) ||
		    (sum->identity && strcmp(r.identity, sum->identity)) ||
		    r.bytes > INT64_MAX - sum->bytes)
			continue;
		sum->bytes += r.bytes;
	}
}

/* One key, among those that only begin like it. */
struct one {
	const char *key;
	char *value; /* the caller frees it; NULL: there is none */
	bool out_of_memory;
};

static void pick_out(void *arg, const struct etcd_kv *kvs, unsigned n)
{
	struct one *one = arg;

	for (unsigned i = 0; i < n; i++) {
		if (strcmp(kvs[i].key, one->key))
			continue;
		one->value = strdup(kvs[i].value);
		one->out_of_memory = !one->value;
	}
}

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns < b_ns ? a_ns : b_ns;
}

/* Reads what begins with PREFIX, and guards it. */
static int read_guarded(struct ledger *ledger, struct terms *terms,
			const struct pool_key *prefix, uint64_t deadline_ns,
			etcd_take *take, void *arg, struct error *why)
{
	struct etcd_guard *guard = &terms->guards[terms->n_guards];
	int rc = etcd_range(ledger->etcd, prefix->text,
			    earlier(clock_now_ns() + CALL_NS, deadline_ns),
			    take, arg, &guard->revision, why);

	guard->prefix = prefix->text;
	terms->n_guards += !rc;
	return rc;
}

static int read_one(struct ledger *ledger, struct terms *terms,
		    const struct pool_key *key, uint64_t deadline_ns,
		    char **value, struct error *why)
{
	struct one one = { .key = key->text };
	int rc = read_guarded(ledger, terms, key, deadline_ns, pick_out, &one,
			      why);

	*value = one.value;
	if (rc || !one.out_of_memory)
		return rc;
	error_set(why, "out of memory");
	return -ENOMEM;
}

static int read_settings(struct ledger *ledger, struct terms *terms,
			 uint64_t deadline_ns, struct error *why)
{
	struct error detail;
	char *value;
	int rc;

	terms->settings_key = settings_key(ledger->pool);
	terms->settings.overcommit_permille = SETTINGS_OVERCOMMIT_DEFAULT;
	rc = read_one(ledger, terms, &terms->settings_key, deadline_ns, &value,
		      why);
	if (!rc && value && settings_parse(value, &terms->settings, &detail)) {
		error_set(why, "%s: %s", terms->settings_key.text, detail.text);
		rc = -EINVAL;
	}
	free(value);
	return rc;
}

static int read_quota(struct ledger *ledger, struct terms *terms,
		      uint64_t deadline_ns, struct error *why)
{
	const char *identity = ledger->who.identity;
	struct sum sum = { .own_id = ledger->id, .identity = identity };
	struct error detail;
	char *value;
	int rc;

	terms->quota_key = quota_key(ledger->pool, identity);
	rc = read_one(ledger, terms, &terms->quota_key, deadline_ns, &value,
		      why);
	terms->has_quota = !rc && value;
	if (terms->has_quota &&
	    quota_parse(value, &terms->quota_bytes, &detail)) {
		error_set(why, "%s: %s", terms->quota_key.text, detail.text);
		rc = -EINVAL;
	}
	free(value);
	if (rc || !terms->has_quota)
		return rc;
	terms->identity_prefix =
		reservation_identity_prefix(ledger->pool, identity);
	rc = read_guarded(ledger, terms, &terms->identity_prefix, deadline_ns,
			  add_up, &sum, why);
	terms->used_bytes = sum.bytes;
	return rc;
}

static int read_servers(struct ledger *ledger, struct terms *terms,
			uint64_t deadline_ns, struct error *why)
{
	int rc = 0;

	for (unsigned i = 0, k = 0; !rc && i < ledger->n; i++) {
		struct ledger_server *server = &ledger->servers[i];
		struct sum sum = { .own_id = ledger->id };

		if (!server->is_wanted)
			continue;
		terms->server_prefixes[k] = reservation_server_prefix(
			ledger->pool, server->address.text);
		rc = read_guarded(ledger, terms, &terms->server_prefixes[k++],
				  deadline_ns, add_up, &sum, why);
		server->reserved_bytes = sum.bytes;
	}
	return rc;
}

/* --- planning --- */

static int refuse_room(const struct ledger *ledger, const struct terms *terms,
		       unsigned n, uint64_t room, struct error *why)
{
	struct room_figures figures = { .servers = n };

	figures.left_bytes = room * ledger->slab_bytes;
	for (unsigned i = 0; i < ledger->n; i++) {
		const struct ledger_server *server = &ledger->servers[i];

		if (!server->is_wanted)
			continue;
		figures.memory_bytes += server->memory_bytes;
		figures.reserved_bytes += server->reserved_bytes;
	}
	return room_refuse(&figures, ledger->slabs * ledger->slab_bytes,
			   terms->settings.overcommit_permille, "", why);
}

static int refuse_quota(const struct ledger *ledger, const struct terms *terms,
			struct error *why)
{
	error_set(why,
		  "%s are wanted, and identity %s reserves %s already, of its "
		  "quota of %s",
		  size_format(ledger->slabs * ledger->slab_bytes).text,
		  ledger->who.identity, size_format(terms->used_bytes).text,
		  size_format(terms->quota_bytes).text);
	return -EDQUOT;
}

static uint64_t total_slabs(const struct ledger *ledger)
{
	uint64_t slabs = 0;

	for (unsigned i = 0; i < ledger->n; i++)
		slabs += ledger->servers[i].slabs;
	return slabs;
}

/* It moves at most: a quota that was lowered meanwhile takes nothing away. */
static bool is_reserved(const struct ledger *ledger)
{
	return ledger->lease == ledger->parts_lease &&
	       total_slabs(ledger) == ledger->slabs;
}

/* Whether etcd has lost its keys since the parts were reserved, and began anew:
 * a revision only goes up.  Nobody knows then who had reserved what. */
static bool was_emptied(const struct ledger *ledger, const struct terms *terms)
{
	return terms->guards[0].revision < ledger->revision;
}

/* The parts as they are, or were until their lease ended.  What others use
 * there without a reservation they used beside these parts while the lease
 * lived; after that they may have taken what was held back, unless etcd lost
 * its keys: all reserve again then what they had. */
static bool plan_as_before(const struct ledger *ledger,
			   const struct terms *terms, uint64_t *shares)
{
	bool held = ledger->lease == ledger->parts_lease ||
		    was_emptied(ledger, terms);

	for (unsigned i = 0; i < ledger->n; i++) {
		const struct ledger_server *server = &ledger->servers[i];

		shares[i] = server->slabs;
		if (server->slabs &&
		    (!server->is_wanted ||
		     shares_left(server->memory_bytes,
				 terms->settings.overcommit_permille,
				 held ? 0 : server->unreserved_bytes,
				 server->reserved_bytes,
				 ledger->slab_bytes) < server->slabs))
			return false;
	}
	return total_slabs(ledger) == ledger->slabs;
}

/* SHARES[i] is for server i. */
static int plan(const struct ledger *ledger, const struct terms *terms,
		uint64_t *shares, struct error *why)
{
	uint64_t left[LEDGER_SERVERS_MAX * 2], room;
	uint64_t wanted_bytes = ledger->slabs * ledger->slab_bytes;
	unsigned n = 0;

	for (unsigned i = 0; i < ledger->n; i++) {
		const struct ledger_server *server = &ledger->servers[i];

		left[i] = 0;
		if (!server->is_wanted)
			continue;
		left[i] =
			shares_left(server->memory_bytes,
				    terms->settings.overcommit_permille,
				    server->unreserved_bytes,
				    server->reserved_bytes, ledger->slab_bytes);
		n++;
	}
	room = shares_room(left, ledger->n, ledger->most_each);
	if (terms->has_quota &&
	    (terms->used_bytes > terms->quota_bytes ||
	     wanted_bytes > terms->quota_bytes - terms->used_bytes))
		return refuse_quota(ledger, terms, why);
	if (plan_as_before(ledger, terms, shares))
		return 0;
	if (room < ledger->slabs)
		return refuse_room(ledger, terms, n, room, why);
	shares_plan(left, ledger->n, ledger->most_each, ledger->slabs, shares);
	return 0;
}

/* --- writing --- */

struct writing {
	struct etcd_change changes[2 * LEDGER_SERVERS_MAX + 1];
	struct pool_key keys[2 * LEDGER_SERVERS_MAX + 1];
	char *values[2 * LEDGER_SERVERS_MAX + 1];
	unsigned n;
	bool failed;
};

/* BYTES 0: the key is deleted. */
static void add(struct writing *writing, const struct ledger *ledger,
		struct pool_key prefix, uint64_t bytes)
{
	struct reservation r = ledger->who;
	unsigned i = writing->n++;
	size_t length = strlen(prefix.text), size;
	FILE *out;

	snprintf(prefix.text + length, sizeof prefix.text - length, "%s",
		 ledger->id);
	writing->keys[i] = prefix;
	writing->values[i] = NULL;
	if (bytes) {
		r.bytes = bytes;
		out = open_memstream(&writing->values[i], &size);
		if (out)
			reservation_write(&r, out);
		if (!out || fclose(out) || !writing->values[i])
			writing->failed = true;
	}
	writing->changes[i] = (struct etcd_change){ writing->keys[i].text,
						    writing->values[i] };
}

/* Keys that an earlier attempt may have left are deleted as well. */
static int write_shares(struct ledger *ledger, const struct terms *terms,
			const uint64_t *shares, uint64_t deadline_ns,
			bool *done, struct error *why)
{
	struct writing *w = calloc(1, sizeof *w);
	struct etcd_txn txn = { .guards = terms->guards,
				.n_guards = terms->n_guards,
				.lease = ledger->lease };
	int rc = -ENOMEM;

	*done = false;
	error_set(why, "out of memory");
	for (unsigned i = 0; w && i < ledger->n; i++) {
		struct ledger_server *server = &ledger->servers[i];

		server->has_key |= shares[i] != 0;
		if (server->has_key)
			add(w, ledger,
			    reservation_server_prefix(ledger->pool,
						      server->address.text),
			    shares[i] * ledger->slab_bytes);
	}
	if (w) {
		add(w, ledger,
		    reservation_identity_prefix(ledger->pool,
						ledger->who.identity),
		    ledger->slabs * ledger->slab_bytes);
		txn.changes = w->changes;
		txn.n_changes = w->n;
	}
	if (w && !w->failed) {
		ledger->is_unsure = true;
		rc = etcd_transact(
			ledger->etcd, &txn,
			earlier(clock_now_ns() + CALL_NS, deadline_ns), done,
			why);
	}
	for (unsigned i = 0; w && i < w->n; i++)
		free(w->values[i]);
	free(w);
	return rc;
}

/* The servers that have no part any more, and are not wanted, go. */
static void take_over(struct ledger *ledger, const struct terms *terms,
		      const uint64_t *shares)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < ledger->n; i++) {
		struct ledger_server server = ledger->servers[i];

		server.slabs = shares[i];
		server.has_key = shares[i] != 0;
		if (server.is_wanted)
			ledger->servers[kept++] = server;
	}
	ledger->n = kept;
	ledger->parts_lease = ledger->lease;
	ledger->revision = terms->guards[0].revision;
	ledger->is_unsure = false;
}

/* --- all of it --- */

static int attempt(struct ledger *ledger, struct terms *terms,
		   uint64_t deadline_ns, bool *done, struct error *why)
{
	uint64_t shares[LEDGER_SERVERS_MAX * 2];
	int rc = read_settings(ledger, terms, deadline_ns, why);

	*done = false;
	if (!rc && !is_reserved(ledger))
		rc = read_quota(ledger, terms, deadline_ns, why);
	if (!rc)
		rc = read_servers(ledger, terms, deadline_ns, why);
	if (!rc)
		rc = plan(ledger, terms, shares, why);
	if (!rc)
		rc = write_shares(ledger, terms, shares, deadline_ns, done,
				  why);
	if (*done)
		take_over(ledger, terms, shares);
	return rc;
}

static uint64_t again_ns(unsigned attempts)
{
	uint64_t most_ns = AGAIN_MAX_NS;

	if (attempts < 6)
		most_ns = AGAIN_FIRST_NS << attempts;
	return clock_now_ns() + etcd_draw_ns(most_ns);
}

int ledger_reserve(struct ledger *ledger, uint64_t deadline_ns,
		   struct error *why)
{
	struct terms *terms = malloc(sizeof *terms);
	bool done = false;
	int rc = 0;

	if (!terms) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	for (unsigned attempts = 0; !rc && !done; attempts++) {
		*terms = (struct terms){ .n_guards = 0 };
		rc = attempt(ledger, terms, deadline_ns, &done, why);
		if (rc || done)
			break;
		if (!clock_left_ns(deadline_ns)) {
			error_set(why,
				  "other clients reserve memory all the time "
				  "(%u attempts)",
				  attempts + 1);
			rc = -EBUSY;
		} else {
			etcd_rest(ledger->etcd, again_ns(attempts));
		}
	}
	free(terms);
	return rc;
}

uint64_t ledger_bytes(const struct ledger *ledger)
{
	uint64_t slabs = 0;

	for (unsigned i = 0; i < ledger->n; i++)
		slabs += ledger->servers[i].is_wanted ? ledger->servers[i].slabs
						      : 0;
	return slabs * ledger->slab_bytes;
}
