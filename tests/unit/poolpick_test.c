/* plugin/service/poolpick.c. */
#include "service/poolpick.h"
#include "support.h"

#include <stdio.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)

static struct members_entry entries[64];
static struct members members;
static struct net_name names[64];
static struct poolpick pick;
static const char *used;

static bool is_used(void *arg, const struct net_name *address)
{
	(void)arg;
	return used && !strcmp(address->host, used);
}

static int begin(void **state)
{
	(void)state;
	members = (struct members){ .entries = entries };
	pick = (struct poolpick){ .members = &members,
				  .transports = WIRE_TRANSPORT_TCP,
				  .is_used = is_used };
	used = NULL;
	return 0;
}

static struct member *add(const char *host, const char *zone, uint64_t free)
{
	struct members_entry *entry = &entries[members.n++];
	struct member *m = &entry->member;

	*entry = (struct members_entry){ .is_understood = true };
	m->address.port = 1;
	snprintf(m->address.host, sizeof m->address.host, "%s", host);
	snprintf(m->zone, sizeof m->zone, "%s", zone);
	snprintf(m->state, sizeof m->state, "serving");
	m->transports = WIRE_TRANSPORT_TCP | WIRE_TRANSPORT_RDMA;
	m->slab_bytes = 2 * MIB;
	m->free_bytes = free;
	return m;
}

static bool is_chosen(const char *host, int n)
{
	for (int i = 0; i < n; i++) {
		if (!strcmp(names[i].host, host))
			return true;
	}
	return false;
}

static void all_that_fit(void **state)
{
	(void)state;
	assert_int_equal(poolpick_choose(&pick, names, 4), 0);
	add("a", "", MIB);
	add("b", "", MIB);
	assert_int_equal(poolpick_choose(&pick, names, 0), 0);
	assert_int_equal(poolpick_choose(&pick, names, 1), 1);
	assert_int_equal(poolpick_choose(&pick, names, 4), 2);
	assert_true(is_chosen("a", 2) && is_chosen("b", 2));
}

static void none_that_does_not(void **state)
{
	(void)state;
	add("a", "", MIB);
	snprintf(add("drains", "", MIB)->state, MEMBER_STATE_BYTES, "draining");
	add("rdma", "", MIB)->transports = WIRE_TRANSPORT_RDMA;
	add("small", "", MIB)->slab_bytes = MIB;
	add("full", "", MIB - 1);
	add("used", "", MIB);
	add("odd", "", MIB);
	entries[members.n - 1].is_understood = false;
	pick.slab_bytes = 2 * MIB;
	pick.free_bytes = MIB;
	used = "used";
	assert_int_equal(poolpick_choose(&pick, names, 8), 1);
	assert_string_equal(names[0].host, "a");
}

static uint64_t own_bytes(void *arg, const struct members_entry *entry)
{
	(void)arg;
	return !strcmp(entry->member.address.host, "mine") ? 4 * MIB : 0;
}

static void what_is_reserved_for_the_device_is_free(void **state)
{
	(void)state;
	add("full", "", 0);
	add("mine", "", 0);
	pick.free_bytes = 2 * MIB;
	assert_int_equal(poolpick_choose(&pick, names, 8), 0);
	pick.own_bytes = own_bytes;
	assert_int_equal(poolpick_choose(&pick, names, 8), 1);
	assert_string_equal(names[0].host, "mine");
	pick.free_bytes = 0;
	for (int i = 0; i < 32; i++) {
		assert_int_equal(poolpick_choose(&pick, names, 8), 2);
		assert_string_equal(names[0].host, "mine");
	}
}

static void slabs_of_one_size(void **state)
{
	(void)state;
	for (int i = 0; i < 32; i++) {
		members.n = 0;
		add("a", "", MIB)->slab_bytes = MIB;
		add("b", "", MIB)->slab_bytes = MIB;
		add("c", "", 2 * MIB);
		add("d", "", 2 * MIB);
		assert_int_equal(poolpick_choose(&pick, names, 8), 2);
		assert_true(is_chosen("a", 2) == is_chosen("b", 2));
	}
}

static void each_zone_in_turn(void **state)
{
	(void)state;
	for (int i = 0; i < 32; i++) {
		members.n = 0;
		add("a1", "a", 18 * MIB);
		add("a2", "a", 18 * MIB);
		add("a3", "a", 18 * MIB);
		add("b1", "b", 2 * MIB);
		add("none", "", 2 * MIB);
		assert_int_equal(poolpick_choose(&pick, names, 3), 3);
		assert_true(is_chosen("b1", 3) && is_chosen("none", 3));
	}
}

/* For the servers in use and those that are chosen together. */
static void zones_in_use_come_last(void **state)
{
	(void)state;
	for (int i = 0; i < 32; i++) {
		members.n = 0;
		used = "a0";
		add("a0", "a", 18 * MIB);
		add("a1", "a", 18 * MIB);
		add("a2", "a", 18 * MIB);
		add("b1", "b", 2 * MIB);
		add("b2", "b", 2 * MIB);
		assert_int_equal(poolpick_choose(&pick, names, 1), 1);
		assert_true(is_chosen("b1", 1) || is_chosen("b2", 1));
		/* then each zone has one */
		assert_int_equal(poolpick_choose(&pick, names, 3), 3);
		assert_true(is_chosen("a1", 3) || is_chosen("a2", 3));
		/* it has slabs there, and no more of them */
		snprintf(entries[0].member.state, MEMBER_STATE_BYTES,
			 "reclaiming");
		assert_int_equal(poolpick_choose(&pick, names, 1), 1);
		assert_true(is_chosen("b1", 1) || is_chosen("b2", 1));
	}
}

/* Its slabs go, and may go to a server of the same zone. */
static void what_drains_leaves_its_zone(void **state)
{
	int same = 0;

	(void)state;
	for (int i = 0; i < 64; i++) {
		members.n = 0;
		used = "a0";
		snprintf(add("a0", "a", 0)->state, MEMBER_STATE_BYTES,
			 "draining");
		add("a1", "a", 18 * MIB);
		add("b1", "b", 2 * MIB);
		assert_int_equal(poolpick_choose(&pick, names, 1), 1);
		same += is_chosen("a1", 1);
	}
	assert_true(same > 0);
}

static void servers_without_a_zone_are_apart(void **state)
{
	(void)state;
	for (int i = 0; i < 32; i++) {
		members.n = 0;
		used = "none0";
		add("none0", "", 2 * MIB);
		add("none1", "", 20 * MIB)->memory_bytes = 20 * MIB;
		add("b1", "b", 2 * MIB)->memory_bytes = 20 * MIB;
		assert_int_equal(poolpick_choose(&pick, names, 1), 1);
		assert_true(is_chosen("none1", 1));
	}
}

/* A zone without room does not come before others. */
static void full_servers_last(void **state)
{
	(void)state;
	add("full", "b", MIB);
	for (int i = 0; i < 3; i++)
		add("a", "a", 18 * MIB);
	for (int i = 0; i < 32; i++) {
		assert_int_equal(poolpick_choose(&pick, names, 3), 3);
		assert_false(is_chosen("full", 3));
	}
	assert_int_equal(poolpick_choose(&pick, names, 4), 4);
	assert_true(is_chosen("full", 4));
}

/* All memory may be reserved, for others or for this device. */
static void any_of_full_servers(void **state)
{
	unsigned chosen[4] = { 0 };

	(void)state;
	add("a", "x", 0);
	add("b", "x", 0);
	add("c", "y", MIB);
	add("d", "", 0);
	for (int i = 0; i < 256; i++) {
		assert_int_equal(poolpick_choose(&pick, names, 1), 1);
		chosen[names[0].host[0] - 'a']++;
	}
	/* one is missing by a chance of 10^-31 */
	for (int i = 0; i < 4; i++)
		assert_true(chosen[i] > 0);
	for (int i = 0; i < 32; i++) {
		assert_int_equal(poolpick_choose(&pick, names, 3), 3);
		assert_true(is_chosen("c", 3) && is_chosen("d", 3));
	}
	/* a zone that is in use comes last here too */
	used = "d";
	snprintf(entries[3].member.zone, sizeof entries[3].member.zone, "y");
	for (int i = 0; i < 32; i++) {
		assert_int_equal(poolpick_choose(&pick, names, 1), 1);
		assert_false(is_chosen("c", 1));
	}
}

/* By what is in use, not by size. */
static void the_emptier_of_two(void **state)
{
	(void)state;
	add("fuller", "", 20 * MIB)->memory_bytes = 40 * MIB;
	add("emptier", "", 6 * MIB)->memory_bytes = 8 * MIB;
	for (int i = 0; i < 32; i++) {
		assert_int_equal(poolpick_choose(&pick, names, 1), 1);
		assert_true(is_chosen("emptier", 1));
	}
	/* of equals the first, unless it has load */
	entries[1].member = entries[0].member;
	snprintf(entries[1].member.address.host, sizeof names[0].host, "idle");
	assert_int_equal(poolpick_choose(&pick, names, 1), 1);
	assert_true(is_chosen("fuller", 1));
	entries[0].member.load_permille = 500;
	assert_int_equal(poolpick_choose(&pick, names, 1), 1);
	assert_true(is_chosen("idle", 1));
}

static void the_same_by_the_same_seed(void **state)
{
	struct net_name first;

	(void)state;
	for (int i = 0; i < 26; i++)
		add((char[]){ (char)('a' + i), 0 }, "", 18 * MIB);
	pick.seed = 7;
	assert_int_equal(poolpick_choose(&pick, &first, 1), 1);
	for (int i = 0; i < 32; i++) {
		assert_int_equal(poolpick_choose(&pick, names, 1), 1);
		assert_string_equal(names[0].host, first.host);
	}
}

/* Drawn by their size: the largest is taken more often, and others
 * too. */
static void rather_those_with_more_room(void **state)
{
	int large = 0;

	(void)state;
	add("large", "", 18 * MIB);
	for (int i = 0; i < 7; i++)
		add("small", "", 2 * MIB);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(poolpick_choose(&pick, names, 1), 1);
		large += is_chosen("large", 1);
	}
	/* 9/16, or 7/16 and then 9/15: 825 of them */
	assert_in_range(large, 750, 900);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(all_that_fit, begin),
		cmocka_unit_test_setup(none_that_does_not, begin),
		cmocka_unit_test_setup(what_is_reserved_for_the_device_is_free,
				       begin),
		cmocka_unit_test_setup(slabs_of_one_size, begin),
		cmocka_unit_test_setup(each_zone_in_turn, begin),
		cmocka_unit_test_setup(zones_in_use_come_last, begin),
		cmocka_unit_test_setup(what_drains_leaves_its_zone, begin),
		cmocka_unit_test_setup(servers_without_a_zone_are_apart, begin),
		cmocka_unit_test_setup(full_servers_last, begin),
		cmocka_unit_test_setup(any_of_full_servers, begin),
		cmocka_unit_test_setup(the_emptier_of_two, begin),
		cmocka_unit_test_setup(the_same_by_the_same_seed, begin),
		cmocka_unit_test_setup(rather_those_with_more_room, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
