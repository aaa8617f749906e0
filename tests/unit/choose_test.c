#include "servers/choose.h"

#include "support.h"

#define SERVERS_MAX 200

static struct choose_server servers[SERVERS_MAX];
static uint32_t n_servers;

/* N servers without zones, all with FREE of 1000 slabs free. */
static void make_servers(uint32_t n, uint32_t free)
{
	n_servers = n;
	for (uint32_t i = 0; i < n; i++)
		servers[i] = (struct choose_server){ .index = i,
						     .free_slabs = free,
						     .total_slabs = 1000 };
}

/* The server for a slab with SHARDS. */
static uint32_t choose_beside(const struct choose_shard *shards, uint32_t n,
			      uint64_t seed)
{
	struct choose c;

	choose_begin(&c, shards, n, seed);
	for (uint32_t i = 0; i < n_servers; i++)
		choose_offer(&c, &servers[i]);
	return choose_end(&c);
}

static uint32_t choose_one(uint64_t seed)
{
	return choose_beside(NULL, 0, seed);
}

/* How often, of N choices with other seeds, SERVER is chosen. */
static uint32_t times_chosen(uint32_t server, uint32_t n)
{
	uint32_t times = 0;

	for (uint32_t seed = 0; seed < n; seed++)
		times += choose_one(choose_mix(seed)) == server;
	return times;
}

/* --- zones --- */

static uint64_t chance;

static uint32_t at_random(uint32_t below)
{
	return (uint32_t)(choose_mix(++chance) % below);
}

static void make_random_servers(uint32_t zones)
{
	n_servers = 1 + at_random(30);
	for (uint32_t i = 0; i < n_servers; i++) {
		uint32_t total = 1 + at_random(1000);

		servers[i] = (struct choose_server){
			.index = i,
			.total_slabs = total,
			.free_slabs = at_random(4) ? at_random(total + 1) : 0,
			.zone = at_random(zones + 1), /* 0 too */
			.own_slabs = at_random(2),
			.read_us = at_random(5000),
			.load_permille = at_random(1001),
			.last_resort = i == 0 && at_random(2),
		};
	}
}

/* A zone, or the server alone. */
static uint32_t domain(const struct choose_server *server)
{
	return server->zone ? server->zone : 1000 + server->index;
}

/* The domains of servers with room. */
static uint32_t count_domains(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < n_servers; i++) {
		bool counted =
			servers[i].free_slabs == 0 || servers[i].last_resort;

		for (uint32_t k = 0; k < i && !counted; k++)
			counted = servers[k].free_slabs &&
				  !servers[k].last_resort &&
				  domain(&servers[k]) == domain(&servers[i]);
		n += !counted;
	}
	return n;
}

static uint32_t count_with_room(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < n_servers; i++)
		n += servers[i].free_slabs > 0;
	return n;
}

static struct choose_shard shard_on(uint32_t server)
{
	return (struct choose_shard){ .server = server,
				      .zone = servers[server].zone };
}

/* Places N shards of a slab, as far as there are servers for them.  Returns how
 * many. */
static uint32_t place(struct choose_shard *shards, uint32_t n, uint64_t seed)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t server = choose_beside(shards, i, seed + i);

		if (server == CHOOSE_NONE)
			return i;
		shards[i] = shard_on(server);
	}
	return n;
}

static bool same_domain(const struct choose_shard *a,
			const struct choose_shard *b)
{
	return domain(&servers[a->server]) == domain(&servers[b->server]);
}

static void no_two_shards_are_in_a_zone_if_zones_suffice(void **state)
{
	struct choose_shard shards[6];

	(void)state;
	for (uint32_t round = 0; round < 20000; round++) {
		uint32_t wanted = 1 + at_random(6), n;

		make_random_servers(1 + at_random(8));
		n = place(shards, wanted, round * 100);
		/* All get a server, if as many have room. */
		assert_int_equal(n, wanted < count_with_room()
					    ? wanted
					    : count_with_room());
		for (uint32_t i = 0; i < n; i++) {
			assert_true(servers[shards[i].server].free_slabs > 0);
			for (uint32_t k = 0; k < i; k++) {
				assert_int_not_equal(shards[i].server,
						     shards[k].server);
				if (count_domains() >= wanted)
					assert_false(same_domain(&shards[i],
								 &shards[k]));
			}
		}
	}
}

/* The fault: with two zones, of which both have a shard, the twin of a shard
 * that moves got any server, also one in the zone of the other shard. */
static void a_shard_that_moves_stays_out_of_the_other_zones(void **state)
{
	(void)state;
	make_servers(4, 500);
	for (uint32_t i = 0; i < 4; i++)
		servers[i].zone = 1 + i % 2;
	servers[3].free_slabs = 1000;
	for (uint64_t seed = 0; seed < 100; seed++) {
		struct choose_shard shards[] = { shard_on(0), shard_on(1) };

		shards[0].gives_way = true;
		assert_int_equal(choose_beside(shards, 2, seed), 2);
	}
}

static void a_move_is_not_made_into_a_zone_with_a_shard(void **state)
{
	struct choose_shard shards[2];
	struct choose c;

	(void)state;
	make_servers(4, 500);
	for (uint32_t i = 0; i < 4; i++)
		servers[i].zone = 1 + i % 2;
	shards[0] = shard_on(0);
	shards[0].gives_way = true;
	shards[1] = shard_on(1);
	choose_begin(&c, shards, 2, 0);
	choose_apart(&c);
	choose_offer(&c, &servers[3]);
	assert_int_equal(choose_end(&c), CHOOSE_NONE);
	choose_offer(&c, &servers[2]);
	assert_int_equal(choose_end(&c), 2);
}

static void where_zones_do_not_suffice_another_server_does(void **state)
{
	struct choose_shard shards[3];

	(void)state;
	make_servers(3, 500);
	for (uint32_t i = 0; i < 3; i++)
		servers[i].zone = 7;
	assert_int_equal(place(shards, 3, 1), 3);
	assert_int_equal(choose_beside(shards, 3, 1), CHOOSE_NONE);
}

/* --- two choices --- */

static void the_only_server_with_room_is_found(void **state)
{
	(void)state;
	make_servers(SERVERS_MAX, 0);
	for (uint32_t i = 0; i < SERVERS_MAX; i++) {
		servers[i].free_slabs = 1;
		assert_int_equal(choose_one(i), i);
		servers[i].free_slabs = 0;
	}
	assert_int_equal(choose_one(0), CHOOSE_NONE);
}

static void of_two_servers_the_one_that_is_less_full_gets_the_slab(void **state)
{
	(void)state;
	make_servers(2, 500);
	assert_int_equal(times_chosen(0, 100), 100); /* the first of equals */
	servers[0].free_slabs = 498;
	assert_int_equal(times_chosen(1, 100), 100);
	/* by its part in use, not by what is free */
	servers[1] = (struct choose_server){ .index = 1,
					     .free_slabs = 60,
					     .total_slabs = 100 };
	assert_int_equal(times_chosen(1, 100), 100);
}

static void servers_are_drawn_by_their_size(void **state)
{
	uint32_t times[4] = { 0 };

	(void)state;
	make_servers(4, 500);
	servers[3].total_slabs = 3000;
	for (uint32_t seed = 0; seed < 60000; seed++) {
		struct choose c;

		choose_begin(&c, NULL, 0, choose_mix(seed));
		for (uint32_t i = 0; i < n_servers; i++)
			choose_offer(&c, &servers[i]);
		times[c.free.first.index]++;
		assert_int_not_equal(c.free.first.index, c.free.second.index);
	}
	for (uint32_t i = 0; i < 3; i++)
		assert_in_range(times[i], 9700, 10300);
	assert_in_range(times[3], 29600, 30400);
}

/* 10,000 slabs that are placed before the next report of what is free. */
static void a_server_that_joins_does_not_get_all_slabs(void **state)
{
	uint32_t times;

	(void)state;
	make_servers(100, 300);
	servers[42].free_slabs = 1000;
	times = times_chosen(42, 10000);
	/* Its part of all memory is 1 %: twice that. */
	assert_in_range(times, 150, 250);
}

static void choices_are_the_same_for_the_same_seed(void **state)
{
	(void)state;
	make_servers(100, 300);
	for (uint64_t seed = 0; seed < 100; seed++)
		assert_int_equal(choose_one(seed), choose_one(seed));
	assert_in_range(times_chosen(choose_one(1), 1000), 0, 50);
}

/* Slab after slab, each with three shards, into servers of unequal size. */
static void servers_fill_up_evenly(void **state)
{
	uint32_t least = UINT32_MAX, most = 0;

	(void)state;
	make_servers(100, 0);
	for (uint32_t i = 0; i < n_servers; i++) {
		servers[i].total_slabs = 1000u << i % 4;
		servers[i].free_slabs = servers[i].total_slabs;
		servers[i].zone = 1 + i / 10;
	}
	for (uint64_t slab = 0; slab < 100000; slab++) {
		struct choose_shard shards[3];

		assert_int_equal(place(shards, 3, choose_mix(slab)), 3);
		for (uint32_t i = 0; i < 3; i++)
			servers[shards[i].server].free_slabs--;
	}
	for (uint32_t i = 0; i < n_servers; i++) {
		uint32_t ppm = choose_fill_ppm(&servers[i], 0);

		least = ppm < least ? ppm : least;
		most = ppm > most ? ppm : most;
	}
	assert_in_range(most - least, 0, 20000);
}

/* --- cost --- */

static void slow_reads_count_as_a_little_fuller(void **state)
{
	(void)state;
	make_servers(2, 500);
	servers[0].read_us = 4 * CHOOSE_FAST_US;
	assert_int_equal(times_chosen(1, 100), 100);
	servers[1].free_slabs -= 2 * CHOOSE_SLOW_PPM / 1000 - 1;
	assert_int_equal(times_chosen(1, 100), 100);
	servers[1].free_slabs -= 2;
	assert_int_equal(times_chosen(0, 100), 100);
	/* ... and never as more than that */
	servers[0].read_us = UINT32_MAX;
	servers[1].free_slabs = 500 - CHOOSE_SLOW_MAX_PPM / 1000 - 1;
	assert_int_equal(times_chosen(0, 100), 100);
}

static void load_counts_as_a_little_fuller(void **state)
{
	(void)state;
	make_servers(2, 500);
	servers[0].load_permille = 500;
	servers[1].free_slabs -= CHOOSE_LOAD_PPM / 1000 / 2 - 1;
	assert_int_equal(times_chosen(1, 100), 100);
	servers[1].free_slabs -= 2;
	assert_int_equal(times_chosen(0, 100), 100);
	/* ... and never as more than that */
	servers[0].load_permille = UINT32_MAX;
	servers[1].free_slabs = 500 - CHOOSE_LOAD_PPM / 1000 - 1;
	assert_int_equal(times_chosen(0, 100), 100);
}

static void a_last_resort_comes_last(void **state)
{
	struct choose_shard shard;

	(void)state;
	make_servers(3, 1);
	servers[0].last_resort = true;
	servers[0].free_slabs = 1000;
	assert_int_equal(times_chosen(0, 100), 0);
	/* even where no zone is left */
	servers[1].zone = servers[2].zone = 5;
	shard = shard_on(1);
	assert_int_equal(choose_beside(&shard, 1, 0), 2);
	servers[2].free_slabs = 0;
	assert_int_equal(choose_beside(&shard, 1, 0), 0);
}

/* Free memory is reported before the total is, or more than the total. */
static void odd_figures_do_no_harm(void **state)
{
	(void)state;
	make_servers(2, 500);
	servers[0].total_slabs = 0;
	assert_int_equal(choose_fill_ppm(&servers[0], 0), 0);
	assert_int_equal(times_chosen(0, 100), 100);
	servers[0].free_slabs = 0;
	assert_int_equal(choose_fill_ppm(&servers[0], 0), 1000000);
	servers[0].free_slabs = servers[1].free_slabs = UINT32_MAX;
	servers[0].total_slabs = servers[1].total_slabs = UINT32_MAX;
	assert_int_equal(times_chosen(0, 100), 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_two_shards_are_in_a_zone_if_zones_suffice),
		cmocka_unit_test(
			a_shard_that_moves_stays_out_of_the_other_zones),
		cmocka_unit_test(
			where_zones_do_not_suffice_another_server_does),
		cmocka_unit_test(the_only_server_with_room_is_found),
		cmocka_unit_test(
			of_two_servers_the_one_that_is_less_full_gets_the_slab),
		cmocka_unit_test(servers_are_drawn_by_their_size),
		cmocka_unit_test(a_server_that_joins_does_not_get_all_slabs),
		cmocka_unit_test(choices_are_the_same_for_the_same_seed),
		cmocka_unit_test(servers_fill_up_evenly),
		cmocka_unit_test(slow_reads_count_as_a_little_fuller),
		cmocka_unit_test(load_counts_as_a_little_fuller),
		cmocka_unit_test(a_move_is_not_made_into_a_zone_with_a_shard),
		cmocka_unit_test(a_last_resort_comes_last),
		cmocka_unit_test(odd_figures_do_no_harm),
	};

	return cmocka_run_group_tests_name("choose", tests, NULL, NULL);
}
