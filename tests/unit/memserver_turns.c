/* Sessions that ask for slabs at the same time take turns: counted in slabs
 * that were granted, not in time. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "grants/grant.h"
#include "grants/held.h"
#include "session/release.h"
#include "session_server.h"

static int setup(void **state)
{
	server_slabs = 64;
	return server_setup(state);
}

static int setup_small(void **state)
{
	server_slabs = 4;
	return server_setup(state);
}

static int teardown(void **state)
{
	end_all_sessions();
	while (server.sessions.count)
		ev_run(server.loop, EVRUN_ONCE);
	return server_teardown(state);
}

static void ask(struct session *session, uint64_t first, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		grant_slab(&session->owner, (uint32_t)(first + i), first + i);
}

static void await_slabs(const struct session *session, uint32_t n)
{
	while (session->owner.slab_count < n)
		ev_run(server.loop, EVRUN_ONCE);
}

static void await_grants(const struct session *session)
{
	while (session->owner.granted)
		ev_run(server.loop, EVRUN_ONCE);
}

static void free_one(struct session *session)
{
	struct slab *slab = TAILQ_FIRST(&session->owner.slabs);

	assert_int_equal(session_free_slab(session, slab->number), 0);
}

/* One asks for much at a time; another's single wish comes next. */
static void who_asks_for_much_does_not_hold_up_others(void **state)
{
	struct session *greedy = open_session(WIRE_TRANSPORT_TCP);
	struct session *modest = open_session(WIRE_TRANSPORT_TCP);

	(void)state;
	ask(greedy, 0, 50);
	ask(modest, 0, 1);
	await_slabs(modest, 1);
	assert_in_range(greedy->owner.slab_count, 0, 2);
	/* and so it goes on */
	ask(modest, 1, 3);
	await_slabs(modest, 4);
	assert_in_range(greedy->owner.slab_count, 0, 6);
	await_grants(greedy);
	assert_int_equal(greedy->owner.slab_count, 50);
}

/* Freeing and asking again gives no better place. */
static void who_asks_again_goes_behind(void **state)
{
	struct session *loops = open_session(WIRE_TRANSPORT_TCP);
	struct session *waits = open_session(WIRE_TRANSPORT_TCP);
	unsigned rounds = 0;

	(void)state;
	ask(loops, 0, 8);
	await_slabs(loops, 8);
	ask(loops, 8, 8);
	ask(waits, 0, 4);
	for (uint64_t label = 16; waits->owner.slab_count < 4; label++) {
		uint32_t before = loops->owner.slab_count;

		while (loops->owner.slab_count == before &&
		       waits->owner.slab_count < 4)
			ev_run(server.loop, EVRUN_ONCE);
		free_one(loops);
		ask(loops, label, 1);
		rounds++;
	}
	assert_in_range(rounds, 1, 6);
}

/* All slabs are granted, and one comes back: the first that asked gets it. */
static void what_comes_back_goes_to_the_first(void **state)
{
	struct session *loops = open_session(WIRE_TRANSPORT_TCP);
	struct session *waits = open_session(WIRE_TRANSPORT_TCP);

	(void)state;
	for (uint64_t i = 0; i < 20; i++) {
		ask(loops, 100 * i, 4);
		await_slabs(loops, 4);
		free_one(loops);
		ask(waits, i, 1);
		ask(loops, 100 * i + 50, 1);
		await_grants(waits);
		await_grants(loops);
		assert_int_equal(waits->owner.slab_count, 1);
		assert_int_equal(loops->owner.slab_count, 3);
		free_one(waits);
		while (loops->owner.slab_count)
			free_one(loops);
	}
}

/* Neither does the stock, which is at hand, go to one that comes later. */
static void the_stock_is_not_for_latecomers(void **state)
{
	struct session *early = open_session(WIRE_TRANSPORT_TCP);
	struct session *late = open_session(WIRE_TRANSPORT_TCP);

	(void)state;
	ask(early, 0, 2);
	/* as if it had been filled just now */
	server.pool.stock_target = 1;
	slab_stock_fill(&server.pool);
	while (!slab_pool_figures(&server.pool).stock)
		;
	ask(late, 0, 1);
	assert_int_equal(late->owner.slab_count, 0);
	await_slabs(late, 1);
	server.pool.stock_target = 0;
	await_grants(early);
	assert_int_equal(early->owner.slab_count, 2);
}

/* What nobody hears of any more is not prepared first. */
static void the_wishes_of_one_that_ended_are_dropped(void **state)
{
	struct session *ends = open_session(WIRE_TRANSPORT_TCP);
	struct session *stays = open_session(WIRE_TRANSPORT_TCP);
	unsigned turns = 0;

	(void)state;
	ask(ends, 0, 50);
	ask(stays, 0, 1);
	session_end(ends, "test");
	await_slabs(stays, 1);
	/* all but the one that was under way: it never had memory */
	while (server.sessions.count > 1) {
		ev_run(server.loop, EVRUN_ONCE);
		turns++;
	}
	assert_in_range(server.pool.touched, 1, 2);
	assert_in_range(turns, 0, 2);
}

/* A session that ends with many slabs gives back some in each turn of the loop,
 * so that the others have theirs. */
static void a_large_session_ends_in_several_turns(void **state)
{
	const unsigned slabs = 2 * HELD_BATCH - 4;
	struct session *large = open_session(WIRE_TRANSPORT_TCP);

	(void)state;
	ask(large, 0, slabs);
	await_slabs(large, slabs);
	session_end(large, "test");
	assert_int_equal(slab_pool_figures(&server.pool).used,
			 slabs - HELD_BATCH);
	assert_int_equal(server.sessions.count, 1);
	ev_run(server.loop, EVRUN_ONCE);
	while (server.sessions.count)
		ev_run(server.loop, EVRUN_ONCE);
	assert_int_equal(slab_pool_figures(&server.pool).used, 0);
}

static void a_drain_refuses_all_that_wait(void **state)
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);

	(void)state;
	ask(session, 0, 20);
	release_drain(&server.sessions, RELEASE_DRAINING);
	await_grants(session);
	assert_int_equal(replies, 21);
	assert_int_equal(last_reply.error.code, WIRE_E_NO_MEMORY);
	assert_int_equal(server.pool.touched, 1);
	assert_int_equal(session->owner.slab_count, 0);
}

int main(void)
{
#define TEST(f)	      cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEST_SMALL(f) cmocka_unit_test_setup_teardown(f, setup_small, teardown)
	const struct CMUnitTest tests[] = {
		TEST(who_asks_for_much_does_not_hold_up_others),
		TEST(who_asks_again_goes_behind),
		TEST_SMALL(what_comes_back_goes_to_the_first),
		TEST(the_stock_is_not_for_latecomers),
		TEST(the_wishes_of_one_that_ended_are_dropped),
		TEST(a_drain_refuses_all_that_wait),
		TEST(a_large_session_ends_in_several_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
