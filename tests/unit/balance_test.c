/* plugin/repair/balance.c: when a client decides to move slabs away from a
 * server, how many, and when it thinks again. */
#include "repair/balance.h"
#include "repair/repair.h"
#include "support.h"

#include <string.h>

#define SERVERS	   3
#define SLAB_BYTES UINT64_C(4096)

static const struct server_kind kind;
static struct server servers[SERVERS];
static struct repair repair;
static struct engine engine;

static void set_free(uint32_t i, uint64_t slabs)
{
	atomic_store(&servers[i].shared.free_bytes, slabs * SLAB_BYTES);
}

/* All with 1000 slabs, of which 300 are free and the client has 100; the first
 * one is full. */
static int begin(void **state)
{
	(void)state;
	memset(servers, 0, sizeof servers);
	memset(&repair, 0, sizeof repair);
	memset(&engine, 0, sizeof engine);
	engine.config.servers_max = SERVERS;
	engine.slabs.geometry.slab_bytes = SLAB_BYTES;
	engine.repair = &repair;
	engine.servers = servers;
	engine.n_servers = SERVERS;
	for (uint32_t i = 0; i < SERVERS; i++) {
		servers[i].engine = &engine;
		servers[i].index = i;
		servers[i].kind = &kind;
		atomic_store(&servers[i].shared.state, SERVER_UP);
		atomic_store(&servers[i].shared.total_bytes, 1000 * SLAB_BYTES);
		atomic_store(&servers[i].shared.slabs, 100);
		set_free(i, 300);
	}
	set_free(0, 0);
	return 0;
}

/* The next decision is due. */
static void turn(void)
{
	repair.balance_ns = 0;
	balance_turn(&engine);
}

/* The number of the server that gives slabs, or SERVERS. */
static uint32_t gives(void)
{
	uint32_t found = SERVERS;

	for (uint32_t i = 0; i < SERVERS; i++) {
		if (!balance_unloads(&servers[i]))
			continue;
		assert_int_equal(found, SERVERS); /* one at most */
		found = i;
	}
	return found;
}

static void the_fullest_gives_its_part(void **state)
{
	(void)state;
	turn();
	assert_int_equal(gives(), 0);
	/* half of the difference, a tenth of that is this client's, and of
	 * that a part: 300 / 2 / 10 / 4 */
	assert_in_range(servers[0].repair.unload_slabs, 3, 4);
	assert_int_equal(repair.balance.from.index, 0);
}

static void each_move_counts(void **state)
{
	uint32_t slabs;

	(void)state;
	turn();
	slabs = servers[0].repair.unload_slabs;
	for (uint32_t i = 0; i < slabs; i++) {
		assert_int_equal(gives(), 0);
		balance_count(&servers[0]);
	}
	assert_int_equal(gives(), SERVERS);
	balance_count(&servers[0]); /* of another move */
	assert_int_equal(gives(), SERVERS);
	turn();
	assert_int_equal(gives(), 0);
}

static void not_without_a_pool(void **state)
{
	(void)state;
	engine.config.servers_max = 0;
	turn();
	assert_int_equal(gives(), SERVERS);
}

static void not_before_all_is_at_rest(void **state)
{
	(void)state;
	repair.short_slabs = 1;
	turn();
	assert_int_equal(gives(), SERVERS);
	repair.short_slabs = 0;
	repair.moving_slabs = 1;
	turn();
	assert_int_equal(gives(), SERVERS);
	repair.moving_slabs = 0;
	turn();
	assert_int_equal(gives(), 0);
}

static void not_all_the_time(void **state)
{
	(void)state;
	set_free(0, 300);
	turn();
	assert_int_equal(gives(), SERVERS);
	set_free(0, 0);
	balance_turn(&engine); /* too soon */
	assert_int_equal(gives(), SERVERS);
	turn();
	assert_int_equal(gives(), 0);
}

/* A server that is asked for its slabs gives them anyway, and takes none. */
static void only_servers_that_are_up_and_stay(void **state)
{
	(void)state;
	atomic_store(&servers[0].shared.release_slabs, WIRE_RELEASE_ALL);
	turn();
	assert_int_equal(gives(), SERVERS);
	atomic_store(&servers[0].shared.release_slabs, 0);
	turn();
	assert_int_equal(gives(), 0);
	atomic_store(&servers[0].shared.release_slabs, 1);
	assert_int_equal(gives(), SERVERS);
	atomic_store(&servers[0].shared.release_slabs, 0);
	atomic_store(&servers[0].shared.state, SERVER_RECOVERING);
	turn();
	assert_int_equal(gives(), SERVERS);
}

/* Copies in the zones of all others, for one. */
static void what_cannot_be_moved_is_left(void **state)
{
	(void)state;
	set_free(1, 100);
	turn();
	assert_int_equal(gives(), 0);
	/* of that nothing was moved: the next one in turn */
	turn();
	assert_int_equal(gives(), 1);
	turn();
	assert_int_equal(gives(), SERVERS);
	/* all were tried: from the start */
	turn();
	assert_int_equal(gives(), 0);
}

static void a_server_that_gave_all_is_tried_again(void **state)
{
	(void)state;
	set_free(1, 100);
	turn();
	while (balance_unloads(&servers[0]))
		balance_count(&servers[0]);
	turn();
	assert_int_equal(gives(), 0);
}

#define test(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(the_fullest_gives_its_part),
		test(each_move_counts),
		test(not_without_a_pool),
		test(not_before_all_is_at_rest),
		test(not_all_the_time),
		test(only_servers_that_are_up_and_stay),
		test(what_cannot_be_moved_is_left),
		test(a_server_that_gave_all_is_tried_again),
	};

	return cmocka_run_group_tests_name("balance", tests, NULL, NULL);
}
