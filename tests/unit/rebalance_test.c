#include "servers/rebalance.h"

#include "support.h"

#define SERVERS 10

static struct choose_server servers[SERVERS];

/* All with 300 of 1000 slabs free, and a tenth of what is used of this client.
 */
static int begin(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < SERVERS; i++)
		servers[i] = (struct choose_server){ .index = i,
						     .free_slabs = 300,
						     .total_slabs = 1000,
						     .own_slabs = 70 };
	return 0;
}

static struct rebalance decide(void)
{
	struct rebalance r = { .has_from = false };

	for (uint32_t i = 0; i < SERVERS; i++)
		rebalance_offer(&r, &servers[i]);
	return r;
}

/* Slabs that are moved in 1000 decisions. */
static uint32_t moved(void)
{
	struct rebalance r = decide();
	uint32_t n = 0;

	for (uint64_t seed = 0; seed < 1000; seed++)
		n += rebalance_slabs(&r, seed);
	return n;
}

static bool is_wide(void)
{
	struct rebalance r = decide();

	return rebalance_is_wide(&r);
}

static void nothing_moves_where_servers_are_about_as_full(void **state)
{
	(void)state;
	assert_int_equal(moved(), 0);
	servers[3].free_slabs -= REBALANCE_WIDE_PPM / 1000 - 1;
	assert_int_equal(moved(), 0);
	assert_false(is_wide());
	servers[3].free_slabs -= 2;
	assert_true(moved() > 0);
	assert_true(is_wide());
}

static void the_fullest_server_with_slabs_of_the_client_gives(void **state)
{
	(void)state;
	servers[2].free_slabs = 50;
	servers[2].own_slabs = 0;
	servers[5].free_slabs = 100;
	assert_int_equal(decide().from.index, 5);
	assert_true(moved() > 0);
	for (uint32_t i = 0; i < SERVERS; i++)
		servers[i].own_slabs = 0;
	assert_int_equal(moved(), 0);
}

/* Half of the difference, in the part that is the client's, and a part of that.
 */
static void clients_together_move_what_is_too_much(void **state)
{
	uint32_t wanted = (300 - 100) / 2 * 1000 / REBALANCE_PART;

	(void)state;
	servers[5].free_slabs = 100;
	servers[5].own_slabs = 900;
	assert_in_range(moved(), wanted * 99 / 100, wanted * 101 / 100);
	/* one of 9, and of 900 */
	servers[5].own_slabs = 100;
	assert_in_range(9 * moved(), wanted * 95 / 100, wanted * 105 / 100);
	servers[5].own_slabs = 1;
	assert_in_range(900 * moved(), wanted / 2, wanted * 3 / 2);
}

static bool takes(uint32_t server)
{
	struct rebalance r = decide();

	return rebalance_may_take(&r, &servers[server]);
}

static void only_servers_that_are_emptier_take(void **state)
{
	(void)state;
	assert_false(takes(1));
	servers[5].free_slabs = 300 - REBALANCE_WIDE_PPM / 1000;
	assert_false(takes(1)); /* with the slab it is not */
	servers[5].free_slabs--;
	assert_true(takes(1));
	assert_false(takes(5));
	servers[1].free_slabs = 0;
	assert_false(takes(1));
	servers[2].last_resort = true;
	assert_false(takes(2));
}

static void a_last_resort_neither_gives_nor_takes(void **state)
{
	(void)state;
	servers[0].free_slabs = 0;
	servers[0].last_resort = true;
	servers[1].free_slabs = 1000;
	servers[1].last_resort = true;
	assert_int_equal(moved(), 0);
	assert_int_not_equal(decide().from.index, 0);
}

/* What is slow is not filled up again by what placement would not do. */
static void slow_reads_count_as_they_do_for_placement(void **state)
{
	(void)state;
	servers[5].read_us = UINT32_MAX;
	servers[5].free_slabs += CHOOSE_SLOW_MAX_PPM / 1000;
	assert_int_equal(moved(), 0);
	servers[4].free_slabs -= 10;
	assert_int_equal(moved(), 0);
}

static void odd_figures_do_no_harm(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < SERVERS; i++)
		servers[i].total_slabs = 0;
	moved();
	servers[3] = (struct choose_server){ .index = 3, .own_slabs = 1 };
	moved();
	servers[4] = (struct choose_server){ .index = 4,
					     .total_slabs = UINT32_MAX,
					     .own_slabs = UINT32_MAX };
	moved();
}

/* Many clients move at once, and hear of it only then. */
static void moves_end_and_leave_servers_even(void **state)
{
	enum { CLIENTS = 50, TURNS = 400 };
	static uint32_t own[CLIENTS][SERVERS];
	uint32_t last = 0, least = UINT32_MAX, most = 0;

	(void)state;
	for (uint32_t i = 0; i < SERVERS; i++) {
		servers[i].total_slabs = 20000;
		servers[i].free_slabs = 20000;
		for (uint32_t c = 0; c < CLIENTS; c++) {
			own[c][i] = i < 4 ? 300 + c : 100;
			servers[i].free_slabs -= own[c][i];
		}
	}
	for (uint32_t turn = 0; turn < TURNS; turn++) {
		struct choose_server told[SERVERS];

		memcpy(told, servers, sizeof told);
		last = 0;
		for (uint32_t c = 0; c < CLIENTS; c++) {
			struct rebalance r = { .has_from = false };
			struct choose choice;
			uint32_t n, to;

			for (uint32_t i = 0; i < SERVERS; i++) {
				told[i].own_slabs = own[c][i];
				rebalance_offer(&r, &told[i]);
			}
			n = rebalance_slabs(&r, turn * CLIENTS + c);
			choose_begin(&choice, NULL, 0, turn * CLIENTS + c);
			for (uint32_t i = 0; i < SERVERS; i++) {
				if (rebalance_may_take(&r, &told[i]))
					choose_offer(&choice, &told[i]);
			}
			to = choose_end(&choice);
			if (!n || to == CHOOSE_NONE)
				continue;
			own[c][r.from.index] -= n;
			own[c][to] += n;
			servers[r.from.index].free_slabs += n;
			servers[to].free_slabs -= n;
			last += n;
		}
	}
	assert_int_equal(last, 0);
	for (uint32_t i = 0; i < SERVERS; i++) {
		uint32_t ppm = choose_fill_ppm(&servers[i], 0);

		least = ppm < least ? ppm : least;
		most = ppm > most ? ppm : most;
	}
	assert_in_range(most - least, 0, REBALANCE_WIDE_PPM + 1000);
}

#define test(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(nothing_moves_where_servers_are_about_as_full),
		test(the_fullest_server_with_slabs_of_the_client_gives),
		test(clients_together_move_what_is_too_much),
		test(only_servers_that_are_emptier_take),
		test(a_last_resort_neither_gives_nor_takes),
		test(slow_reads_count_as_they_do_for_placement),
		test(odd_figures_do_no_harm),
		test(moves_end_and_leave_servers_even),
	};

	return cmocka_run_group_tests_name("rebalance", tests, NULL, NULL);
}
