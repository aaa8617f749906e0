/* ctl/poolplan.c: what rebalancing would move, by the rules of front ends. */
#include "poolplan.h"
#include "servers/rebalance.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#define GIB (UINT64_C(1) << 30)
#define MIB (UINT64_C(1) << 20)

static struct members_entry entries[64];
static struct members members;
static struct poolplan plan;

static int begin(void **state)
{
	(void)state;
	members = (struct members){ .entries = entries };
	return 0;
}

static int end(void **state)
{
	(void)state;
	free(plan.servers);
	plan.servers = NULL;
	return 0;
}

static struct member *add(uint64_t memory_bytes, uint64_t used_bytes)
{
	struct members_entry *entry = &entries[members.n++];
	struct member *m = &entry->member;

	*entry = (struct members_entry){ .is_understood = true };
	snprintf(m->state, sizeof m->state, "serving");
	m->slab_bytes = 2 * MIB;
	m->memory_bytes = memory_bytes;
	m->free_bytes = memory_bytes - used_bytes;
	m->held_slabs = MEMBER_HELD_UNKNOWN;
	return m;
}

static void make(void)
{
	free(plan.servers);
	assert_int_equal(poolplan_make(&plan, &members), 0);
}

static void even_servers_keep_what_they_have(void **state)
{
	(void)state;
	make();
	assert_int_equal(plan.n, 0);
	assert_int_equal(plan.spread_ppm, 0);
	add(64 * GIB, 32 * GIB);
	make();
	assert_int_equal(plan.mean_ppm, 500000);
	assert_int_equal(plan.move_bytes, 0);
	/* as full, and not as large */
	add(16 * GIB, 8 * GIB);
	make();
	assert_int_equal(plan.n, 2);
	assert_int_equal(plan.spread_ppm, 0);
	assert_int_equal(plan.servers[0].excess_bytes, 0);
	assert_int_equal(plan.move_slabs, 0);
	/* fuller by less than what is moved for */
	entries[1].member.free_bytes -=
		16 * GIB / 1000 * (REBALANCE_WIDE_PPM / 1000 - 1);
	make();
	assert_true(plan.spread_ppm > 0);
	assert_int_equal(plan.move_slabs, 0);
}

static void an_empty_server_gets_its_part(void **state)
{
	(void)state;
	add(64 * GIB, 48 * GIB);
	add(64 * GIB, 0);
	make();
	assert_int_equal(plan.spread_ppm, 750000);
	assert_int_equal(plan.mean_ppm, 375000);
	assert_int_equal(plan.servers[0].fill_ppm, 750000);
	assert_int_equal(plan.servers[0].excess_bytes, (int64_t)(24 * GIB));
	assert_int_equal(plan.servers[1].excess_bytes, -(int64_t)(24 * GIB));
	/* until the difference is no longer worth a move */
	assert_in_range(plan.move_bytes, 23 * GIB, 24 * GIB);
	assert_int_equal(plan.move_bytes, plan.move_slabs * 2 * MIB);
	assert_false(plan.is_cut);
}

static void what_is_only_reserved_stays(void **state)
{
	(void)state;
	add(64 * GIB, 48 * GIB)->held_slabs = 4 * GIB / (2 * MIB);
	add(64 * GIB, 0);
	make();
	assert_int_equal(plan.servers[0].fill_ppm, 750000);
	assert_int_equal(plan.move_bytes, 4 * GIB);
	assert_false(plan.is_cut);
}

static void many_servers(void **state)
{
	uint64_t excess = 0;

	(void)state;
	for (uint64_t i = 0; i < 40; i++)
		add(32 * GIB << i % 3, (8 + i % 7) * GIB);
	make();
	for (unsigned i = 0; i < plan.n; i++) {
		if (plan.servers[i].excess_bytes > 0)
			excess += (uint64_t)plan.servers[i].excess_bytes;
	}
	assert_false(plan.is_cut);
	assert_in_range(plan.move_bytes, excess / 2, excess * 5 / 4);
}

static void only_servers_that_serve_count(void **state)
{
	(void)state;
	add(64 * GIB, 48 * GIB);
	snprintf(add(64 * GIB, 0)->state, MEMBER_STATE_BYTES, "draining");
	add(64 * GIB, 0);
	entries[2].is_understood = false;
	add(MIB, 0); /* less than a slab */
	make();
	assert_int_equal(plan.n, 1);
	assert_int_equal(plan.move_bytes, 0);
}

static void slabs_of_other_sizes_are_apart(void **state)
{
	(void)state;
	add(64 * GIB, 48 * GIB);
	add(64 * GIB, 0)->slab_bytes = MIB;
	make();
	assert_int_equal(plan.spread_ppm, 750000);
	assert_int_equal(plan.move_bytes, 0);
	add(64 * GIB, 48 * GIB)->slab_bytes = MIB;
	make();
	assert_in_range(plan.move_bytes, 23 * GIB, 24 * GIB);
	assert_int_equal(plan.move_bytes, plan.move_slabs * MIB);
}

static void nothing_moves_to_full_servers(void **state)
{
	(void)state;
	/* a server without room for a slab is no place, however small */
	add(64 * GIB, 64 * GIB);
	add(64 * GIB, 64 * GIB);
	make();
	assert_int_equal(plan.move_bytes, 0);
	add(8 * MIB, 0);
	make();
	assert_in_range(plan.move_bytes, 2 * MIB, 8 * MIB);
}

/* Front ends round by chance, again and again. */
static void a_part_of_a_slab_moves_in_the_end(void **state)
{
	(void)state;
	for (uint64_t slabs = 1; slabs < 8; slabs++) {
		members.n = 0;
		add(slabs * 2 * MIB, slabs * 2 * MIB);
		add(64 * GIB, 0);
		make();
		assert_int_equal(plan.move_slabs, slabs);
	}
}

#define test(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(even_servers_keep_what_they_have),
		test(an_empty_server_gets_its_part),
		test(what_is_only_reserved_stays),
		test(many_servers),
		test(only_servers_that_serve_count),
		test(slabs_of_other_sizes_are_apart),
		test(nothing_moves_to_full_servers),
		test(a_part_of_a_slab_moves_in_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
