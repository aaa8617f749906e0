/* Requests on a loop (plugin/loop/loop.c): the same requests as of threads, all
 * in the test's thread. */
#include "fake_servers.h"

#include <errno.h>
#include <stdlib.h>

#include "loop/loop.h"

#define LANES	 4u
#define REQUESTS 40u

static struct loop loop;

struct test_request {
	struct loop_request run; /* the first member */
	char buf[2 * PAGE_BYTES];
};

static struct test_request requests[REQUESTS];
static unsigned n_requests, n_done;
static unsigned speak_after; /* so many are done: the silent server answers */
static void (*each_turn)(void);

static void turn(uint32_t in_flight)
{
	(void)in_flight;
	if (each_turn)
		each_turn();
}

static void start(uint32_t servers, uint32_t copies, uint64_t timeout_ms)
{
	struct loop_config config = { .engine = &fake.engine, .turn = turn };
	struct error why;

	fake_start_copies(servers, LANES, timeout_ms, copies, 0, 0);
	for (uint32_t i = 0; i < servers; i++)
		fake_session_start(i);
	assert_int_equal(loop_create(&loop, &config, &why), 0);
	n_requests = n_done = speak_after = 0;
	each_turn = NULL;
}

static int setup(void **state)
{
	(void)state;
	start(2, 1, LONG_MS);
	return 0;
}

static int setup_short(void **state)
{
	(void)state;
	start(2, 1, 200);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(loop.n_suspended, 0);
	loop_destroy(&loop);
	assert_counts_right();
	fake_stop();
	return 0;
}

static void done(struct loop_request *run)
{
	(void)run;
	if (++n_done == speak_after)
		atomic_store(&fake.sessions[1].silent, false);
	if (n_done == n_requests)
		loop_end(&loop);
}

static struct test_request *submit(enum loop_op op, uint64_t page, uint64_t n)
{
	struct test_request *r = &requests[n_requests++];

	r->run = (struct loop_request){ .op = op,
					.buf = r->buf,
					.count = n * PAGE_BYTES,
					.offset = page * PAGE_BYTES,
					.done = done };
	return r;
}

/* Writes VERSION to the page. */
static struct test_request *write_page(uint64_t page, uint64_t version)
{
	struct test_request *r = submit(LOOP_WRITE, page, 1);

	fake_fill(r->buf, page, 1, version);
	return r;
}

/* Until all are done. */
static void run_all(void)
{
	for (unsigned i = n_done; i < n_requests; i++)
		loop_submit(&loop, &requests[i].run);
	atomic_store(&loop.ending, false);
	loop_run(&loop);
	assert_int_equal(n_done, n_requests);
}

static void assert_page(const struct test_request *r, uint64_t page,
			uint64_t version)
{
	char expected[PAGE_BYTES];

	assert_int_equal(r->run.rc, 0);
	fake_fill(expected, page, 1, version);
	assert_memory_equal(r->buf, expected, PAGE_BYTES);
}

/* --- what is written is read --- */

static void more_requests_than_lanes_are_all_served(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < REQUESTS / 2; i++)
		write_page(i * 3, i + 1);
	run_all();
	for (uint64_t i = 0; i < REQUESTS / 2; i++)
		submit(LOOP_READ, i * 3, 1);
	run_all();
	for (uint64_t i = 0; i < REQUESTS / 2; i++) {
		assert_int_equal(requests[i].run.rc, 0);
		assert_page(&requests[REQUESTS / 2 + i], i * 3, i + 1);
	}
}

static void a_discard_makes_pages_absent(void **state)
{
	static const char zeros[PAGE_BYTES];

	(void)state;
	write_page(5, 1);
	run_all();
	submit(LOOP_DISCARD, 0, FAKE_PAGES);
	run_all();
	submit(LOOP_READ, 5, 1);
	run_all();
	assert_memory_equal(requests[2].buf, zeros, PAGE_BYTES);
}

/* --- order --- */

static void reads_go_first(void **state)
{
	unsigned reads = 0;

	(void)state;
	write_page(0, 1);
	run_all();
	for (uint64_t i = 1; i <= 8; i++)
		write_page(i, 1);
	for (uint64_t i = 0; i < 3; i++)
		submit(LOOP_READ, 0, 1);
	fake_clear_log();
	run_all();
	/* Three reads and the first write leave together. */
	for (size_t i = 0; i < 3; i++)
		reads += fake.sent[i].op == XFER_READ;
	assert_int_equal(reads, 3);
}

#define READS_AT_A_TIME (2 * LANES)
#define READS_IN_ALL	200u

static unsigned reads_done, reads_before_write;

static void read_again(struct loop_request *run)
{
	unsigned left = READS_IN_ALL - ++reads_done;

	if (left >= READS_AT_A_TIME)
		loop_submit(&loop, run);
	else if (left == 0)
		loop_end(&loop);
}

static void note_write(struct loop_request *run)
{
	(void)run;
	reads_before_write = reads_done;
}

/* More reads than there are lanes wait at any time. */
static void reads_do_not_starve_a_write(void **state)
{
	struct test_request *write;

	(void)state;
	write_page(0, 1);
	run_all();
	reads_done = 0;
	reads_before_write = READS_IN_ALL;
	for (unsigned i = 0; i < READS_AT_A_TIME; i++) {
		struct test_request *r = submit(LOOP_READ, 0, 1);

		r->run.done = read_again;
		loop_submit(&loop, &r->run);
	}
	write = write_page(1, 2);
	write->run.done = note_write;
	loop_submit(&loop, &write->run);
	atomic_store(&loop.ending, false);
	loop_run(&loop);
	assert_int_equal(write->run.rc, 0);
	assert_true(reads_before_write < READS_IN_ALL / 2);
}

/* --- waits --- */

static void writes_of_the_same_page_follow_each_other(void **state)
{
	struct test_request *r;
	uint64_t version;

	(void)state;
	for (uint64_t i = 1; i <= 8; i++)
		write_page(7, i);
	run_all();
	r = submit(LOOP_READ, 7, 1);
	run_all();
	/* One of them was the last, and its page is there as a whole. */
	for (version = 1; version < 8; version++) {
		char expected[PAGE_BYTES];

		fake_fill(expected, 7, 1, version);
		if (!memcmp(r->buf, expected, PAGE_BYTES))
			break;
	}
	assert_page(r, 7, version);
}

static unsigned done_before;

static void *unlock_soon(void *arg)
{
	(void)arg;
	wait_until_asleep();
	done_before = n_done;
	pagemap_unlock(&fake.engine.pages, 9);
	return NULL;
}

static void a_page_that_a_thread_has_locked_is_waited_for(void **state)
{
	pthread_t thread;

	(void)state;
	write_page(9, 1);
	run_all();
	assert_int_equal(pagemap_lock(&fake.engine.pages, 9, 0), 0);
	thread = thread_start(unlock_soon, NULL);
	submit(LOOP_READ, 9, 1);
	write_page(9, 2);
	run_all();
	thread_end(thread);
	assert_int_equal(done_before, 1);
	assert_int_equal(requests[1].run.rc, 0);
	assert_int_equal(requests[2].run.rc, 0);
}

static void a_server_that_recovers_is_waited_for(void **state)
{
	(void)state;
	write_page(0, 1);
	run_all();
	for (uint32_t i = 0; i < 2; i++)
		server_break(&fake.engine.servers[i], "the test");
	submit(LOOP_READ, 0, 1);
	write_page(1, 2);
	run_all();
	assert_page(&requests[1], 0, 1);
	assert_int_equal(requests[2].run.rc, 0);
}

static unsigned retries(void)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < fake.engine.lanes.n; i++)
		n += fake.engine.lanes.lanes[i].counters->retries;
	return (unsigned)n;
}

/* Two slabs, on a server each.  One of the servers answers only after all
 * requests to the other one are done. */
static void a_silent_server_holds_up_only_its_own(void **state)
{
	(void)state;
	fake_map_slab(0, 0);
	fake_map_slab(1, 1);
	write_page(0, 1);
	write_page(FAKE_SLAB_PAGES, 2);
	run_all();
	atomic_store(&fake.sessions[1].silent, true);
	speak_after = n_done + 20;
	submit(LOOP_READ, FAKE_SLAB_PAGES, 1);
	write_page(FAKE_SLAB_PAGES + 1, 3);
	for (unsigned i = 0; i < 20; i++)
		submit(i % 2 ? LOOP_READ : LOOP_DISCARD, i % 2 ? 0 : 5, 1);
	run_all();
	assert_page(&requests[2], FAKE_SLAB_PAGES, 2);
	assert_int_equal(requests[3].run.rc, 0);
	for (unsigned i = 1; i < 20; i += 2)
		assert_page(&requests[4 + i], 0, 1);
	/* Otherwise the server was given up first. */
	assert_int_equal(retries(), 0);
}

static void read_once_writes_wait(void)
{
	if (!loop.n_suspended)
		return;
	each_turn = NULL;
	loop_submit(&loop, &submit(LOOP_READ, 0, 1)->run);
}

/* More writes than there are lanes wait for a server, which answers only after
 * the read is done. */
static void waiting_writes_leave_a_lane_for_reads(void **state)
{
	(void)state;
	fake_map_slab(0, 0);
	fake_map_slab(1, 1);
	write_page(0, 1);
	run_all();
	atomic_store(&fake.sessions[1].silent, true);
	speak_after = n_done + 1;
	for (uint64_t i = 0; i < 2 * LANES; i++)
		write_page(FAKE_SLAB_PAGES + i, 2);
	each_turn = read_once_writes_wait;
	run_all();
	assert_page(&requests[1 + 2 * LANES], 0, 1);
	assert_int_equal(retries(), 0);
}

static void a_server_that_stays_silent_ends_its_requests(void **state)
{
	(void)state;
	fake_map_slab(1, 1);
	write_page(FAKE_SLAB_PAGES, 2);
	run_all();
	atomic_store(&fake.sessions[1].silent, true);
	submit(LOOP_READ, FAKE_SLAB_PAGES, 1);
	write_page(FAKE_SLAB_PAGES + 1, 3);
	run_all();
	assert_int_equal(requests[1].run.rc, -EIO);
	assert_int_equal(requests[2].run.rc, -EIO);
}

/* A source whose events may be lost, as those of RDMA. */
static void do_nothing(const struct watch_source *source)
{
	(void)source;
}

static void flush_nothing(struct watch_source *source)
{
	(void)source;
}

static const struct transport_ops resting = {
	.flush = flush_nothing,
	.look = do_nothing,
	.rest = do_nothing,
};

static void add_resting(struct watch *watch)
{
	watch_add(watch, &resting, &loop, -1, POLLIN);
}

static unsigned n_waits, n_long_waits;

static void count_wait(struct loop_source *source)
{
	(void)source;
	n_waits += loop.watch.n > 0;
	n_long_waits +=
		loop.watch.n > 0 && clock_left_ns(loop.wake_ns) > WATCH_LOOK_NS;
}

static void a_lost_event_is_not_waited_for(void **state)
{
	struct loop_source source = { .fd = -1, .finish = count_wait };

	(void)state;
	fake_map_slab(1, 1);
	fake.watch = add_resting;
	n_waits = n_long_waits = 0;
	assert_true(loop_add(&loop, &source));
	atomic_store(&fake.sessions[1].silent, true);
	write_page(FAKE_SLAB_PAGES, 2);
	run_all();
	assert_int_equal(requests[0].run.rc, -EIO);
	assert_true(n_waits > 0);
	assert_int_equal(n_long_waits, 0);
}

/* Reads of the other server, as long as the request to the server that hangs
 * goes on, and those of them that were done after its link was aborted. */
static unsigned reads_meanwhile;

static void read_on(struct loop_request *run)
{
	const struct lane *lanes = fake.engine.lanes.lanes;

	for (unsigned i = 0; i < LANES; i++) {
		const struct lane_set *set = &lanes[i].sets[1];

		reads_meanwhile += set->submitted > 0 && set->tags[0].aborted &&
				   xfer_in_progress(&set->xfers[0]);
	}
	if (n_done + 1 < n_requests)
		loop_submit(&loop, run);
	else
		done(run);
}

/* The device of a lane does not end what was aborted (a queue pair that does
 * not flush). */
static void a_transfer_that_does_not_end_holds_up_only_its_own(void **state)
{
	(void)state;
	fake_map_slab(0, 0);
	fake_map_slab(1, 1);
	write_page(0, 1);
	run_all();
	reads_meanwhile = 0;
	atomic_store(&fake.sessions[1].hangs, true);
	atomic_store(&fake.sessions[1].silent, true);
	write_page(FAKE_SLAB_PAGES, 2);
	submit(LOOP_READ, 0, 1)->run.done = read_on;
	run_all();
	assert_int_equal(requests[1].run.rc, -EIO);
	assert_page(&requests[2], 0, 1);
	assert_true(reads_meanwhile > 100);
}

/* --- turns without an event --- */

/* If a turn came only once a second, ctest would end this. */
#define ASKED 1000u

static unsigned n_finishes;

static void ask_for_a_turn(struct loop_source *source)
{
	(void)source;
	if (++n_finishes == ASKED)
		loop_end(&loop);
	loop_within(&loop, NS_PER_MS / 100);
}

static void a_source_gets_the_turns_that_it_asks_for(void **state)
{
	struct loop_source source = { .fd = -1, .finish = ask_for_a_turn };

	(void)state;
	n_finishes = 0;
	assert_true(loop_add(&loop, &source));
	run_all();
	assert_int_equal(n_finishes, ASKED);
}

/* It was written when the loop was awake again, and the loop polls. */
static void a_wake_up_that_comes_late_is_taken(void **state)
{
	struct loop_source source = { .fd = -1, .finish = ask_for_a_turn };
	eventfd_t n;

	(void)state;
	n_finishes = 0;
	assert_true(loop_add(&loop, &source));
	loop.config.spin_ns = loop.patience.max_ns = PATIENCE_MAX_NS;
	loop.patience.waits[WAIT_FOR_CLIENT].usual_ns = 1;
	loop.patience.spare = true;
	loop.patience.looked_ns = clock_now_ns();
	assert_int_equal(eventfd_write(loop.waker.fd, 1), 0);
	run_all();
	assert_int_equal(eventfd_read(loop.waker.fd, &n), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			more_requests_than_lanes_are_all_served, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_discard_makes_pages_absent,
						setup, teardown),
		cmocka_unit_test_setup_teardown(reads_go_first, setup,
						teardown),
		cmocka_unit_test_setup_teardown(reads_do_not_starve_a_write,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			writes_of_the_same_page_follow_each_other, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			a_page_that_a_thread_has_locked_is_waited_for, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			a_server_that_recovers_is_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_silent_server_holds_up_only_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(
			waiting_writes_leave_a_lane_for_reads, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_server_that_stays_silent_ends_its_requests,
			setup_short, teardown),
		cmocka_unit_test_setup_teardown(a_lost_event_is_not_waited_for,
						setup_short, teardown),
		cmocka_unit_test_setup_teardown(
			a_transfer_that_does_not_end_holds_up_only_its_own,
			setup_short, teardown),
		cmocka_unit_test_setup_teardown(
			a_source_gets_the_turns_that_it_asks_for, setup,
			teardown),
		cmocka_unit_test_setup_teardown(
			a_wake_up_that_comes_late_is_taken, setup, teardown),
	};

	quiet_log();
	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
