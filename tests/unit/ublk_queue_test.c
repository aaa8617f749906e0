/* A queue of a ublk device (plugin/ublk/queue.c), with a driver that does as
 * the test says. */
#include "fake_servers.h"
#include "mock_ublk.h"

#include <errno.h>
#include <unistd.h>

#include "loop/loop.h"
#include "ublk/queue.h"

#define LANES	     4u
#define PAGE_SECTORS (PAGE_BYTES >> UBLK_SECTOR_SHIFT)
#define SIZE_BYTES   ((uint64_t)FAKE_PAGES * PAGE_BYTES)

static struct loop loop;
static struct queue queue;
static bool stopping;
static unsigned refusals; /* that the queue has told of */

static void refused(void)
{
	refusals++;
}

static bool answered_all(void)
{
	for (uint16_t i = 0; i < MOCK_DEPTH; i++) {
		if (!mock.tags[i].fetched)
			return false;
	}
	return true;
}

static void turn(uint32_t in_flight)
{
	if (!stopping && in_flight == 0 && answered_all())
		loop_end(&loop);
}

static int set_up(int fetch_result)
{
	const struct loop_config config = { .engine = &fake.engine,
					    .turn = turn };
	struct queue_config queue_config = { .loop = &loop,
					     .engine = &fake.engine,
					     .size_bytes = SIZE_BYTES,
					     .depth = MOCK_DEPTH,
					     .refused = refused };
	struct error why;

	stopping = false;
	refusals = 0;
	mock_start();
	mock.fetch_result = fetch_result;
	fake_start(2, LANES, LONG_MS);
	fake_session_start(0);
	fake_session_start(1);
	queue_config.char_fd = mock.char_fd;
	assert_int_equal(loop_create(&loop, &config, &why), 0);
	assert_int_equal(queue_open(&queue, &queue_config, &why), 0);
	assert_int_equal(queue_fetch(&queue, &why), 0);
	assert_int_equal(mock.fetches, MOCK_DEPTH);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return set_up(0);
}

static int setup_refused(void **state)
{
	(void)state;
	return set_up(-EINVAL);
}

static int teardown(void **state)
{
	(void)state;
	queue_close(&queue);
	loop_destroy(&loop);
	fake_stop();
	mock_stop();
	return 0;
}

/* Until all requests are answered. */
static void run(void)
{
	atomic_store(&loop.ending, false);
	loop_run(&loop);
}

static void request(uint16_t tag, uint32_t op, uint64_t page, uint32_t pages,
		    const void *data)
{
	mock_request(tag, op, page * PAGE_SECTORS, pages * PAGE_SECTORS, data);
}

static void assert_result(uint16_t tag, int32_t result)
{
	assert_true(mock.tags[tag].answered);
	assert_int_equal(mock.tags[tag].result, result);
}

static void assert_read(uint16_t tag, uint64_t page, uint32_t n,
			uint64_t version)
{
	char expected[4 * PAGE_BYTES] = { 0 };

	assert_result(tag, (int32_t)(n * PAGE_BYTES));
	if (version)
		fake_fill(expected, page, n, version);
	assert_memory_equal(mock.tags[tag].data, expected, n * PAGE_BYTES);
}

static void write_pages(uint16_t tag, uint64_t page, uint32_t n,
			uint64_t version)
{
	char data[4 * PAGE_BYTES];

	fake_fill(data, page, n, version);
	request(tag, UBLK_WRITE, page, n, data);
}

/* --- what is written is read --- */

static void what_is_written_is_read(void **state)
{
	(void)state;
	for (uint16_t i = 0; i < MOCK_DEPTH; i++)
		write_pages(i, i * 5, 1 + i % 4, i + 1);
	run();
	for (uint16_t i = 0; i < MOCK_DEPTH; i++)
		assert_result(i, (int32_t)((1 + i % 4) * PAGE_BYTES));
	/* With another tag, and so another buffer. */
	for (uint16_t i = 0; i < MOCK_DEPTH; i++)
		request((uint16_t)(MOCK_DEPTH - 1 - i), UBLK_READ, i * 5,
			1 + i % 4, NULL);
	run();
	for (uint16_t i = 0; i < MOCK_DEPTH; i++)
		assert_read((uint16_t)(MOCK_DEPTH - 1 - i), i * 5, 1 + i % 4,
			    i + 1);
}

static void discards_and_zeroing_make_pages_absent(void **state)
{
	(void)state;
	write_pages(0, 0, 4, 1);
	write_pages(1, 4, 4, 2);
	run();
	request(0, UBLK_DISCARD, 1, 2, NULL);
	request(1, UBLK_WRITE_ZEROES, 5, 2, NULL);
	run();
	assert_result(0, 2 * PAGE_BYTES);
	assert_result(1, 2 * PAGE_BYTES);
	request(0, UBLK_READ, 1, 2, NULL);
	request(1, UBLK_READ, 5, 2, NULL);
	request(2, UBLK_READ, 3, 1, NULL);
	request(3, UBLK_READ, 7, 1, NULL);
	run();
	assert_read(0, 1, 2, 0);
	assert_read(1, 5, 2, 0);
	assert_read(2, 3, 1, 1);
	assert_read(3, 7, 1, 2);
	assert_int_equal(engine_counted(&fake.engine, ENGINE_TRIMS), 1);
	assert_int_equal(engine_counted(&fake.engine, ENGINE_ZEROES), 1);
}

static void a_discard_may_be_larger_than_a_buffer(void **state)
{
	(void)state;
	request(0, UBLK_DISCARD, 0, FAKE_PAGES, NULL);
	run();
	assert_result(0, (int32_t)SIZE_BYTES);
}

static void a_flush_is_answered(void **state)
{
	(void)state;
	request(0, UBLK_FLUSH, 0, 0, NULL);
	run();
	assert_result(0, 0);
}

/* --- what is refused --- */

static void what_the_device_cannot_do_is_refused(void **state)
{
	(void)state;
	quiet_log();
	mock_request(0, 4 /* WRITE_SAME */, 0, PAGE_SECTORS, NULL);
	mock_request(1, UBLK_READ, 0, 1, NULL);
	mock_request(2, UBLK_WRITE, 1, PAGE_SECTORS, NULL);
	mock_request(3, UBLK_READ, FAKE_PAGES * PAGE_SECTORS, PAGE_SECTORS,
		     NULL);
	mock_request(4, UBLK_DISCARD, (FAKE_PAGES - 1) * PAGE_SECTORS,
		     2 * PAGE_SECTORS, NULL);
	mock_request(5, UBLK_READ, 0,
		     (CONTROL_IO_BYTES >> UBLK_SECTOR_SHIFT) + PAGE_SECTORS,
		     NULL);
	mock_request(6, UBLK_DISCARD, UINT64_MAX >> UBLK_SECTOR_SHIFT,
		     PAGE_SECTORS, NULL);
	mock_request(7, UBLK_READ, 0, 0, NULL);
	run();
	assert_result(0, -EOPNOTSUPP);
	for (uint16_t i = 1; i < MOCK_DEPTH; i++)
		assert_result(i, -EINVAL);
}

static void a_page_that_is_lost_is_an_error(void **state)
{
	(void)state;
	quiet_log();
	write_pages(0, 0, 1, 1);
	run();
	fake_lose(0);
	fake_lose(1);
	request(0, UBLK_READ, 0, 1, NULL);
	run();
	assert_result(0, -EIO);
}

static void no_room_is_told(void **state)
{
	(void)state;
	quiet_log();
	atomic_store(&fake.sessions[0].full, true);
	atomic_store(&fake.sessions[1].full, true);
	write_pages(0, 0, 1, 1);
	run();
	assert_result(0, -ENOSPC);
}

/* --- the ring --- */

static void answers_of_a_turn_take_one_call(void **state)
{
	(void)state;
	for (uint16_t i = 0; i < MOCK_DEPTH; i++)
		request(i, UBLK_READ, i, 1, NULL);
	mock.enters = 0;
	run();
	/* One takes the requests.  Pages that were never written need no
	 * server, so that all that lanes are for are answered in one turn. */
	assert_true(mock.enters <= 1 + MOCK_DEPTH / LANES);
}

/* At the end of a turn. */
static void sleep_while_submits_fail(uint32_t in_flight)
{
	if (in_flight == 0 && mock.submits_fail > 0)
		assert_false(loop.soon);
	turn(in_flight);
}

static void answers_that_the_kernel_did_not_take_are_sent_again(void **state)
{
	(void)state;
	loop.config.turn = sleep_while_submits_fail;
	write_pages(0, 0, 1, 1);
	request(1, UBLK_FLUSH, 0, 0, NULL);
	mock.submits_fail = 5;
	run();
	assert_result(0, PAGE_BYTES);
	assert_result(1, 0);
	assert_int_equal(mock.submits_fail, 0);
}

/* At the end of a turn. */
static void sleep_while_answers_are_refused(uint32_t in_flight)
{
	if (in_flight == 0 && mock.answers_refused > 0)
		assert_false(loop.soon);
	turn(in_flight);
}

static void an_answer_without_memory_for_it_is_sent_again(void **state)
{
	(void)state;
	loop.config.turn = sleep_while_answers_are_refused;
	mock.refusal = -ENOMEM;
	write_pages(0, 0, 2, 1);
	request(1, UBLK_FLUSH, 0, 0, NULL);
	mock.answers_refused = 5;
	run();
	assert_result(0, 2 * PAGE_BYTES);
	assert_result(1, 0);
	assert_int_equal(mock.answers_refused, 0);
	assert_int_equal(refusals, 0);
	assert_int_equal(queue.n_alive, MOCK_DEPTH);
}

static void end_when_told(uint32_t in_flight)
{
	(void)in_flight;
	if (refusals > 0)
		loop_end(&loop);
}

static void an_answer_that_is_refused_is_told(void **state)
{
	(void)state;
	quiet_log();
	loop.config.turn = end_when_told;
	mock.refusal = -EINVAL;
	mock.answers_refused = 1;
	write_pages(2, 0, 1, 1);
	run();
	assert_false(mock.tags[2].answered);
	assert_int_equal(refusals, 1);
	assert_int_equal(queue.n_alive, MOCK_DEPTH - 1);
}

/* Then no request waits, and the device may be ended as any other. */
static void a_first_fetch_that_is_refused_leaves_no_request(void **state)
{
	(void)state;
	quiet_log();
	stopping = true;
	run();
	assert_int_equal(queue.n_alive, 0);
	assert_int_equal(refusals, 0);
}

/* The driver ends the device, but for what it waits for first. */
static void stop_in_turn(uint32_t in_flight)
{
	if (in_flight > 0)
		mock_abort();
}

static void the_loop_ends_when_all_tags_are_over(void **state)
{
	(void)state;
	stopping = true;
	loop.config.turn = stop_in_turn;
	write_pages(3, 0, 1, 1);
	run();
	assert_result(3, PAGE_BYTES);
	assert_int_equal(queue.n_alive, 0);
	assert_int_equal(refusals, 0);
}

static void a_queue_that_the_kernel_refuses_ends_too(void **state)
{
	(void)state;
	quiet_log();
	stopping = true;
	mock.fetch_result = -EINVAL;
	for (uint16_t i = 0; i < MOCK_DEPTH; i++)
		request(i, UBLK_FLUSH, 0, 0, NULL);
	run();
	assert_int_equal(queue.n_alive, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_is_written_is_read),
		TEST(discards_and_zeroing_make_pages_absent),
		TEST(a_discard_may_be_larger_than_a_buffer),
		TEST(a_flush_is_answered),
		TEST(what_the_device_cannot_do_is_refused),
		TEST(a_page_that_is_lost_is_an_error),
		TEST(no_room_is_told),
		TEST(answers_of_a_turn_take_one_call),
		TEST(answers_that_the_kernel_did_not_take_are_sent_again),
		TEST(an_answer_without_memory_for_it_is_sent_again),
		TEST(an_answer_that_is_refused_is_told),
		cmocka_unit_test_setup_teardown(
			a_first_fetch_that_is_refused_leaves_no_request,
			setup_refused, teardown),
		TEST(the_loop_ends_when_all_tags_are_over),
		TEST(a_queue_that_the_kernel_refuses_ends_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
