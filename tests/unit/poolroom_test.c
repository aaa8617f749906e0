/* plugin/service/poolroom.c: which servers of a pool a reservation goes to
 * where those that were chosen at first have too little.  The keys are in a
 * table here. */
#include "service/poolroom.h"
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVERS	   6
#define SLAB_BYTES UINT64_C(1048576)
#define ID	   "0123456789abcdef0123456789abcdef"

static struct config config;
static struct poolwatch watch;
static struct members_entry entries[SERVERS];
static uint64_t reserved_mib[SERVERS]; /* 0: nothing */
static const char *settings;	       /* NULL: there is no key */
static int range_rc;

static void tell(etcd_take *take, void *arg, const char *prefix,
		 const char *key, const char *value)
{
	const struct etcd_kv kv = { .key = (char *)key,
				    .value = (char *)value };

	if (!strncmp(key, prefix, strlen(prefix)))
		take(arg, &kv, 1);
}

int __wrap_etcd_range(struct etcd *e, const char *prefix, uint64_t deadline_ns,
		      etcd_take *take, void *arg, uint64_t *revision,
		      struct error *why);
int __wrap_etcd_range(struct etcd *e, const char *prefix, uint64_t deadline_ns,
		      etcd_take *take, void *arg, uint64_t *revision,
		      struct error *why)
{
	char key[256], value[256];

	(void)e, (void)deadline_ns;
	*revision = 1;
	if (settings)
		tell(take, arg, prefix, "/rswap/1/blue/settings", settings);
	tell(take, arg, prefix, "/rswap/1/blue/settings2", "what?");
	tell(take, arg, prefix, "/rswap/1/blue/reserved/s0:1/x", "what?");
	tell(take, arg, prefix, "/rswap/1/blue/reserved/" ID,
	     "{\"identity\":\"a\",\"bytes\":1}");
	tell(take, arg, prefix, "/rswap/1/blue/reserved/none:1/" ID,
	     "{\"identity\":\"a\",\"bytes\":1}");
	for (unsigned i = 0; i < SERVERS; i++) {
		snprintf(key, sizeof key, "/rswap/1/blue/reserved/s%u:1/" ID,
			 i);
		snprintf(value, sizeof value,
			 "{\"identity\":\"a\",\"bytes\":%llu}",
			 (unsigned long long)(reserved_mib[i] << 20));
		if (reserved_mib[i])
			tell(take, arg, prefix, key, value);
	}
	if (range_rc)
		error_set(why, "bad luck");
	return range_rc;
}

static int begin(void **state)
{
	(void)state;
	memset(&watch, 0, sizeof watch);
	memset(entries, 0, sizeof entries);
	memset(reserved_mib, 0, sizeof reserved_mib);
	config = (struct config){ .pool.name = "blue",
				  .pool_reserve_bytes = CONFIG_RESERVE_ALL };
	config.engine.size_bytes = 16 * SLAB_BYTES;
	config.engine.servers_max = 2;
	config.engine.redundancy = (struct redundancy_config){ .copies = 1 };
	watch.config = &config;
	watch.members.entries = entries;
	watch.members.n = SERVERS;
	settings = NULL;
	range_rc = 0;
	for (unsigned i = 0; i < SERVERS; i++) {
		struct member *m = &entries[i].member;

		snprintf(entries[i].address.text, sizeof entries[i].address,
			 "s%u:1", i);
		entries[i].is_understood = true;
		snprintf(m->address.host, sizeof m->address.host, "s%u", i);
		m->address.port = 1;
		snprintf(m->state, sizeof m->state, "serving");
		m->slab_bytes = SLAB_BYTES;
		m->memory_bytes = 32 * SLAB_BYTES;
		m->transports = WIRE_TRANSPORT_TCP;
	}
	return 0;
}

static int end(void **state)
{
	(void)state;
	free(config.engine.servers);
	return 0;
}

static int choose(struct error *why)
{
	return poolroom_choose(&watch, &config.engine, SLAB_BYTES, why);
}

static void choose_well(void)
{
	struct error why = { "" };

	if (choose(&why))
		fail_msg("%s", why.text);
}

static void assert_refused(const char *words)
{
	struct error why = { "" };

	assert_int_equal(choose(&why), -ENOSPC);
	assert_contains(why.text, words);
}

/* Server I of the engine's is sN. */
static bool is_server(uint32_t i, unsigned n)
{
	return config.engine.servers[i].host[1] == (char)('0' + n);
}

static void reserve(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
		    uint64_t f)
{
	const uint64_t mib[SERVERS] = { a, b, c, d, e, f };

	memcpy(reserved_mib, mib, sizeof mib);
}

static void those_with_the_most_room(void **state)
{
	(void)state;
	config.engine.servers_max = 1;
	reserve(20, 32, 30, 16, 18, 17);
	choose_well();
	assert_true(is_server(0, 3));
	/* the others may take its place, where it does not answer */
	assert_int_equal(config.engine.n_servers, SERVERS);
	assert_int_equal(config.engine.n_pooled, SERVERS);
	assert_true(is_server(1, 5));
	assert_true(is_server(5, 1));
}

static void one_that_does_not_suit_is_none(void **state)
{
	(void)state;
	snprintf(entries[0].member.state, sizeof entries[0].member.state,
		 "draining");
	entries[1].member.slab_bytes *= 2;
	entries[2].is_understood = false;
	/* what others use there cannot be reserved */
	entries[3].member.unreserved_bytes = 31 * SLAB_BYTES;
	choose_well();
	assert_int_equal(config.engine.n_servers, 3);
	assert_true(is_server(2, 3));
}

static void zones_count_if_all_has_room_so(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SERVERS; i++)
		snprintf(entries[i].member.zone, sizeof entries[i].member.zone,
			 "%s", i < 4 ? "big" : "small");
	reserve(0, 1, 2, 3, 26, 27);
	config.engine.size_bytes = 36 * SLAB_BYTES;
	choose_well();
	assert_true(is_server(0, 0));
	assert_true(is_server(1, 4));
	config.engine.size_bytes = 40 * SLAB_BYTES;
	choose_well();
	assert_true(is_server(0, 0));
	assert_true(is_server(1, 1));
}

static void those_that_are_given_by_hand_stay(void **state)
{
	(void)state;
	config.engine.servers = calloc(1, sizeof *config.engine.servers);
	assert_non_null(config.engine.servers);
	config.engine.servers[0] = entries[2].member.address;
	config.engine.n_servers = 1;
	reserve(32, 32, 24, 24, 26, 26);
	choose_well();
	assert_true(is_server(0, 2));
	assert_true(is_server(1, 3));
	assert_int_equal(config.engine.n_pooled, SERVERS - 1);
	/* again: what the pool gave is replaced */
	reserve(32, 24, 24, 32, 26, 26);
	choose_well();
	assert_true(is_server(0, 2));
	assert_true(is_server(1, 1));
	assert_int_equal(config.engine.n_servers, SERVERS);
	reserve(32, 26, 24, 32, 26, 26);
	assert_refused("but 14M at most with servers-max=2: of 192M in all");
}

static void a_refusal_has_the_figures_of_the_pool(void **state)
{
	(void)state;
	reserve(28, 28, 28, 28, 30, 31);
	assert_refused("pool-reserve=all: 16M are wanted, and 6 servers of the "
		       "pool have 19M free to reserve, but 8M at most with "
		       "servers-max=2: of 192M in all, at an overcommit of "
		       "1.000, others reserve 173M");
	reserve(28, 28, 28, 32, 32, 32);
	assert_refused("and 6 servers of the pool have 12M free to reserve: of "
		       "192M in all, at an overcommit of 1.000, others reserve "
		       "180M");
	settings = "{\"overcommit_permille\":500}";
	reserve(10, 10, 10, 16, 16, 16);
	assert_refused("have 18M free to reserve, but 12M at most with "
		       "servers-max=2: of 192M in all, at an overcommit of "
		       "0.500");
	config.pool_reserve_bytes = 12 * SLAB_BYTES;
	choose_well();
}

static void what_cannot_be_read_is_told(void **state)
{
	struct error why;

	(void)state;
	settings = "what?";
	assert_int_equal(choose(&why), -EINVAL);
	assert_contains(why.text, "pool-reserve=all: /rswap/1/blue/settings: ");
	settings = NULL;
	range_rc = -EIO;
	assert_int_equal(choose(&why), -EIO);
	assert_contains(why.text, "pool-reserve=all: bad luck");
	assert_null(config.engine.servers);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(those_with_the_most_room),
		TEST(one_that_does_not_suit_is_none),
		TEST(zones_count_if_all_has_room_so),
		TEST(those_that_are_given_by_hand_stay),
		TEST(a_refusal_has_the_figures_of_the_pool),
		TEST(what_cannot_be_read_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
