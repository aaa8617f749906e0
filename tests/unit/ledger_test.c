/* pool/ledger.c where it cannot go on: no memory is left, an answer is lost,
 * others were first.  A real etcd can be made to show none of it at a chosen
 * moment, so the keys are in a table here. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledger.h"
#include "support.h"

#define SLAB_BYTES UINT64_C(1048576)

/* --- the keys of an etcd --- */

struct entry {
	char key[512], value[256];
	uint64_t revision; /* 0: none here */
};

static struct entry entries[64];
static uint64_t revision;

/* What happens to the next transaction. */
static enum fate {
	DONE,
	NOT_ASKED, /* the request is lost */
	NOT_HEARD, /* the answer is lost */
	OVERTAKEN, /* another client reserves right before */
} fate;

static struct entry *find(const char *key)
{
	struct entry *empty = NULL;

	for (unsigned i = 0; i < 64; i++) {
		if (entries[i].revision && !strcmp(entries[i].key, key))
			return &entries[i];
		if (!entries[i].revision && !empty)
			empty = &entries[i];
	}
	assert_non_null(empty);
	return empty;
}

static void put(const char *key, const char *value)
{
	struct entry *entry = find(key);

	entry->revision = value ? revision : 0;
	snprintf(entry->key, sizeof entry->key, "%s", key);
	snprintf(entry->value, sizeof entry->value, "%s", value ? value : "");
}

static bool begins(const struct entry *entry, const char *prefix)
{
	return entry->revision && !strncmp(entry->key, prefix, strlen(prefix));
}

int __wrap_etcd_range(struct etcd *etcd, const char *prefix,
		      uint64_t deadline_ns, etcd_take *take, void *arg,
		      uint64_t *at, struct error *why);
int __wrap_etcd_range(struct etcd *etcd, const char *prefix,
		      uint64_t deadline_ns, etcd_take *take, void *arg,
		      uint64_t *at, struct error *why)
{
	(void)etcd, (void)deadline_ns, (void)why;
	for (unsigned i = 0; i < 64; i++) {
		struct etcd_kv kv = { entries[i].key, entries[i].value,
				      entries[i].revision, 0, false };

		if (begins(&entries[i], prefix))
			take(arg, &kv, 1);
	}
	*at = revision;
	return 0;
}

static void reserve_by_another(void)
{
	revision++;
	put("/rswap/1/blue/reserved/a:1/0123456789abcdef0123456789abcdef",
	    "{\"identity\":\"other\",\"bytes\":4194304}");
}

static bool hold(const struct etcd_txn *txn)
{
	for (unsigned g = 0; g < txn->n_guards; g++) {
		for (unsigned i = 0; i < 64; i++) {
			if (begins(&entries[i], txn->guards[g].prefix) &&
			    entries[i].revision > txn->guards[g].revision)
				return false;
		}
	}
	return true;
}

int __wrap_etcd_transact(struct etcd *etcd, const struct etcd_txn *txn,
			 uint64_t deadline_ns, bool *done, struct error *why);
int __wrap_etcd_transact(struct etcd *etcd, const struct etcd_txn *txn,
			 uint64_t deadline_ns, bool *done, struct error *why)
{
	enum fate now = fate;

	(void)etcd, (void)deadline_ns;
	fate = DONE;
	*done = false;
	if (now == OVERTAKEN)
		reserve_by_another();
	if (now != NOT_ASKED && hold(txn)) {
		revision++;
		for (unsigned i = 0; i < txn->n_changes; i++)
			put(txn->changes[i].key, txn->changes[i].value);
		*done = true;
	}
	if (now != NOT_ASKED && now != NOT_HEARD)
		return 0;
	*done = false;
	error_set(why, "no answer");
	return -ETIMEDOUT;
}

void __wrap_etcd_rest(struct etcd *etcd, uint64_t until_ns);
void __wrap_etcd_rest(struct etcd *etcd, uint64_t until_ns)
{
	(void)etcd, (void)until_ns;
}

/* --- memory --- */

/* The piece of memory that is not to be had, counted from 1; 0: all are. */
static unsigned missing;

static bool has_memory(void)
{
	return !missing || --missing;
}

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes)
{
	return has_memory() ? __real_malloc(bytes) : NULL;
}

void *__real_calloc(size_t n, size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes)
{
	return has_memory() ? __real_calloc(n, bytes) : NULL;
}

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
	return has_memory() ? __real_strdup(text) : NULL;
}

FILE *__real_open_memstream(char **text, size_t *bytes);
FILE *__wrap_open_memstream(char **text, size_t *bytes);
FILE *__wrap_open_memstream(char **text, size_t *bytes)
{
	return has_memory() ? __real_open_memstream(text, bytes) : NULL;
}

/* --- a client --- */

static struct pool pool;
static struct ledger ledger;

static void add_server(const char *address)
{
	struct ledger_server *server = &ledger.servers[ledger.n++];

	*server = (struct ledger_server){ .memory_bytes = 20 * SLAB_BYTES,
					  .is_wanted = true };
	snprintf(server->address.text, sizeof server->address.text, "%s",
		 address);
}

static struct ledger_server *server_at(const char *address)
{
	for (unsigned i = 0; i < ledger.n; i++) {
		if (!strcmp(ledger.servers[i].address.text, address))
			return &ledger.servers[i];
	}
	return NULL;
}

static int begin(void **state)
{
	(void)state;
	missing = 0;
	memset(entries, 0, sizeof entries);
	revision = 1;
	fate = DONE;
	pool_set_url(&pool, "etcd://127.0.0.1/blue");
	ledger = (struct ledger){ .pool = &pool,
				  .lease = 7,
				  .slab_bytes = SLAB_BYTES,
				  .slabs = 12,
				  .most_each = 12,
				  .who.identity = "node-1" };
	reservation_id_draw(ledger.id);
	add_server("a:1");
	add_server("b:1");
	put("/rswap/1/blue/tenants/node-1", "{\"reserve_bytes\":13631488}");
	return 0;
}

/* What this client has reserved at what begins with PREFIX, by etcd. */
static uint64_t slabs_at(const char *prefix)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < 64; i++) {
		struct reservation r;
		struct error why;

		if (begins(&entries[i], prefix) &&
		    strstr(entries[i].key, ledger.id)) {
			assert_int_equal(
				reservation_parse(entries[i].value, &r, &why),
				0);
			bytes += r.bytes;
		}
	}
	return bytes / SLAB_BYTES;
}

static uint64_t slabs_on(const char *address)
{
	return slabs_at(reservation_server_prefix(&pool, address).text);
}

/* The ledger knows what etcd has. */
static void assert_known(void)
{
	uint64_t slabs = 0;

	for (unsigned i = 0; i < ledger.n; i++) {
		const struct ledger_server *server = &ledger.servers[i];

		assert_int_equal(slabs_on(server->address.text), server->slabs);
		slabs += server->slabs;
	}
	assert_int_equal(slabs, ledger.slabs);
	assert_int_equal(slabs_at("/rswap/1/blue/reserved/"), slabs);
	assert_int_equal(
		slabs_at(reservation_identity_prefix(&pool, "node-1").text),
		slabs);
	assert_false(ledger.is_unsure);
}

static int reserve(struct error *why)
{
	return ledger_reserve(&ledger, after_ms(LONG_MS), why);
}

static void must_reserve(void)
{
	struct error why = { "" };

	if (reserve(&why))
		fail_msg("%s", why.text);
	assert_known();
}

/* c takes the place of b. */
static void use_c(void)
{
	server_at("b:1")->is_wanted = false;
	add_server("c:1");
}

static void changes_nothing_without_memory(void **state)
{
	unsigned which = 1;
	struct error why;

	(void)state;
	for (missing = 1; reserve(&why); missing = ++which) {
		assert_int_equal(slabs_at("/rswap/1/blue/reserved/"), 0);
		assert_int_equal(ledger_bytes(&ledger), 0);
		assert_string_equal(why.text, "out of memory");
	}
	assert_in_range(which, 5, 50);
	assert_known();
}

static void moves_nothing_without_memory(void **state)
{
	unsigned which = 1;
	struct error why;

	(void)state;
	must_reserve();
	use_c();
	for (missing = 1; reserve(&why); missing = ++which) {
		assert_int_equal(slabs_on("a:1"), 6);
		assert_int_equal(slabs_on("b:1"), 6);
		assert_int_equal(server_at("b:1")->slabs, 6);
		assert_string_equal(why.text, "out of memory");
	}
	assert_known();
	assert_int_equal(slabs_on("b:1"), 0);
}

static void keeps_to_a_quota_without_memory(void **state)
{
	unsigned which = 1;
	struct error why;
	int rc;

	(void)state;
	put("/rswap/1/blue/tenants/node-1", "{\"reserve_bytes\":4194304}");
	for (missing = 1; (rc = reserve(&why)) == -ENOMEM; missing = ++which)
		;
	assert_int_equal(rc, -EDQUOT);
	assert_int_equal(slabs_at("/rswap/1/blue/reserved/"), 0);
}

/* Nobody knows whether the move was made.  Then the server comes back. */
static void finds_out_what_was_done(enum fate next)
{
	struct error why;

	must_reserve();
	use_c();
	fate = next;
	assert_int_equal(reserve(&why), -ETIMEDOUT);
	assert_true(ledger.is_unsure);
	assert_int_equal(slabs_on("c:1"), next == NOT_HEARD ? 6 : 0);
	assert_int_equal(server_at("b:1")->slabs, 6);
	server_at("b:1")->is_wanted = true;
	server_at("c:1")->is_wanted = false;
	must_reserve();
	assert_null(server_at("c:1"));
	assert_int_equal(slabs_on("c:1"), 0);
}

static void knows_after_a_lost_answer(void **state)
{
	(void)state;
	finds_out_what_was_done(NOT_HEARD);
}

static void knows_after_a_lost_request(void **state)
{
	(void)state;
	finds_out_what_was_done(NOT_ASKED);
}

/* The move is tried again as it was. */
static void moves_once_though_it_did_before(void **state)
{
	struct error why;

	(void)state;
	must_reserve();
	use_c();
	fate = NOT_HEARD;
	assert_int_equal(reserve(&why), -ETIMEDOUT);
	must_reserve();
	assert_int_equal(slabs_on("c:1"), 6);
	assert_int_equal(slabs_on("b:1"), 0);
}

/* The lease ended, and what it held back was taken by somebody. */
static void lose_the_lease(void)
{
	must_reserve();
	put(pool_key(&pool, "reserved/a:1/%s", ledger.id).text, NULL);
	put(pool_key(&pool, "reserved/b:1/%s", ledger.id).text, NULL);
	ledger.lease++;
	server_at("a:1")->unreserved_bytes = 15 * SLAB_BYTES;
}

static void has_less_after_others_took_it(void **state)
{
	struct error why;

	(void)state;
	lose_the_lease();
	must_reserve();
	assert_in_range(slabs_on("a:1"), 0, 5);
	begin(NULL);
	lose_the_lease();
	server_at("b:1")->unreserved_bytes = 14 * SLAB_BYTES;
	assert_int_equal(reserve(&why), -ENOSPC);
}

/* Others have not reserved again yet, so what they had reserved counts as used
 * without a reservation. */
static void has_what_it_had_after_etcd_lost_its_keys(void **state)
{
	(void)state;
	revision = 100;
	lose_the_lease();
	memset(entries, 0, sizeof entries);
	revision = 3;
	must_reserve();
	assert_int_equal(slabs_on("a:1"), 6);
}

static void gives_way_to_who_was_first(void **state)
{
	(void)state;
	server_at("a:1")->memory_bytes = 8 * SLAB_BYTES;
	server_at("b:1")->memory_bytes = 9 * SLAB_BYTES;
	fate = OVERTAKEN;
	must_reserve();
	assert_in_range(slabs_on("a:1"), 3, 4);
}

static void has_nothing_where_others_always_are_first(void **state)
{
	struct error why;

	(void)state;
	fate = OVERTAKEN;
	assert_int_equal(ledger_reserve(&ledger, clock_now_ns(), &why), -EBUSY);
	assert_int_equal(ledger_bytes(&ledger), 0);
	assert_int_equal(slabs_at("/rswap/1/blue/reserved/"), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, begin)
	const struct CMUnitTest tests[] = {
		TEST(changes_nothing_without_memory),
		TEST(moves_nothing_without_memory),
		TEST(knows_after_a_lost_answer),
		TEST(knows_after_a_lost_request),
		TEST(moves_once_though_it_did_before),
		TEST(keeps_to_a_quota_without_memory),
		TEST(has_less_after_others_took_it),
		TEST(has_what_it_had_after_etcd_lost_its_keys),
		TEST(gives_way_to_who_was_first),
		TEST(has_nothing_where_others_always_are_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
