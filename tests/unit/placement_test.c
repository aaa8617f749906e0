#include "io/plan.h"

#include "fake_servers.h"
#include "servers/placement.h"
#include "servers/session.h"
#include "support.h"

#include <errno.h>
#include <sched.h>

#define SERVERS 4

/* Rounds of placing: place.c's calls of slab_wait are linked to this. */
static atomic_uint rounds;

int __real_slab_wait(struct slab_table *table, struct slab *slab,
		     uint64_t deadline_ns);
int __wrap_slab_wait(struct slab_table *table, struct slab *slab,
		     uint64_t deadline_ns);

int __wrap_slab_wait(struct slab_table *table, struct slab *slab,
		     uint64_t deadline_ns)
{
	rounds++;
	return __real_slab_wait(table, slab, deadline_ns);
}

static int start(void **state)
{
	(void)state;
	fake_start(SERVERS, 2, 1000);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	fake_stop();
	return 0;
}

static void set_free(uint32_t machine, uint64_t slabs)
{
	atomic_store(&fake.engine.servers[machine].shared.free_bytes,
		     slabs * FAKE_SLAB_BYTES);
}

static void set_state(uint32_t machine, enum server_state state)
{
	server_set_state(&fake.engine.servers[machine], state);
}

/* The server that gets the first shard of the first slab, as a digit, or "-".
 */
static void assert_first(enum server_state state, const char *first)
{
	const struct server *server = placement_pick(
		&fake.engine, &fake.engine.slabs.slabs[0], 0, state);
	char got[] = "-";

	if (server)
		got[0] = (char)('0' + server->index);
	assert_string_equal(got, first);
}

/* The server that gets the second shard of the first slab. */
static uint32_t second(void)
{
	return placement_pick(&fake.engine, &fake.engine.slabs.slabs[0], 1,
			      SERVER_UP)
		->index;
}

/* Which of several servers it is: choose_test.c. */
static void figures_of_servers_are_looked_at(void **state)
{
	(void)state;
	set_state(0, SERVER_DOWN);
	set_state(1, SERVER_DOWN);
	assert_first(SERVER_UP, "2");
	atomic_store(&fake.engine.servers[2].shared.total_bytes, UINT64_C(2)
									 << 30);
	assert_first(SERVER_UP, "3");
	set_free(3, 1);
	atomic_store(&fake.engine.servers[3].shared.total_bytes,
		     4 * FAKE_SLAB_BYTES);
	assert_first(SERVER_UP, "2");
	set_free(2, 1 << 20);
	set_free(3, 1 << 20);
	atomic_store(&fake.engine.servers[2].shared.total_bytes, 0);
	server_took(&fake.engine.servers[2], NS_PER_S);
	assert_first(SERVER_UP, "3");
	atomic_store(&fake.engine.servers[2].shared.usual_ns, 0);
	atomic_store(&fake.engine.servers[3].shared.load_permille, 900);
	assert_first(SERVER_UP, "2");
	atomic_store(&fake.engine.servers[2].shared.load_permille, 1000);
	assert_first(SERVER_UP, "3");
}

static void only_servers_in_that_state_are_looked_at(void **state)
{
	(void)state;
	set_state(0, SERVER_DOWN);
	set_state(2, SERVER_RECOVERING);
	set_state(3, SERVER_DOWN);
	assert_first(SERVER_UP, "1");
	assert_first(SERVER_RECOVERING, "2");
}

static void one_without_room_for_a_slab_is_left_out(void **state)
{
	(void)state;
	set_free(1, 0);
	atomic_store(&fake.engine.servers[3].shared.free_bytes,
		     FAKE_SLAB_BYTES - 1);
	set_free(0, 0);
	assert_first(SERVER_UP, "2");
	set_free(2, 0);
	assert_first(SERVER_UP, "-");
}

static void set_zone(uint32_t machine, const char *zone)
{
	static const uint8_t incarnation[WIRE_INCARNATION_BYTES];

	server_set_identity(&fake.engine.servers[machine], zone, incarnation);
}

static void shards_go_to_other_servers_and_other_zones(void **state)
{
	(void)state;
	fake_map_slab(0, 0);
	assert_int_not_equal(second(), 0);
	set_zone(0, "rack1");
	set_zone(1, "rack1");
	set_zone(2, "rack1");
	assert_int_equal(second(), 3);
	/* A shard that is to be moved may stay in its zone. */
	set_free(3, 0);
	set_free(2, 0);
	assert_first(SERVER_UP, "1");
	/* No zone is left. */
	assert_int_equal(second(), 1);
	set_free(1, 0);
	assert_first(SERVER_UP, "-");
}

static void the_local_fallback_comes_last(void **state)
{
	(void)state;
	fake.engine.servers[1].kind = &session_fallback;
	set_free(1, 1 << 20);
	set_free(0, 1);
	set_free(2, 0);
	set_free(3, 0);
	assert_first(SERVER_UP, "0");
	set_free(0, 0);
	assert_first(SERVER_UP, "1");
}

/* --- a slab for somebody --- */

static struct slab *slab_at(uint64_t i)
{
	return &fake.engine.slabs.slabs[i];
}

static int place(uint64_t slab, uint64_t ms)
{
	return plan_make_live(&fake.engine, slab_at(slab), after_ms(ms));
}

static void a_live_slab_needs_nothing(void **state)
{
	(void)state;
	fake_map_slab(3, 1);
	assert_int_equal(place(3, 0), 0);
	assert_int_equal(slab_at(3)->shards[0].server, 1);
}

static void a_new_slab_goes_where_most_memory_is(void **state)
{
	(void)state;
	set_free(2, 1 << 20);
	for (uint32_t i = 0; i < SERVERS; i++)
		fake_session_start(i);
	assert_int_equal(place(0, LONG_MS), 0);
	assert_int_equal(slab_state(slab_at(0)), SLAB_LIVE);
	assert_int_equal(slab_at(0)->shards[0].server, 2);
}

static void the_next_one_is_asked_where_one_refuses(void **state)
{
	(void)state;
	atomic_store(&fake.sessions[0].full, true);
	atomic_store(&fake.sessions[1].full, true);
	for (uint32_t i = 0; i < SERVERS; i++)
		fake_session_start(i);
	assert_int_equal(place(0, LONG_MS), 0);
	assert_int_equal(slab_at(0)->shards[0].server, 2);
}

static void all_full_is_told_from_nobody_there(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < SERVERS; i++) {
		atomic_store(&fake.sessions[i].full, true);
		fake_session_start(i);
	}
	assert_int_equal(place(0, LONG_MS), -ENOSPC);
	assert_int_equal(slab_state(slab_at(0)), SLAB_UNMAPPED);
	for (uint32_t i = 0; i < SERVERS; i++)
		set_state(i, SERVER_DOWN);
	assert_int_equal(place(0, LONG_MS), -EIO);
	assert_int_equal(slab_state(slab_at(0)), SLAB_UNMAPPED);
}

static void
a_session_that_does_not_answer_is_waited_for_until_the_deadline(void **state)
{
	struct slab_shard *asked;

	(void)state;
	for (uint32_t i = 1; i < SERVERS; i++)
		set_free(i, 0);
	assert_int_equal(place(5, 20), -ETIMEDOUT);
	assert_int_equal(slab_state(slab_at(5)), SLAB_ALLOCATING);
	asked = server_next_ask(&fake.engine.servers[0]);
	assert_ptr_equal(slab_of_shard(&fake.engine.slabs, asked), slab_at(5));
	assert_null(server_next_ask(&fake.engine.servers[0]));
}

static void *placement_first(void *arg)
{
	*(int *)arg = place(0, LONG_MS);
	return NULL;
}

/* Waits until the session of the first server is asked. */
static struct slab_shard *await_ask(void)
{
	uint64_t deadline_ns = after_ms(LONG_MS);
	struct slab_shard *asked;

	while (!(asked = server_next_ask(&fake.engine.servers[0]))) {
		assert_true(clock_left_ns(deadline_ns) > 0);
		sched_yield();
	}
	return asked;
}

/* With one server only, whose slab is UNMAPPED again before who asked for it
 * got to run, after GENERATIONS of it were LIVE. */
static void placement_twice(uint32_t generations)
{
	pthread_t thread;
	struct slab_shard *asked;
	int rc = -1;

	for (uint32_t i = 1; i < SERVERS; i++)
		set_state(i, SERVER_DOWN);
	thread = thread_start(placement_first, &rc);
	asked = await_ask();
	atomic_fetch_add(&slab_of_shard(&fake.engine.slabs, asked)->generation,
			 generations);
	atomic_store(&asked->state, SHARD_NONE);
	slab_cancel_alloc(&fake.engine.slabs,
			  slab_of_shard(&fake.engine.slabs, asked));
	assert_ptr_equal(slab_of_shard(&fake.engine.slabs, await_ask()),
			 slab_of_shard(&fake.engine.slabs, asked));
	placement_answer(&fake.engine, asked, &(struct remote_slab){ 0 });
	thread_end(thread);
	assert_int_equal(rc, 0);
}

/* Allocated, and freed as it was empty: that was told as no space. */
static void a_slab_that_is_gone_before_it_was_seen_is_no_refusal(void **state)
{
	(void)state;
	placement_twice(1);
}

/* It did not answer, and is back with room. */
static void a_server_that_is_back_is_asked_again(void **state)
{
	(void)state;
	placement_twice(0);
}

/* A repairer's shard whose server was lost before the repairer gave it back:
 * another one has been asked for it. */
static void a_shard_that_was_lost_meanwhile_is_not_given_back(void **state)
{
	struct slab_shard *shard = &fake.engine.slabs.slabs[0].shards[0];
	struct server *server = &fake.engine.servers[1];

	(void)state;
	shard->server = server->index;
	atomic_store(&shard->state, SHARD_ASKED);
	placement_give_back(&fake.engine, shard, SHARD_SPARE);
	assert_int_equal(server->locked.n_given_back, 0);
	assert_int_equal(shard_state(shard), SHARD_ASKED);
	atomic_store(&shard->state, SHARD_NONE);
}

#define THREADS 6

static _Atomic unsigned failed;

static void *placement_all(void *arg)
{
	(void)arg;
	for (uint64_t i = 0; i < FAKE_SLABS; i++) {
		if (place(i, LONG_MS))
			atomic_fetch_add(&failed, 1);
	}
	return NULL;
}

static void many_that_want_a_slab_get_one(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	for (uint32_t i = 0; i < SERVERS; i++)
		fake_session_start(i);
	for (int i = 0; i < THREADS; i++)
		threads[i] = thread_start(placement_all, NULL);
	for (int i = 0; i < THREADS; i++)
		thread_end(threads[i]);
	assert_int_equal(atomic_load(&failed), 0);
	assert_int_equal(fake.n_slabs, FAKE_SLABS);
}

#define with_servers(test) cmocka_unit_test_setup_teardown(test, start, stop)

/* The fault: half a million rounds a second, in a real-time thread.  The
 * repairer asked the only server with room for a shard of this slab before it
 * was lost, and the server has not answered yet. */
static void who_cannot_ask_yet_sleeps(void **state)
{
	struct slab *slab = &fake.engine.slabs.slabs[0];
	struct slab_shard *shard;
	uint64_t begin_ns;
	int rc;

	(void)state;
	for (uint32_t i = 1; i < SERVERS; i++)
		set_free(i, 0);
	assert_true(slab_begin_alloc(slab));
	slab_finish_alloc(&fake.engine.slabs, slab);
	shard = placement_ask_for_repair(&fake.engine, slab, 0, NULL);
	assert_non_null(shard);
	assert_true(slab_begin_free(slab));
	slab_finish_close(&fake.engine.slabs, slab, SLAB_UNMAPPED);

	begin_ns = clock_now_ns();
	rounds = 0;
	rc = plan_make_live(&fake.engine, slab, after_ms(200));
	/* One a millisecond, and one without a pause to begin with. */
	assert_in_range(rounds, 2, (clock_now_ns() - begin_ns) / NS_PER_MS + 2);
	assert_int_equal(rc, -ENOSPC);

	/* It answers, the repairer has no use for that, and then it is asked.
	 */
	fake_answer_asks(0);
	assert_int_equal(shard_state(shard), SHARD_SPARE);
	placement_give_back(&fake.engine, shard, SHARD_SPARE);
	fake_session_start(0);
	assert_int_equal(plan_make_live(&fake.engine, slab, after_ms(LONG_MS)),
			 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_servers(figures_of_servers_are_looked_at),
		with_servers(only_servers_in_that_state_are_looked_at),
		with_servers(one_without_room_for_a_slab_is_left_out),
		with_servers(shards_go_to_other_servers_and_other_zones),
		with_servers(the_local_fallback_comes_last),
		with_servers(a_live_slab_needs_nothing),
		with_servers(a_new_slab_goes_where_most_memory_is),
		with_servers(the_next_one_is_asked_where_one_refuses),
		with_servers(who_cannot_ask_yet_sleeps),
		with_servers(all_full_is_told_from_nobody_there),
		with_servers(
			a_session_that_does_not_answer_is_waited_for_until_the_deadline),
		with_servers(
			a_slab_that_is_gone_before_it_was_seen_is_no_refusal),
		with_servers(a_server_that_is_back_is_asked_again),
		with_servers(a_shard_that_was_lost_meanwhile_is_not_given_back),
		with_servers(many_that_want_a_slab_get_one),
	};

	return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
