/* Pages that servers have wrong: where others have them right, and where nobody
 * has. */
#include "fake_servers.h"

#include <errno.h>
#include <stdio.h>

#include "log.h"
#include "repair/repair.h"

#define SERVERS 4
#define PAGES	14u /* of the first slab */

static char sent[PAGES * PAGE_BYTES], got[PAGES * PAGE_BYTES];

static const struct scheme {
	uint32_t copies, data, parity;
} schemes[] = {
	{ 1, 0, 0 }, { 2, 0, 0 }, { 3, 0, 0 }, { 0, 2, 1 }, { 0, 2, 2 }
};

static _Atomic unsigned lines, lines_of_loss;

static void count_lines(enum log_level level, const char *line)
{
	(void)level;
	atomic_fetch_add(&lines, 1);
	if (strstr(line, "right nowhere"))
		atomic_fetch_add(&lines_of_loss, 1);
}

static void start_scheme(const struct scheme *s)
{
	fake_start_copies(SERVERS, 4, LONG_MS, s->copies, s->data, s->parity);
	log_to(count_lines);
	atomic_store(&lines, 0);
	atomic_store(&lines_of_loss, 0);
	for (uint32_t i = 0; i < SERVERS; i++)
		fake_session_start(i);
	fake_map_slab(0, 0);
	fake_fill(sent, 0, PAGES, 1);
	assert_int_equal(fake_write(sent, 0, PAGES), 0);
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

static void start_repair(void)
{
	struct error why;

	assert_int_equal(repair_start(&fake.engine, &why), 0);
}

static void spoil_everywhere(uint64_t page)
{
	for (uint32_t i = 0; i < fake.engine.redundancy.shards; i++)
		fake_spoil(page, i);
}

static enum page_state state_of(uint64_t page)
{
	return pagemap_get(&fake.engine.pages, page);
}

static uint32_t stale_chunks(void)
{
	const struct slab *slab = &fake.engine.slabs.slabs[0];
	uint32_t n = 0;

	for (uint32_t i = 0; i < fake.engine.slabs.n_shards; i++) {
		if (shard_is_live(&slab->shards[i]))
			n += atomic_load(&slab->shards[i].stale_chunks);
	}
	return n;
}

static void assert_lost(int64_t pages)
{
	assert_int_equal(atomic_load(&fake.engine.pages.lost), pages);
	assert_int_equal(atomic_load(&fake.engine.counters.pages_lost), pages);
	assert_int_equal(atomic_load(&fake.engine.counters.wrong_lost), pages);
}

static void assert_page_right(uint64_t page)
{
	memset(got, 0xee, PAGE_BYTES);
	assert_int_equal(fake_read(got, page, 1), 0);
	assert_memory_equal(got, sent + page * PAGE_BYTES, PAGE_BYTES);
}

/* --- read --- */

static void lost_where_nobody_has_it(void)
{
	spoil_everywhere(3);
	assert_page_right(2);
	assert_int_equal(fake_read(got, 3, 1), -EIO);
	assert_int_equal(state_of(3), PAGE_LOST);
	assert_lost(1);
	/* Nobody is asked any more, and its neighbours are there. */
	fake_clear_log();
	assert_int_equal(fake_read(got, 3, 1), -EIO);
	assert_int_equal(fake.n_sent, 0);
	assert_page_right(4);
	assert_int_equal(fake_read(got, 0, PAGES), -EIO);
	/* It was not marked as stale anywhere: there is nothing to repair. */
	assert_int_equal(stale_chunks(), 0);
	assert_int_equal(fake_write(sent + 3 * PAGE_BYTES, 3, 1), 0);
	assert_page_right(3);
	assert_int_equal(atomic_load(&fake.engine.pages.lost), 0);
}

static void a_page_that_is_right_nowhere_is_lost(void **state)
{
	(void)state;
	with_each_scheme(lost_where_nobody_has_it);
}

/* Of as many as there may be wrong: all sets of that many. */
static void found_whichever_they_are(void)
{
	const struct redundancy *r = &fake.engine.redundancy;
	uint64_t page = 0;

	for (uint32_t set = 1; set < 1u << r->shards; set++) {
		if ((uint32_t)__builtin_popcount(set) != r->shards - r->need)
			continue;
		for (uint32_t i = 0; i < r->shards; i++) {
			if (set & 1u << i)
				fake_spoil(page, i);
		}
		assert_page_right(page++);
	}
	assert_lost(0);
}

static void as_many_as_can_be_spared_may_be_wrong(void **state)
{
	(void)state;
	with_each_scheme(found_whichever_they_are);
}

/* What arrives is not what the server has. */
static void change_what_arrives(const struct xfer *x)
{
	((char *)x->buf)[0] ^= 1;
}

static void right_when_read_again(void)
{
	fake_at_halfway(XFER_READ, 0, change_what_arrives);
	assert_page_right(3);
	assert_int_equal(atomic_load(&fake.engine.counters.wrong_reads), 1);
	assert_lost(0);
	assert_int_equal(stale_chunks(), 0);
}

static void what_went_wrong_on_the_way_is_read_again(void **state)
{
	(void)state;
	with_each_scheme(right_when_read_again);
}

static void take_away(uint32_t machine)
{
	atomic_store(&fake.sessions[machine].no_repair, true);
	server_break(&fake.engine.servers[machine], "the test");
}

static void *bring_back_when_waited_for(void *arg)
{
	/* The other one has been read from, in vain. */
	while (atomic_load(&fake.engine.counters.wrong_reads) == 0)
		sleep_ms(1);
	atomic_store((_Atomic bool *)arg, false);
	return NULL;
}

static void a_server_that_is_away_may_have_it(void **state)
{
	pthread_t thread;

	(void)state;
	start_scheme(&schemes[1]); /* two copies, on 0 and 1 */
	fake_spoil(3, 0);
	take_away(1);
	thread = thread_start(bring_back_when_waited_for,
			      &fake.sessions[1].no_repair);
	assert_page_right(3);
	thread_end(thread);
	assert_lost(0);
	end_scheme();
}

/* --- moved, and repaired --- */

static uint32_t slabs_on(uint32_t machine)
{
	const struct slab_table *table = &fake.engine.slabs;
	uint32_t n = 0;

	for (uint64_t i = 0; i < table->n; i++) {
		for (uint32_t j = 0; j < table->n_shards; j++) {
			const struct slab_shard *shard =
				&table->slabs[i].shards[j];

			n += shard_is_live(shard) && shard->server == machine;
		}
	}
	return n;
}

/* The first server is to be emptied, and nobody has every third page right.
 * With four shards on four servers there is nowhere to go. */
static void moved_without_what_is_wrong(void)
{
	uint32_t wrong = 0;

	if (fake.engine.redundancy.shards == SERVERS)
		return;
	for (uint64_t page = 0; page < PAGES; page += 3, wrong++)
		spoil_everywhere(page);
	fake.read_bytes = 0;
	atomic_store(&fake.engine.servers[0].shared.release_slabs, UINT32_MAX);
	start_repair();
	do
		wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	while (slabs_on(0) > 0);
	assert_lost(wrong);
	/* And it is at rest: two passes find nothing to do, and say nothing. */
	wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	assert_int_equal(atomic_load(&fake.engine.repair->short_slabs), 0);
	assert_int_equal(atomic_load(&fake.engine.repair->moving_slabs), 0);
	assert_int_equal(atomic_load(&lines_of_loss), 1);
	assert_true(atomic_load(&lines) < 10);
	repair_stop(&fake.engine);
	for (uint64_t page = 0; page < PAGES; page++) {
		if (page % 3)
			assert_page_right(page);
		else
			assert_int_equal(fake_read(got, page, 1), -EIO);
	}
}

static void a_server_is_emptied_though_pages_are_wrong(void **state)
{
	(void)state;
	with_each_scheme(moved_without_what_is_wrong);
}

static void every_read_of_repair_counts_for_its_rate(void **state)
{
	(void)state;
	start_scheme(&schemes[0]);
	for (uint64_t page = 0; page < PAGES; page += 2)
		spoil_everywhere(page);
	fake.read_bytes = 0;
	atomic_store(&fake.engine.servers[0].shared.release_slabs, UINT32_MAX);
	start_repair();
	do
		wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	while (slabs_on(0) > 0);
	repair_stop(&fake.engine);
	assert_true(fake.read_bytes > PAGES * PAGE_BYTES);
	assert_int_equal(atomic_load(&fake.engine.repair->read_pages) *
				 FAKE_UNIT_BYTES,
			 fake.read_bytes);
	assert_int_equal(fake.engine.repair->rated_pages,
			 atomic_load(&fake.engine.repair->read_pages));
	assert_int_equal(atomic_load(&fake.engine.repair->copied_pages),
			 PAGES / 2);
	end_scheme();
}

/* A shard missed writes, and nobody else has them right any more. */
static void repaired_without_what_is_wrong(void)
{
	uint32_t shards = fake.engine.redundancy.shards;

	if (shards == fake.engine.redundancy.need)
		return;
	take_away(0);
	server_stays_away(&fake.engine.servers[0]);
	assert_int_equal(fake_write(sent, 0, PAGES), 0);
	for (uint64_t page = 0; page < PAGES; page += 3)
		spoil_everywhere(page);
	atomic_store(&fake.sessions[0].no_repair, false);
	start_repair();
	do
		wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	while (atomic_load(&fake.engine.repair->short_slabs));
	assert_int_equal(stale_chunks(), 0);
	assert_lost((PAGES + 2) / 3);
	repair_stop(&fake.engine);
	for (uint64_t page = 0; page < PAGES; page++) {
		if (page % 3)
			assert_page_right(page);
	}
}

static void repair_ends_though_pages_are_wrong(void **state)
{
	(void)state;
	with_each_scheme(repaired_without_what_is_wrong);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_that_is_right_nowhere_is_lost),
		cmocka_unit_test(as_many_as_can_be_spared_may_be_wrong),
		cmocka_unit_test(what_went_wrong_on_the_way_is_read_again),
		cmocka_unit_test(a_server_that_is_away_may_have_it),
		cmocka_unit_test(a_server_is_emptied_though_pages_are_wrong),
		cmocka_unit_test(every_read_of_repair_counts_for_its_rate),
		cmocka_unit_test(repair_ends_though_pages_are_wrong),
	};

	return cmocka_run_group_tests_name("wrong bytes", tests, NULL, NULL);
}
