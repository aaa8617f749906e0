/* What becomes of a request when transfers fail. */
#include "fake_servers.h"

#include <errno.h>
#include <limits.h>

#define SERVERS 2
#define PAGES	48 /* slabs 0, 1 and 2 */

/* A piece of a request, with pages in each of these slabs. */
#define PIECE	    8
#define PIECE_PAGES LANE_PAGES
#define PIECE_SENT  (sent + PIECE * PAGE_BYTES)
#define SHORT_MS    150

static char sent[PAGES * PAGE_BYTES], got[PAGES * PAGE_BYTES];
static const char zeros[PAGE_BYTES];

/* Called by a request just before it enters a slab: request.c's calls of
 * slab_enter are linked to this. */
static void (*before_enter)(struct slab *slab);

enum slab_state __real_slab_enter(struct slab *slab);
enum slab_state __wrap_slab_enter(struct slab *slab);

enum slab_state __wrap_slab_enter(struct slab *slab)
{
	void (*hook)(struct slab * slab) = before_enter;

	if (hook) {
		before_enter = NULL;
		hook(slab);
	}
	return __real_slab_enter(slab);
}

static void start_with(uint64_t timeout_ms)
{
	fake_start(SERVERS, 2, timeout_ms);
	for (uint64_t slab = 0; slab < 3; slab++)
		fake_map_slab(slab, (uint32_t)slab % SERVERS);
	fake_fill(sent, 0, PAGES, 1);
	memset(got, 0xee, sizeof got);
	before_enter = NULL;
}

static int start(void **state)
{
	(void)state;
	start_with(LONG_MS);
	return 0;
}

/* For tests in which a request runs into its deadline. */
static int start_short(void **state)
{
	(void)state;
	start_with(SHORT_MS);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	assert_counts_right();
	fake_stop();
	return 0;
}

static void fail_next(uint32_t machine, unsigned skip, unsigned times,
		      int status)
{
	pthread_mutex_lock(&fake.lock);
	fake.fault = (struct fake_fault){ machine, skip, times, status };
	pthread_mutex_unlock(&fake.lock);
	fake_clear_log();
}

static enum page_state state_of(uint64_t page)
{
	return pagemap_get(&fake.engine.pages, page);
}

static enum server_state state_of_server(uint32_t machine)
{
	return server_state(&fake.engine.servers[machine]);
}

static void assert_states(uint64_t page, uint64_t n, enum page_state wanted)
{
	for (uint64_t i = page; i < page + n; i++)
		assert_int_equal(state_of(i), wanted);
}

/* --- and nobody repairs the server --- */

static void a_failed_read_is_never_a_success(void **state)
{
	(void)state;
	assert_int_equal(fake_write(sent, 0, 16), 0);
	fail_next(0, 0, 1, -ECONNRESET);
	assert_int_equal(fake_read(got, 0, 16), -EIO);
	assert_int_equal(state_of_server(0), SERVER_RECOVERING);
	assert_int_equal(state_of_server(1), SERVER_UP);
	assert_states(0, 16, PAGE_PRESENT);
	assert_int_equal(atomic_load(&fake.engine.counters.read_errors), 1);
	assert_int_equal(atomic_load(&fake.engine.counters.write_errors), 0);
	assert_int_not_equal(atomic_load(&fake.engine.counters.last_error_ns),
			     0);
}

static void a_failed_write_is_never_a_success(void **state)
{
	(void)state;
	fail_next(1, 0, 1, -ECONNABORTED);
	assert_int_equal(fake_write(sent, 16, 16), -EIO);
	assert_int_equal(state_of_server(1), SERVER_RECOVERING);
}

/* The fault: a queue pair that did not flush closed the lane's channel, and
 * every server that was addressed over it was broken. */
static void what_was_not_sent_is_no_servers_fault(void **state)
{
	(void)state;
	fail_next(0, 0, 3, XFER_UNSENT);
	assert_int_equal(fake_write(sent, 0, PAGES), 0);
	fail_next(1, 0, 3, XFER_UNSENT);
	assert_int_equal(fake_read(got, 0, PAGES), 0);
	assert_memory_equal(got, sent, sizeof sent);
	for (uint32_t machine = 0; machine < SERVERS; machine++)
		assert_int_equal(state_of_server(machine), SERVER_UP);
}

/* Nothing left this machine: what the servers have is what they had. */
static void what_is_never_sent_loses_no_page(void **state)
{
	(void)state;
	assert_int_equal(fake_write(sent, 0, 16), 0);
	fail_next(0, 0, UINT_MAX, XFER_UNSENT);
	assert_int_equal(fake_write(sent + PAGE_BYTES, 0, 1), -EIO);
	assert_int_equal(state_of_server(0), SERVER_UP);
	fail_next(0, 0, 0, 0);
	assert_states(0, 16, PAGE_PRESENT);
	assert_int_equal(fake_read(got, 0, 16), 0);
	assert_memory_equal(got, sent, 16 * PAGE_BYTES);
}

static void one_failure_among_many_fails_the_request(void **state)
{
	(void)state;
	assert_int_equal(fake_write(sent, 0, PAGES), 0);
	for (uint32_t machine = 0; machine < SERVERS; machine++) {
		fail_next(machine, machine == 0, 1, -ECONNRESET);
		assert_int_equal(fake_read(got, 0, PAGES), -EIO);
		fake_repair(machine);
	}
}

static void a_write_that_failed_for_good_loses_what_was_there(void **state)
{
	(void)state;
	/* Pages 16 to 23 are PRESENT, 24 to 31 not yet. */
	assert_int_equal(fake_write(sent + 16 * PAGE_BYTES, 16, 8), 0);
	fail_next(1, 0, 1, -ECONNRESET);
	assert_int_equal(fake_write(sent, 16, 16), -EIO);
	assert_states(16, 8, PAGE_LOST);
	assert_states(24, 8, PAGE_ABSENT);
}

static void a_lost_page_is_an_error_until_it_is_written(void **state)
{
	(void)state;
	assert_int_equal(fake_write(sent, 16, 8), 0);
	fail_next(1, 0, 1, -ETIMEDOUT);
	assert_int_equal(fake_write(sent, 16, 8), -EIO);
	fake_repair(1);
	fake_clear_log();
	assert_int_equal(fake_read(got, 16, 1), -EIO);
	assert_int_equal(fake_read(got, 10, 10), -EIO);
	assert_int_equal(fake.n_sent, 0);
	assert_int_equal(fake_write(sent, 16, 4), 0);
	assert_int_equal(fake_read(got, 16, 4), 0);
	assert_memory_equal(got, sent, 4 * PAGE_BYTES);
	engine_discard(&fake.engine, 4 * PAGE_BYTES, 20 * PAGE_BYTES);
	assert_int_equal(fake_read(got, 16, 8), 0);
}

static void what_a_failed_request_did_write_stays(void **state)
{
	(void)state;
	/* Slab 0 is on server 0, slab 1 on the one that fails. */
	fail_next(1, 0, 1, -ECONNRESET);
	assert_int_equal(fake_write(PIECE_SENT, PIECE, PIECE_PAGES), -EIO);
	assert_states(PIECE, 8, PAGE_PRESENT);
	assert_states(16, 8, PAGE_ABSENT);
	assert_int_equal(fake_read(got, PIECE, 8), 0);
	assert_memory_equal(got, PIECE_SENT, 8 * PAGE_BYTES);
}

static void a_write_that_was_never_sent_loses_nothing(void **state)
{
	(void)state;
	assert_int_equal(fake_write(sent, 16, 16), 0);
	server_break(&fake.engine.servers[1], "the test breaks it");
	fake_clear_log();
	assert_int_equal(fake_write(sent, 16, 16), -EIO);
	assert_int_equal(fake.n_sent, 0);
	assert_states(16, 16, PAGE_PRESENT);
}

static void without_a_free_lane_there_is_an_error_at_the_deadline(void **state)
{
	struct lane *lanes[2];

	(void)state;
	assert_int_equal(fake_write(sent, 0, 1), 0);
	for (int i = 0; i < 2; i++)
		lanes[i] = lane_get(&fake.engine.lanes, LANE_READ, after_ms(0));
	assert_int_equal(fake_read(got, 0, 1), -EIO);
	/* What needs no server needs no lane. */
	assert_int_equal(fake_read(got, 1, 1), 0);
	assert_int_equal(fake_write(zeros, 0, 1), 0);
	assert_int_equal(fake_read(got, 0, 1), 0);
	for (int i = 0; i < 2; i++)
		lane_put(&fake.engine.lanes, lanes[i], LANE_READ);
}

/* A device did not flush, and may still write to the memory of the lane that is
 * taken first. */
static void a_request_leaves_a_lane_whose_memory_is_in_use(void **state)
{
	struct lane_pool *pool = &fake.engine.lanes;

	(void)state;
	fake.closed = pool->free->channels[0];
	assert_int_equal(fake_write(sent, 0, 16), 0);
	assert_int_equal(pool->n_parked, 1);
	assert_int_equal(pool->n_writers, 0);
	assert_int_equal(fake_read(got, 0, 16), 0);
	assert_memory_equal(got, sent, 16 * PAGE_BYTES);
	fake.closed = NULL;
	lane_reap(pool, false);
	assert_int_equal(pool->n_parked, 0);
	assert_int_equal(pool->n_free, 2);
}

/* No other lane is free, so the request waits for its own. */
static void a_lane_whose_memory_is_in_use_is_not_used(void **state)
{
	struct lane_pool *pool = &fake.engine.lanes;
	struct lane *other = lane_get(pool, LANE_READ, 0);

	(void)state;
	assert_int_equal(fake_write(sent, 0, 1), 0);
	fake.closed = pool->free->channels[0];
	assert_int_equal(fake_read(got, 0, 1), -EIO);
	assert_int_equal(fake_write(sent, 0, 1), -EIO);
	fake.closed = NULL;
	lane_put(pool, other, LANE_READ);
	assert_int_equal(fake_read(got, 0, 1), 0);
}

/* Little time is left of a request that waited long: a server is not given up
 * because it does not answer in that time. */
static void a_request_that_comes_too_late_breaks_no_server(void **state)
{
	(void)state;
	assert_int_equal(fake_write(sent, 0, 16), 0);
	atomic_store(&fake.sessions[0].silent, true);
	fake_clear_log();
	assert_int_equal(engine_read_until(&fake.engine, got, PAGE_BYTES, 0,
					   after_ms(LONG_MS / 24)),
			 -EIO);
	assert_int_equal(engine_write_until(&fake.engine, sent, PAGE_BYTES, 0,
					    after_ms(LONG_MS / 24)),
			 -EIO);
	assert_int_equal(fake.n_sent, 0);
	assert_int_equal(state_of_server(0), SERVER_UP);
	assert_states(0, 16, PAGE_PRESENT);
	atomic_store(&fake.sessions[0].silent, false);
	assert_int_equal(fake_read(got, 0, 16), 0);
	assert_memory_equal(got, sent, 16 * PAGE_BYTES);
}

/* --- what no repetition helps --- */

static void a_refusal_is_an_error_at_once(void **state)
{
	(void)state;
	assert_int_equal(fake_write(sent, 0, 16), 0);
	fail_next(0, 0, 1, -EREMOTEIO);
	assert_int_equal(fake_read(got, 0, 16), -EIO);
	assert_int_equal(fake.n_sent, 1);
	assert_int_equal(state_of_server(0), SERVER_RECOVERING);
}

/* A server is given shard of a request's time to answer one try. */
static void a_try_without_an_answer_is_repeated(void **state)
{
	(void)state;
	fake_session_start(0);
	fail_next(0, 0, 1, -ETIMEDOUT);
	assert_int_equal(fake_write(sent, 0, 16), 0);
	assert_int_equal(fake.n_sent, 2);
	assert_states(0, 16, PAGE_PRESENT);
}

static void a_refusal_counts_for_more_than_a_broken_link(void **state)
{
	(void)state;
	assert_int_equal(fake_write(sent, 0, PAGES), 0);
	fake_session_start(0);
	fake_session_start(1);
	/* Slab 0's link is broken and would be repaired: slab 1's read is
	 * refused all the same. */
	fake_unlink(0);
	fake_link_up(0);
	((struct fake_link *)fake.engine.lanes.free->links[0].link)->aborted =
		true;
	fail_next(1, 0, 1, -EREMOTEIO);
	assert_int_equal(fake_read(got, PIECE, PIECE_PAGES), -EIO);
	assert_int_equal(fake.n_sent, 2);
}

static void no_room_is_told_as_no_space(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < SERVERS; i++) {
		atomic_store(&fake.sessions[i].full, true);
		fake_session_start(i);
	}
	assert_int_equal(fake_write(sent, 60, 2), -ENOSPC);
	assert_states(60, 2, PAGE_ABSENT);
	/* What has its slab is not touched by that. */
	assert_int_equal(fake_write(sent, 0, PAGES), 0);
}

static void no_server_is_an_error(void **state)
{
	(void)state;
	fake_lose(0);
	fake_lose(1);
	assert_int_equal(fake_write(sent, 60, 2), -EIO);
	assert_int_equal(fake_write(sent, 0, 2), -EIO);
}

/* --- and the server recovers --- */

static void a_read_is_repeated_after_the_repair(void **state)
{
	(void)state;
	assert_int_equal(fake_write(sent, 0, PAGES), 0);
	fake_session_start(0);
	fail_next(0, 0, 1, -ECONNRESET);
	assert_int_equal(fake_read(got, PIECE, PIECE_PAGES), 0);
	assert_memory_equal(got, PIECE_SENT, PIECE_PAGES * PAGE_BYTES);
	assert_int_equal(fake.n_sent, 4);
	assert_int_equal(state_of_server(0), SERVER_UP);
}

static void a_write_is_repeated_after_the_repair(void **state)
{
	(void)state;
	fake_session_start(0);
	fake_session_start(1);
	fail_next(1, 0, 1, -ECONNABORTED);
	assert_int_equal(fake_write(sent, 0, PAGES), 0);
	assert_states(0, PAGES, PAGE_PRESENT);
	assert_int_equal(fake_read(got, 0, PAGES), 0);
	assert_memory_equal(got, sent, sizeof sent);
}

static void repetition_goes_on_while_repairs_do(void **state)
{
	(void)state;
	fake_session_start(0);
	fail_next(0, 0, 5, -ECONNRESET);
	assert_int_equal(fake_write(sent, 0, 16), 0);
	fake_assert_stored(0, sent, 16);
	assert_int_equal(fake.n_sent, 6);
}

/* The test is server 0's session here. */
static void *write_a_slab(void *arg)
{
	*(int *)arg = fake_write(sent, 0, 16);
	return NULL;
}

static unsigned transfers(void)
{
	unsigned n;

	pthread_mutex_lock(&fake.lock);
	n = (unsigned)fake.n_sent;
	pthread_mutex_unlock(&fake.lock);
	return n;
}

static void nothing_is_repeated_before_the_server_is_up(void **state)
{
	int rc = 1;
	pthread_t thread;

	(void)state;
	fail_next(0, 0, 1, -ECONNRESET);
	thread = thread_start(write_a_slab, &rc);
	while (state_of_server(0) == SERVER_UP)
		sleep_ms(1);
	fake_unlink(0); /* ends when the request has let go of its link */
	wait_until_asleep();
	assert_int_equal(transfers(), 1);
	fake_link_up(0);
	wait_until_asleep();
	assert_int_equal(transfers(), 1);
	server_set_state(&fake.engine.servers[0], SERVER_UP);
	thread_end(thread);
	assert_int_equal(rc, 0);
	assert_int_equal(transfers(), 2);
}

/* --- and the server is lost --- */

static void a_server_that_is_lost_takes_its_pages_along(void **state)
{
	(void)state;
	assert_int_equal(fake_write(sent, 0, PAGES), 0);
	fake_lose(1);
	assert_states(16, 16, PAGE_LOST);
	assert_int_equal(fake_read(got, 16, 1), -EIO);
	assert_int_equal(fake_read(got, 0, PAGES), -EIO);
	assert_int_equal(fake_read(got, 0, 16), 0);
	assert_memory_equal(got, sent, 16 * PAGE_BYTES);
}

static void a_write_after_a_loss_goes_to_another_server(void **state)
{
	(void)state;
	assert_int_equal(fake_write(sent, 16, 16), 0);
	fake_session_start(0);
	fake_lose(1);
	assert_int_equal(fake_write(sent, 16, 8), 0);
	assert_int_equal(fake.engine.slabs.slabs[1].shards[0].server, 0);
	assert_int_equal(fake_read(got, 16, 8), 0);
	assert_memory_equal(got, sent, 8 * PAGE_BYTES);
	assert_states(24, 8, PAGE_LOST);
}

static void a_write_that_waits_for_a_lost_server_goes_elsewhere(void **state)
{
	int rc = 1;
	pthread_t thread;

	(void)state;
	fake_session_start(1);
	fail_next(0, 0, 1, -ECONNRESET);
	thread = thread_start(write_a_slab, &rc);
	while (state_of_server(0) == SERVER_UP)
		sleep_ms(1);
	fake_lose(0);
	thread_end(thread);
	assert_int_equal(rc, 0);
	assert_int_equal(fake.engine.slabs.slabs[0].shards[0].server, 1);
	fake_assert_stored(0, sent, 16);
}

static void *lose_server_1(void *arg)
{
	fake_lose(1);
	atomic_store((atomic_bool *)arg, true);
	return NULL;
}

static void a_lost_slab_is_given_up_only_when_nobody_is_in(void **state)
{
	struct slab *slab = &fake.engine.slabs.slabs[1];
	atomic_bool lost = false;
	pthread_t thread;

	(void)state;
	assert_int_equal(fake_write(sent, 16, 4), 0);
	assert_int_equal(slab_enter(slab), SLAB_LIVE);
	thread = thread_start(lose_server_1, &lost);
	wait_until_asleep();
	assert_false(atomic_load(&lost));
	assert_int_equal(slab_state(slab), SLAB_CLOSING);
	assert_states(16, 4, PAGE_PRESENT);
	slab_leave(slab);
	thread_end(thread);
	assert_int_equal(slab_state(slab), SLAB_UNMAPPED);
	assert_states(16, 4, PAGE_LOST);
}

/* The server is lost, and the slab is live again by a write of another of its
 * pages, all between a read's look at the page map and its entering. */
static void lose_and_map_anew(struct slab *slab)
{
	(void)slab;
	fake_lose(1);
	fake_map_slab(1, 0);
	fake_write(sent, 31, 1);
}

static void
a_read_takes_nothing_from_a_slab_that_came_after_a_loss(void **state)
{
	(void)state;
	assert_int_equal(fake_write(sent, 16, 4), 0);
	before_enter = lose_and_map_anew;
	assert_int_equal(fake_read(got, 16, 4), -EIO);
}

/* --- with two copies, on servers 0 and 1, and on 1 and 2 --- */

static int start_copies(void **state)
{
	(void)state;
	fake_start_copies(3, 2, LONG_MS, 2, 0, 0);
	for (uint32_t i = 0; i < 3; i++)
		fake_session_start(i);
	fake_map_slab(0, 0);
	fake_map_slab(1, 1);
	fake_fill(sent, 0, PAGES, 1);
	memset(got, 0xee, sizeof got);
	before_enter = NULL;
	return 0;
}

static void write_without(uint32_t machine, uint64_t page, uint64_t n)
{
	struct server *server = &fake.engine.servers[machine];

	atomic_store(&fake.sessions[machine].no_repair, true);
	server_break(server, "the test");
	assert_int_equal(fake_write(sent + page * PAGE_BYTES, page, n), 0);
	atomic_store(&fake.sessions[machine].no_repair, false);
	assert_int_equal(server_wait(server, after_ms(LONG_MS)), 0);
}

static void write_the_first_page(struct slab *slab)
{
	(void)slab;
	write_without(0, 14, 1);
}

static void at_the_second_slab(struct slab *slab)
{
	(void)slab;
	before_enter = write_the_first_page;
}

/* Two pages were on the same server when the read was planned, and are on two
 * when it is carried out. */
static void a_read_is_planned_anew_where_its_pages_went_apart(void **state)
{
	(void)state;
	assert_int_equal(fake_write(sent + 16 * PAGE_BYTES, 16, 1), 0);
	write_without(1, 14, 2);
	before_enter = at_the_second_slab;
	assert_int_equal(fake_read(got, 14, 3), 0);
	assert_memory_equal(got, sent + 14 * PAGE_BYTES, 3 * PAGE_BYTES);
}

/* As a reader does that got wrong bytes from one server, and then the other. */
static void mark_both_stale(struct slab *slab)
{
	(void)slab;
	slab = &fake.engine.slabs.slabs[0];
	shard_mark(&slab->shards[0], 14, 1, true);
	shard_mark(&slab->shards[1], 15, 1, true);
}

static void mark_at_the_second_slab(struct slab *slab)
{
	(void)slab;
	before_enter = mark_both_stale;
}

static void a_read_is_planned_anew_where_its_pages_were_condemned(void **state)
{
	(void)state;
	assert_int_equal(fake_write(sent + 14 * PAGE_BYTES, 14, 3), 0);
	before_enter = mark_at_the_second_slab;
	assert_int_equal(fake_read(got, 14, 3), 0);
	assert_memory_equal(got, sent + 14 * PAGE_BYTES, 3 * PAGE_BYTES);
}

#define with_copies(test)                                                      \
	cmocka_unit_test_setup_teardown(test, start_copies, stop)
#define with_servers(test) cmocka_unit_test_setup_teardown(test, start, stop)
#define with_short_timeout(test)                                               \
	cmocka_unit_test_setup_teardown(test, start_short, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_copies(a_read_is_planned_anew_where_its_pages_went_apart),
		with_copies(
			a_read_is_planned_anew_where_its_pages_were_condemned),
		with_short_timeout(a_failed_read_is_never_a_success),
		with_short_timeout(a_failed_write_is_never_a_success),
		with_short_timeout(one_failure_among_many_fails_the_request),
		with_short_timeout(
			a_write_that_failed_for_good_loses_what_was_there),
		with_short_timeout(a_lost_page_is_an_error_until_it_is_written),
		with_short_timeout(what_a_failed_request_did_write_stays),
		with_short_timeout(a_write_that_was_never_sent_loses_nothing),
		with_short_timeout(
			without_a_free_lane_there_is_an_error_at_the_deadline),
		with_servers(a_request_leaves_a_lane_whose_memory_is_in_use),
		with_short_timeout(a_lane_whose_memory_is_in_use_is_not_used),
		with_servers(a_request_that_comes_too_late_breaks_no_server),
		with_short_timeout(what_is_never_sent_loses_no_page),
		with_servers(what_was_not_sent_is_no_servers_fault),
		with_servers(a_refusal_is_an_error_at_once),
		with_servers(a_try_without_an_answer_is_repeated),
		with_servers(a_refusal_counts_for_more_than_a_broken_link),
		with_servers(no_room_is_told_as_no_space),
		with_servers(no_server_is_an_error),
		with_servers(a_read_is_repeated_after_the_repair),
		with_servers(a_write_is_repeated_after_the_repair),
		with_servers(repetition_goes_on_while_repairs_do),
		with_servers(nothing_is_repeated_before_the_server_is_up),
		with_servers(a_server_that_is_lost_takes_its_pages_along),
		with_servers(a_write_after_a_loss_goes_to_another_server),
		with_servers(
			a_write_that_waits_for_a_lost_server_goes_elsewhere),
		with_servers(a_lost_slab_is_given_up_only_when_nobody_is_in),
		with_servers(
			a_read_takes_nothing_from_a_slab_that_came_after_a_loss),
	};

	return cmocka_run_group_tests_name("request failures", tests, NULL,
					   NULL);
}
