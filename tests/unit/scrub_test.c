/* The scrub: which pages it reads, what it finds, and what becomes of it. */
#include "fake_servers.h"

#include <errno.h>

#include "repair/repair.h"

#define SERVERS 4
#define PAGES	14u /* of each slab that has any */
#define SLABS	3u

static char sent[PAGES * PAGE_BYTES], got[PAGES * PAGE_BYTES];

static const struct scheme {
	uint32_t copies, data, parity;
} schemes[] = {
	{ 1, 0, 0 }, { 2, 0, 0 }, { 3, 0, 0 }, { 0, 2, 1 }, { 0, 2, 2 }
};

static struct scrub *scrub;

static uint64_t first_page(uint64_t slab)
{
	return geometry_page(&fake.engine.slabs.geometry, slab, 0);
}

static void start_scheme(const struct scheme *s)
{
	struct error why;

	fake_start_copies(SERVERS, 4, LONG_MS, s->copies, s->data, s->parity);
	quiet_log();
	for (uint32_t i = 0; i < SERVERS; i++)
		fake_session_start(i);
	for (uint64_t slab = 0; slab < SLABS; slab++) {
		fake_map_slab(slab, (uint32_t)slab % SERVERS);
		fake_fill(sent, 0, PAGES, 1);
		assert_int_equal(fake_write(sent, first_page(slab), PAGES), 0);
	}
	scrub = &fake.engine.repair->scrub;
	assert_int_equal(repair_start(&fake.engine, &why), 0);
}

static void end_scheme(void)
{
	repair_stop(&fake.engine);
	assert_counts_right();
	fake_stop();
}

static void with_each_scheme(void (*test)(void))
{
	for (size_t i = 0; i < COUNT(schemes); i++) {
		start_scheme(&schemes[i]);
		test();
		end_scheme();
	}
}

static void wait_for_end(void)
{
	while (atomic_load(&scrub->state) == SCRUB_RUNNING ||
	       atomic_load(&scrub->wanted))
		sleep_ms(1);
}

static void run_scrub(void)
{
	scrub_start(&fake.engine, 0);
	wait_for_end();
	assert_int_equal(atomic_load(&scrub->state), SCRUB_DONE);
}

static void assert_found(uint64_t done, uint64_t wrong, uint64_t lost,
			 uint64_t unread)
{
	assert_int_equal(atomic_load(&scrub->done_pages), done);
	assert_int_equal(atomic_load(&scrub->wrong_pages), wrong);
	assert_int_equal(atomic_load(&scrub->lost_pages), lost);
	assert_int_equal(atomic_load(&scrub->unread_pages), unread);
}

static uint32_t stale_chunks(void)
{
	uint32_t n = 0;

	for (uint64_t s = 0; s < SLABS; s++) {
		const struct slab *slab = &fake.engine.slabs.slabs[s];

		for (uint32_t i = 0; i < fake.engine.slabs.n_shards; i++) {
			if (shard_is_live(&slab->shards[i]))
				n += atomic_load(&slab->shards[i].stale_chunks);
		}
	}
	return n;
}

static void assert_pages_right(uint64_t slab)
{
	memset(got, 0xee, sizeof got);
	assert_int_equal(fake_read(got, first_page(slab), PAGES), 0);
	assert_memory_equal(got, sent, sizeof got);
}

/* Every shard is read once, as far as sets of shards allow that. */
static void all_shards_are_read(void)
{
	const struct redundancy *r = &fake.engine.redundancy;
	uint32_t sets = (r->shards + r->need - 1) / r->need;

	fake.read_bytes = 0;
	run_scrub();
	assert_found(SLABS * PAGES, 0, 0, 0);
	assert_int_equal(atomic_load(&scrub->pages), SLABS * PAGES);
	assert_int_equal(fake.read_bytes, (uint64_t)SLABS * PAGES * sets *
						  r->need * r->chunk_bytes);
}

static void every_shard_of_every_page_is_read(void **state)
{
	(void)state;
	with_each_scheme(all_shards_are_read);
}

/* One page after the other is wrong in one shard after the other. */
static void found_and_repaired(void)
{
	const struct redundancy *r = &fake.engine.redundancy;

	if (!redundancy_can_spare(r))
		return;
	for (uint32_t i = 0; i < r->shards; i++)
		fake_spoil(first_page(1) + i, i);
	run_scrub();
	assert_found(SLABS * PAGES, r->shards, 0, 0);
	while (stale_chunks() > 0)
		wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	run_scrub();
	assert_found(SLABS * PAGES, 0, 0, 0);
	for (uint64_t slab = 0; slab < SLABS; slab++)
		assert_pages_right(slab);
}

static void what_is_wrong_in_any_shard_is_found_and_repaired(void **state)
{
	(void)state;
	with_each_scheme(found_and_repaired);
}

static void lost_and_told(void)
{
	for (uint32_t i = 0; i < fake.engine.redundancy.shards; i++)
		fake_spoil(first_page(1) + 3, i);
	run_scrub();
	assert_found(SLABS * PAGES, 1, 1, 0);
	assert_int_equal(fake_read(got, first_page(1) + 3, 1), -EIO);
	assert_pages_right(0);
	assert_pages_right(2);
	/* It is not PRESENT any more. */
	run_scrub();
	assert_found(SLABS * PAGES - 1, 0, 0, 0);
}

static void a_page_that_is_right_nowhere_is_lost(void **state)
{
	(void)state;
	with_each_scheme(lost_and_told);
}

static void a_server_that_is_away_is_told(void **state)
{
	(void)state;
	start_scheme(&schemes[1]); /* two copies: slab 0's on 0 and 1 */
	atomic_store(&fake.sessions[0].no_repair, true);
	server_break(&fake.engine.servers[0], "the test");
	server_stays_away(&fake.engine.servers[0]);
	run_scrub();
	assert_found(SLABS * PAGES, 0, 0, PAGES);
	atomic_store(&fake.sessions[0].no_repair, false);
	end_scheme();
}

/* A server that answers nothing: a batch of pages is not locked for longer than
 * one attempt takes, and the scrub goes on. */
static void a_server_that_hangs_is_asked_once_for_a_batch(void **state)
{
	unsigned submits;

	(void)state;
	fake_start_copies(SERVERS, 4, 1000, 2, 0, 0);
	quiet_log();
	for (uint64_t slab = 0; slab < SLABS; slab++) {
		fake_map_slab(slab, (uint32_t)slab % SERVERS);
		fake_fill(sent, 0, PAGES, 1);
		assert_int_equal(fake_write(sent, first_page(slab), PAGES), 0);
	}
	scrub = &fake.engine.repair->scrub;
	atomic_store(&fake.sessions[0].silent, true);
	submits = fake.submits;
	assert_int_equal(repair_start(&fake.engine, &(struct error){ "" }), 0);
	run_scrub();
	assert_found(SLABS * PAGES, 0, 0, PAGES);
	/* Slab 0's server 0 in vain; slabs 1 and 2 from two servers each. */
	assert_int_equal(fake.submits - submits, 5);
	end_scheme();
}

/* --- two copies: a chunk on server 0 is wrong, and server 1 is away --- */

static void start_with_wrong_chunk(void)
{
	fake_start_copies(SERVERS, 4, LONG_MS, 2, 0, 0);
	quiet_log();
	for (uint32_t i = 0; i < SERVERS; i++)
		fake_session_start(i);
	fake_map_slab(0, 0);
	fake_fill(sent, 0, PAGES, 1);
	assert_int_equal(fake_write(sent, first_page(0), PAGES), 0);
	fake_spoil(first_page(0), 0);
	scrub = &fake.engine.repair->scrub;
	atomic_store(&fake.sessions[1].no_repair, true);
	server_break(&fake.engine.servers[1], "the test");
}

static void come_back(const struct xfer *x)
{
	(void)x;
	atomic_store(&fake.sessions[1].no_repair, false);
	while (server_state(&fake.engine.servers[1]) != SERVER_UP)
		sleep_ms(1);
}

static void speak(const struct xfer *x)
{
	atomic_store(&fake.sessions[1].silent, false);
	come_back(x);
}

/* Until it was asked once, in vain. */
static void come_back_silent(const struct xfer *x)
{
	atomic_store(&fake.sessions[1].silent, true);
	come_back(x);
	fake_at_halfway(XFER_READ, 1, speak);
}

/* The wrong page was read with others, and again, when nothing told which chunk
 * is right; then alone, and again.  CALL comes at the read NUMBER of these. */
static void scrub_with_call(unsigned number, void (*call)(const struct xfer *x))
{
	start_with_wrong_chunk();
	fake_at_halfway(XFER_READ, number, call);
	assert_int_equal(repair_start(&fake.engine, &(struct error){ "" }), 0);
	run_scrub();
	assert_null(fake.halfway.call);
	assert_found(PAGES, 1, 0, 0);
	while (stale_chunks() > 0)
		wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	run_scrub();
	assert_found(PAGES, 0, 0, 0);
	end_scheme();
}

static void what_could_not_be_judged_is_read_again(void **state)
{
	(void)state;
	scrub_with_call(3, come_back);
}

static void also_where_the_server_has_hung(void **state)
{
	(void)state;
	scrub_with_call(2, come_back_silent);
}

static void what_cannot_be_judged_is_unread(void **state)
{
	(void)state;
	start_with_wrong_chunk();
	server_stays_away(&fake.engine.servers[1]);
	assert_int_equal(repair_start(&fake.engine, &(struct error){ "" }), 0);
	run_scrub();
	assert_found(PAGES, 0, 0, PAGES);
	atomic_store(&fake.sessions[1].no_repair, false);
	end_scheme();
}

/* Three copies of one page, of which the first and the last are wrong.  The
 * last one is found so, but the server of the first one fails when it is asked
 * whether its copy was. */
static void a_copy_whose_server_fails_meanwhile_is_not_done(void **state)
{
	(void)state;
	start_scheme(&schemes[2]);
	engine_discard(&fake.engine, (PAGES - 1) * PAGE_BYTES,
		       (first_page(1) + 1) * PAGE_BYTES);
	fake_spoil(first_page(1), 0);
	fake_spoil(first_page(1), 2);
	pthread_mutex_lock(&fake.lock);
	/* Slab 0 is read there once, and this page once before. */
	fake.fault = (struct fake_fault){
		.machine = 1, .skip = 2, .times = 1, .status = -ECONNRESET
	};
	pthread_mutex_unlock(&fake.lock);
	run_scrub();
	assert_int_equal(fake.fault.times, 0);
	assert_int_equal(atomic_load(&scrub->wrong_pages) +
				 atomic_load(&scrub->unread_pages),
			 2);
	end_scheme();
}

static void pages_that_are_not_there_are_not_read(void **state)
{
	(void)state;
	start_scheme(&schemes[1]);
	engine_discard(&fake.engine, 5 * PAGE_BYTES,
		       (first_page(1) + 4) * PAGE_BYTES);
	fake.read_bytes = 0;
	run_scrub();
	assert_found(SLABS * PAGES - 5, 0, 0, 0);
	assert_int_equal(fake.read_bytes,
			 2 * (SLABS * PAGES - 5) *
				 (uint64_t)fake.engine.redundancy.chunk_bytes);
	end_scheme();
}

/* At a byte in a second no second batch comes. */
static void a_scrub_is_held_to_its_rate_and_can_be_stopped(void **state)
{
	(void)state;
	start_scheme(&schemes[1]);
	scrub_start(&fake.engine, 1);
	while (atomic_load(&scrub->done_pages) == 0)
		sleep_ms(1);
	wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	assert_int_equal(atomic_load(&scrub->done_pages), PAGES);
	assert_int_equal(atomic_load(&scrub->state), SCRUB_RUNNING);
	scrub_stop(&fake.engine);
	wait_for_end();
	assert_int_equal(atomic_load(&scrub->state), SCRUB_STOPPED);
	assert_found(PAGES, 0, 0, 0);
	/* The next one begins at the front. */
	run_scrub();
	assert_found(SLABS * PAGES, 0, 0, 0);
	end_scheme();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_shard_of_every_page_is_read),
		cmocka_unit_test(
			what_is_wrong_in_any_shard_is_found_and_repaired),
		cmocka_unit_test(a_page_that_is_right_nowhere_is_lost),
		cmocka_unit_test(a_server_that_is_away_is_told),
		cmocka_unit_test(a_server_that_hangs_is_asked_once_for_a_batch),
		cmocka_unit_test(what_could_not_be_judged_is_read_again),
		cmocka_unit_test(also_where_the_server_has_hung),
		cmocka_unit_test(what_cannot_be_judged_is_unread),
		cmocka_unit_test(
			a_copy_whose_server_fails_meanwhile_is_not_done),
		cmocka_unit_test(pages_that_are_not_there_are_not_read),
		cmocka_unit_test(
			a_scrub_is_held_to_its_rate_and_can_be_stopped),
	};

	return cmocka_run_group_tests_name("scrub", tests, NULL, NULL);
}
