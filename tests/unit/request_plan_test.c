/* How a request becomes transfers. */
#include "fake_servers.h"

#include <errno.h>

#define SERVERS 3
#define MOST	200 /* pages in one request */

static char sent[MOST * PAGE_BYTES], got[MOST * PAGE_BYTES];

static int start(void **state)
{
	(void)state;
	fake_start(SERVERS, 2, LONG_MS);
	memset(got, 0xee, sizeof got);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	assert_counts_right();
	fake_stop();
	return 0;
}

/* Writes N pages from PAGE, into slabs that are there, with nothing logged. */
static void have_written(uint64_t page, uint64_t n)
{
	fake_fill(sent, page, n, 0);
	assert_int_equal(fake_write(sent, page, n), 0);
	fake_clear_log();
}

/* The log's entry I. */
static void assert_sent(size_t i, enum xfer_op op, uint32_t machine,
			uint64_t page_in_slab, uint32_t pages)
{
	const struct fake_sent *s = &fake.sent[i];

	assert_true(i < fake.n_sent);
	assert_int_equal(s->op, op);
	assert_int_equal(s->machine, machine);
	assert_int_equal(s->offset_bytes, page_in_slab * PAGE_BYTES);
	assert_int_equal(s->bytes, pages * PAGE_BYTES);
}

static void assert_zeros(const char *buf, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		assert_int_equal(buf[i], 0);
}

static void absent_pages_read_as_zeros_without_a_transfer(void **state)
{
	(void)state;
	assert_int_equal(fake_read(got, 10, 20), 0);
	assert_zeros(got, 20 * PAGE_BYTES);
	assert_int_equal(fake.n_sent, 0);
	assert_int_equal((unsigned char)got[20 * PAGE_BYTES], 0xee);
}

static void pages_of_one_slab_go_in_one_transfer(void **state)
{
	(void)state;
	fake_map_slab(1, 0);
	fake_fill(sent, 20, 8, 1);
	assert_int_equal(fake_write(sent, 20, 8), 0);
	assert_int_equal(fake.n_sent, 1);
	assert_sent(0, XFER_WRITE, 0, 4, 8);
	assert_memory_equal(fake_stored(20), sent, 8 * PAGE_BYTES);

	fake_clear_log();
	assert_int_equal(fake_read(got, 20, 8), 0);
	assert_int_equal(fake.n_sent, 1);
	assert_sent(0, XFER_READ, 0, 4, 8);
	assert_memory_equal(got, sent, 8 * PAGE_BYTES);
}

static void a_run_ends_with_its_slab(void **state)
{
	(void)state;
	fake_map_slab(0, 0);
	fake_map_slab(1, 0);
	fake_fill(sent, 14, 4, 1);
	assert_int_equal(fake_write(sent, 14, 4), 0);
	assert_int_equal(fake.n_sent, 2);
	assert_sent(0, XFER_WRITE, 0, 14, 2);
	assert_sent(1, XFER_WRITE, 0, 0, 2);
	assert_int_not_equal(fake.sent[0].address, fake.sent[1].address);
	assert_int_equal(fake.submits, 1);
	assert_memory_equal(fake_stored(14), sent, 2 * PAGE_BYTES);
	assert_memory_equal(fake_stored(16), sent + 2 * PAGE_BYTES,
			    2 * PAGE_BYTES);
}

static void two_channels_work_at_the_same_time(void **state)
{
	(void)state;
	fake_map_slab(0, 0);
	fake_map_slab(1, 1);
	fake_fill(sent, 12, 8, 1);
	assert_int_equal(fake_write(sent, 12, 8), 0);
	assert_int_equal(fake.submits, 2);
	assert_int_equal(fake.waits, 2);
	/* Both are on their way before either is waited for. */
	assert_int_equal(fake.submits_at_first_wait, 2);
	assert_memory_equal(fake_stored(12), sent, 4 * PAGE_BYTES);
	assert_memory_equal(fake_stored(16), sent + 4 * PAGE_BYTES,
			    4 * PAGE_BYTES);
}

static void transfers_of_one_channel_go_together(void **state)
{
	(void)state;
	/* Servers 0 and 2 share a channel. */
	fake_map_slab(0, 0);
	fake_map_slab(1, 2);
	have_written(8, 16);
	assert_int_equal(fake_read(got, 8, 16), 0);
	assert_memory_equal(got, sent, 16 * PAGE_BYTES);
	assert_int_equal(fake.n_sent, 2);
	assert_int_equal(fake.submits, 1);
}

static void a_large_request_goes_in_pieces(void **state)
{
	(void)state;
	for (uint64_t slab = 0; slab < 10; slab++)
		fake_map_slab(slab, 0);
	fake_fill(sent, 3, 150, 1);
	assert_int_equal(fake_write(sent, 3, 150), 0);
	assert_int_equal(fake.submits, 10); /* 9 of 16 pages, and 6 pages */
	/* Pages 3-18, 19-34, ..., 131-146: 2 slabs each, and 1 slab. */
	assert_int_equal(fake.n_sent, 19);
	assert_sent(0, XFER_WRITE, 0, 3, 13);
	assert_sent(1, XFER_WRITE, 0, 0, 3);
	assert_sent(2, XFER_WRITE, 0, 3, 13);
	assert_sent(18, XFER_WRITE, 0, 3, 6);

	fake_clear_log();
	assert_int_equal(fake_read(got, 3, 150), 0);
	assert_int_equal(fake.submits, 10);
	assert_memory_equal(got, sent, 150 * PAGE_BYTES);
}

static void a_piece_may_have_as_many_runs_as_pages(void **state)
{
	(void)state;
	for (uint64_t slab = 0; slab < 8; slab++)
		fake_map_slab(slab, (uint32_t)slab % SERVERS);
	fake_fill(sent, 0, 128, 1);
	for (uint64_t page = 1; page < 128; page += 2)
		memset(sent + page * PAGE_BYTES, 0, PAGE_BYTES);
	assert_int_equal(fake_write(sent, 0, 128), 0);
	assert_int_equal(fake.n_sent, 64);
	assert_int_equal(fake_read(got, 0, 128), 0);
	assert_int_equal(fake.n_sent, 128);
	assert_memory_equal(got, sent, 128 * PAGE_BYTES);
}

static void a_hole_in_a_read_is_filled_with_zeros(void **state)
{
	(void)state;
	fake_map_slab(0, 0);
	have_written(2, 10);
	engine_discard(&fake.engine, 3 * PAGE_BYTES, 5 * PAGE_BYTES);
	assert_int_equal(fake_read(got, 0, 16), 0);
	assert_int_equal(fake.n_sent, 2);
	assert_sent(0, XFER_READ, 0, 2, 3);
	assert_sent(1, XFER_READ, 0, 8, 4);
	assert_zeros(got, 2 * PAGE_BYTES);
	assert_memory_equal(got + 2 * PAGE_BYTES, sent, 3 * PAGE_BYTES);
	assert_zeros(got + 5 * PAGE_BYTES, 3 * PAGE_BYTES);
	assert_memory_equal(got + 8 * PAGE_BYTES, sent + 6 * PAGE_BYTES,
			    4 * PAGE_BYTES);
	assert_zeros(got + 12 * PAGE_BYTES, 4 * PAGE_BYTES);
}

static void pages_of_zeros_are_not_sent_and_become_absent(void **state)
{
	(void)state;
	fake_map_slab(0, 0);
	have_written(0, 16);
	fake_fill(sent, 4, 8, 2);
	memset(sent, 0, PAGE_BYTES);
	memset(sent + 3 * PAGE_BYTES, 0, 2 * PAGE_BYTES);
	memset(sent + 7 * PAGE_BYTES, 0, PAGE_BYTES);
	assert_int_equal(fake_write(sent, 4, 8), 0);
	assert_int_equal(fake.n_sent, 2);
	assert_sent(0, XFER_WRITE, 0, 5, 2);
	assert_sent(1, XFER_WRITE, 0, 9, 2);
	assert_int_equal(engine_counted(&fake.engine, ENGINE_ZERO_PAGES), 4);
	for (uint64_t page = 0; page < 16; page++) {
		bool zero = page == 4 || page == 7 || page == 8 || page == 11;

		assert_int_equal(pagemap_get(&fake.engine.pages, page),
				 zero ? PAGE_ABSENT : PAGE_PRESENT);
	}
	assert_int_equal(fake_read(got, 4, 8), 0);
	assert_memory_equal(got, sent, 8 * PAGE_BYTES);
}

static void one_byte_makes_a_page_worth_sending(void **state)
{
	static const size_t where[] = { 0, 7, 8, 9, 2048, PAGE_BYTES - 1 };

	(void)state;
	fake_map_slab(0, 0);
	for (size_t i = 0; i < COUNT(where); i++) {
		fake_clear_log();
		memset(sent, 0, PAGE_BYTES);
		sent[where[i]] = 1;
		assert_int_equal(fake_write(sent, 0, 1), 0);
		assert_int_equal(fake.n_sent, 1);
		assert_int_equal(fake_read(got, 0, 1), 0);
		assert_memory_equal(got, sent, PAGE_BYTES);
	}
}

static void zeros_alone_need_no_slab(void **state)
{
	(void)state;
	memset(sent, 0, 40 * PAGE_BYTES);
	assert_int_equal(fake_write(sent, 0, 40), 0);
	assert_int_equal(fake.n_sent, 0);
	for (uint64_t i = 0; i < FAKE_SLABS; i++)
		assert_int_equal(slab_state(&fake.engine.slabs.slabs[i]),
				 SLAB_UNMAPPED);
}

static void a_trimmed_page_reads_as_zeros_without_a_transfer(void **state)
{
	(void)state;
	fake_map_slab(0, 0);
	have_written(0, 16);
	engine_discard(&fake.engine, 16 * PAGE_BYTES, 0);
	assert_int_equal(fake_read(got, 0, 16), 0);
	assert_zeros(got, 16 * PAGE_BYTES);
	assert_int_equal(fake.n_sent, 0);
}

static void the_first_write_has_its_slab_allocated(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < SERVERS; i++)
		fake_session_start(i);
	have_written(10, 10);
	assert_int_equal(fake.n_slabs, 2);
	assert_int_equal(fake_read(got, 10, 10), 0);
	assert_memory_equal(got, sent, 10 * PAGE_BYTES);
}

static void extents_are_absent_or_not(void **state)
{
	const struct engine *engine = &fake.engine;
	const uint64_t k = PAGE_BYTES;
	bool absent;

	(void)state;
	fake_map_slab(0, 0);
	have_written(4, 6);
	engine_lose_pages(&fake.engine, 6, 2);
	assert_int_equal(engine_extent(engine, 16 * k, 0, &absent), 4 * k);
	assert_true(absent);
	assert_int_equal(engine_extent(engine, 16 * k, 4 * k, &absent), 6 * k);
	assert_false(absent);
	assert_int_equal(engine_extent(engine, 2 * k, 7 * k, &absent), 2 * k);
	assert_false(absent);
	assert_int_equal(engine_extent(engine, 16 * k, 10 * k, &absent),
			 16 * k);
	assert_true(absent);
}

/* --- anything at all, against a shadow copy --- */

static char shadow[FAKE_PAGES * PAGE_BYTES];

static void one_random_request(uint64_t *seed, uint64_t version)
{
	uint64_t n = random_next(seed) % MOST + 1;
	uint64_t page = random_next(seed) % (FAKE_PAGES - n + 1);
	char *copy = shadow + page * PAGE_BYTES;

	switch (random_next(seed) % 4) {
	case 0:
		engine_discard(&fake.engine, n * PAGE_BYTES, page * PAGE_BYTES);
		memset(copy, 0, n * PAGE_BYTES);
		break;
	case 1:
		fake_fill(copy, page, n, version);
		for (uint64_t i = 0; i < n; i++) {
			if (random_next(seed) % 3 == 0)
				memset(copy + i * PAGE_BYTES, 0, PAGE_BYTES);
		}
		assert_int_equal(fake_write(copy, page, n), 0);
		break;
	default:
		assert_int_equal(fake_read(got, page, n), 0);
		assert_memory_equal(got, copy, n * PAGE_BYTES);
		break;
	}
}

static void random_requests_do_as_a_disk_does(void **state)
{
	uint64_t seed = random_seed();

	(void)state;
	for (uint32_t i = 0; i < SERVERS; i++)
		fake_session_start(i);
	memset(shadow, 0, sizeof shadow);
	for (uint64_t i = 0; i < 300; i++)
		one_random_request(&seed, i);
}

#define with_servers(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_servers(absent_pages_read_as_zeros_without_a_transfer),
		with_servers(pages_of_one_slab_go_in_one_transfer),
		with_servers(a_run_ends_with_its_slab),
		with_servers(two_channels_work_at_the_same_time),
		with_servers(transfers_of_one_channel_go_together),
		with_servers(a_large_request_goes_in_pieces),
		with_servers(a_piece_may_have_as_many_runs_as_pages),
		with_servers(a_hole_in_a_read_is_filled_with_zeros),
		with_servers(pages_of_zeros_are_not_sent_and_become_absent),
		with_servers(one_byte_makes_a_page_worth_sending),
		with_servers(zeros_alone_need_no_slab),
		with_servers(a_trimmed_page_reads_as_zeros_without_a_transfer),
		with_servers(the_first_write_has_its_slab_allocated),
		with_servers(extents_are_absent_or_not),
		with_servers(random_requests_do_as_a_disk_does),
	};

	return cmocka_run_group_tests_name("request planning", tests, NULL,
					   NULL);
}
