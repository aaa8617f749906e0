/* What happens in the middle of something else: writes inside a read, inside
 * the search for wrong bytes, inside another write and inside the repairer's
 * work.  Each is brought about, and none is left to chance. */
#include "fake_servers.h"

#include <errno.h>

#include "repair/repair.h"

#define SERVERS	 4
#define PAGE	 5u /* the one that all this is about */
#define SHORT_MS 3000

static const struct scheme {
	uint32_t copies, data, parity;
	bool checksum;
} schemes[] = {
	{ 1, 0, 0, true },  { 2, 0, 0, true },	{ 3, 0, 0, true },
	{ 0, 2, 1, true },  { 0, 2, 2, true },	{ 1, 0, 0, false },
	{ 2, 0, 0, false }, { 0, 2, 1, false },
};

static char sent[PAGE_BYTES], got[PAGE_BYTES];

static struct slab *the_slab(void)
{
	return &fake.engine.slabs.slabs[0];
}

/* Writes VERSION of the page.  Any thread, one at a time. */
static _Atomic uint64_t last_version;

static int write_version(uint64_t version)
{
	char buf[PAGE_BYTES];
	int rc;

	fake_fill(buf, PAGE, 1, version);
	rc = fake_write(buf, PAGE, 1);
	atomic_store(&last_version, version);
	return rc;
}

static void start_scheme(const struct scheme *s, uint64_t timeout_ms)
{
	const struct codec_config codec = { .pages = FAKE_PAGES,
					    .checksum = s->checksum };
	struct error why;

	fake_start_copies(SERVERS, 4, timeout_ms, s->copies, s->data,
			  s->parity);
	if (!FAKE_ENCRYPT) {
		codec_destroy(&fake.engine.codec);
		assert_int_equal(codec_create(&fake.engine.codec, &codec, &why),
				 0);
	}
	for (uint32_t i = 0; i < SERVERS; i++)
		fake_session_start(i);
	fake_map_slab(0, 0);
	assert_int_equal(write_version(1), 0);
}

static void end_scheme(void)
{
	repair_stop(&fake.engine);
	assert_counts_right();
	fake_stop();
}

static void start_repair(void)
{
	struct error why;

	assert_int_equal(repair_start(&fake.engine, &why), 0);
}

/* Until the repairer finds nothing to do. */
static void await_repair(void)
{
	struct repair *k = fake.engine.repair;

	/* A pass that began before the call may not have seen what came after:
	 * its end is not counted. */
	wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	do
		wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	while (atomic_load(&k->short_slabs) || atomic_load(&k->moving_slabs) ||
	       atomic_load(&k->stale_pages));
}

static void assert_reads_last_version(void)
{
	memset(got, 0xee, sizeof got);
	assert_int_equal(fake_read(got, PAGE, 1), 0);
	/* It may have become another one meanwhile. */
	fake_fill(sent, PAGE, 1, atomic_load(&last_version));
	assert_memory_equal(got, sent, PAGE_BYTES);
}

static uint32_t stale_chunks(void)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < fake.engine.slabs.n_shards; i++) {
		const struct slab_shard *shard = &the_slab()->shards[i];

		if (shard_is_live(shard))
			n += atomic_load(&shard->stale_chunks);
	}
	return n;
}

static void take_away(uint32_t machine)
{
	atomic_store(&fake.sessions[machine].no_repair, true);
	server_break(&fake.engine.servers[machine], "the test");
	server_stays_away(&fake.engine.servers[machine]);
}

static void bring_back(uint32_t machine)
{
	struct server *server = &fake.engine.servers[machine];

	atomic_store(&fake.sessions[machine].no_repair, false);
	server_wake(server);
	assert_int_equal(server_wait(server, after_ms(LONG_MS)), 0);
}

/* Whichever servers the page is read from it is the last version. */
static void assert_all_shards_are_right(void)
{
	assert_int_equal(stale_chunks(), 0);
	for (uint32_t i = 0; i < SERVERS; i++) {
		uint32_t shards = fake.engine.redundancy.shards;

		/* All but those that it takes. */
		for (uint32_t j = fake.engine.redundancy.need; j < shards; j++)
			take_away((i + j) % SERVERS);
		assert_reads_last_version();
		for (uint32_t j = 0; j < SERVERS; j++)
			bring_back(j);
	}
	assert_int_equal(atomic_load(&fake.engine.counters.wrong_reads), 0);
}

/* --- writes inside a read --- */

static uint64_t changes;
static bool trims;

/* As many changes of the page as are wanted, the last of them a write. */
static void change_page(const struct xfer *x)
{
	(void)x;
	for (uint64_t i = 1; i <= changes; i++) {
		if (trims && (changes - i) % 2)
			engine_discard(&fake.engine, PAGE_BYTES,
				       PAGE * UINT64_C(4096));
		else
			(void)write_version(100 + i);
	}
}

static void read_with_changes_inside(uint64_t n, bool with_trims)
{
	changes = n;
	trims = with_trims;
	assert_int_equal(write_version(2), 0);
	fake_at_halfway(XFER_READ, 0, change_page);
	assert_reads_last_version();
	assert_int_equal(atomic_load(&last_version), 100 + n);
	assert_int_equal(atomic_load(&fake.engine.counters.wrong_reads), 0);
	assert_int_equal(atomic_load(&fake.engine.pages.lost), 0);
	assert_int_equal(stale_chunks(), 0);
}

/* 32 is where the sequence of a page's byte comes round. */
static void a_read_sees_any_number_of_writes_inside(void **state)
{
	static const uint64_t numbers[] = { 1, 2, 31, 32, 33, 64, 1024 };

	(void)state;
	for (size_t i = 0; i < COUNT(schemes); i++) {
		start_scheme(&schemes[i], LONG_MS);
		for (size_t j = 0; j < COUNT(numbers); j++) {
			read_with_changes_inside(numbers[j], false);
			read_with_changes_inside(numbers[j], true);
		}
		end_scheme();
	}
}

/* --- a write inside the search for what is wrong --- */

/* Called before a page is made somebody's own. */
static void (*before_own)(void);

int __real_pagemap_lock(struct pagemap *map, uint64_t page,
			uint64_t deadline_ns);
int __wrap_pagemap_lock(struct pagemap *map, uint64_t page,
			uint64_t deadline_ns);

int __wrap_pagemap_lock(struct pagemap *map, uint64_t page,
			uint64_t deadline_ns)
{
	void (*hook)(void) = before_own;

	if (hook) {
		before_own = NULL;
		hook();
	}
	return __real_pagemap_lock(map, page, deadline_ns);
}

static void write_once_more(void)
{
	(void)write_version(7);
}

static void a_shard_that_became_right_is_not_condemned(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(schemes); i++) {
		if (!schemes[i].checksum)
			continue;
		start_scheme(&schemes[i], LONG_MS);
		/* It is noticed by the first read, whichever shard it takes. */
		for (uint32_t p = 0; p < fake.engine.redundancy.shards; p++)
			fake_spoil(PAGE, p);
		before_own = write_once_more;
		assert_reads_last_version();
		assert_null(before_own);
		assert_int_equal(stale_chunks(), 0);
		assert_int_equal(atomic_load(&fake.engine.pages.lost), 0);
		assert_all_shards_are_right();
		end_scheme();
	}
}

static pthread_t writer;
static _Atomic bool written;

static void *write_version_9(void *arg)
{
	*(int *)arg = write_version(9);
	atomic_store(&written, true);
	return NULL;
}

static int writer_rc;

/* Begins another write of the page, and goes on when that has ended, or waits
 * for the thread that has locked the page. */
static void write_beside(const struct xfer *x)
{
	(void)x;
	atomic_store(&written, false);
	writer = thread_start(write_version_9, &writer_rc);
	while (!atomic_load(&written) &&
	       atomic_load(&fake.engine.pages.waiters) == 0)
		sleep_ms(1);
}

static void a_write_inside_the_search_is_not_lost(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(schemes); i++) {
		const uint32_t need = schemes[i].data ? schemes[i].data : 1;

		if (!schemes[i].checksum)
			continue;
		start_scheme(&schemes[i], LONG_MS);
		for (uint32_t p = 0; p < fake.engine.redundancy.shards; p++)
			fake_spoil(PAGE, p);
		/* After the read that came out wrong. */
		fake_at_halfway(XFER_READ, need, write_beside);
		(void)fake_read(got, PAGE, 1);
		thread_end(writer);
		assert_int_equal(writer_rc, 0);
		assert_reads_last_version();
		assert_int_equal(atomic_load(&fake.engine.pages.lost), 0);
		assert_int_equal(stale_chunks(), 0);
		end_scheme();
	}
}

/* --- a write inside another one, and inside a repair --- */

static void two_writers_of_a_page_leave_one_of_two(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(schemes); i++) {
		start_scheme(&schemes[i], LONG_MS);
		for (unsigned skip = 0; skip < fake.engine.redundancy.shards;
		     skip++) {
			fake_at_halfway(XFER_WRITE, skip, write_beside);
			assert_int_equal(write_version(8), 0);
			thread_end(writer);
			assert_int_equal(writer_rc, 0);
			/* It waited, so it was the later one. */
			atomic_store(&last_version, 9);
			assert_all_shards_are_right();
		}
		end_scheme();
	}
}

static void a_write_inside_a_repair_is_not_undone(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(schemes); i++) {
		if (schemes[i].copies == 1)
			continue;
		start_scheme(&schemes[i], LONG_MS);
		take_away(1);
		assert_int_equal(write_version(2), 0);
		bring_back(1);
		assert_int_equal(stale_chunks(), 1);
		/* Nobody reads but the repairer. */
		fake_at_halfway(XFER_READ, 0, write_beside);
		start_repair();
		await_repair();
		repair_stop(&fake.engine);
		assert_null(fake.halfway.call);
		thread_end(writer);
		assert_int_equal(writer_rc, 0);
		assert_all_shards_are_right();
		end_scheme();
	}
}

/* --- a write just before the repairer closes a slab --- */

static void (*before_close)(struct slab *slab);

bool __real_slab_close(struct slab_table *table, struct slab *slab);
bool __wrap_slab_close(struct slab_table *table, struct slab *slab);

bool __wrap_slab_close(struct slab_table *table, struct slab *slab)
{
	if (before_close)
		before_close(slab);
	return __real_slab_close(table, slab);
}

static bool (*before_free)(struct slab *slab);

bool __real_slab_begin_free(struct slab *slab);
bool __wrap_slab_begin_free(struct slab *slab);

bool __wrap_slab_begin_free(struct slab *slab)
{
	if (before_free && before_free(slab))
		before_free = NULL;
	return __real_slab_begin_free(slab);
}

static uint32_t missed_by;

/* The slab has been copied to another server: that one misses a write. */
static void write_without_the_new_server(struct slab *slab)
{
	const struct slab_shard *new = NULL;

	for (uint32_t i = 0; i < fake.engine.slabs.n_shards; i++) {
		if (slab != the_slab() || !shard_is_live(&slab->shards[i]))
			return;
		if (slab->shards[i].server != 0)
			new = &slab->shards[i];
	}
	before_close = NULL;
	missed_by = atomic_load(&new->server);
	take_away(missed_by);
	(void)write_version(6);
}

static void a_shard_is_kept_whose_twin_missed_a_write(void **state)
{
	(void)state;
	start_scheme(&schemes[0], LONG_MS);
	before_close = write_without_the_new_server;
	atomic_store(&fake.engine.servers[0].shared.release_slabs, 1);
	start_repair();
	while (atomic_load(&last_version) != 6)
		wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	assert_reads_last_version();
	bring_back(missed_by);
	await_repair();
	assert_reads_last_version();
	/* In the end it has moved. */
	while (atomic_load(&fake.engine.servers[0].shared.release_slabs) != 0)
		wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	assert_reads_last_version();
	end_scheme();
}

/* A write comes and goes between the look at an empty slab and its closing. */
static bool fill_the_slab(struct slab *slab)
{
	return slab == the_slab() && write_version(5) == 0;
}

static void a_slab_that_was_filled_just_now_is_not_freed(void **state)
{
	(void)state;
	start_scheme(&schemes[0], SHORT_MS);
	engine_discard(&fake.engine, PAGE_BYTES, PAGE * UINT64_C(4096));
	the_slab()->empty_ticks = 2; /* it has been empty for long */
	before_free = fill_the_slab;
	start_repair();
	while (atomic_load(&last_version) != 5)
		wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	repair_stop(&fake.engine);
	assert_int_equal(slab_state(the_slab()), SLAB_LIVE);
	assert_reads_last_version();
	end_scheme();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_read_sees_any_number_of_writes_inside),
		cmocka_unit_test(a_shard_that_became_right_is_not_condemned),
		cmocka_unit_test(a_write_inside_the_search_is_not_lost),
		cmocka_unit_test(two_writers_of_a_page_leave_one_of_two),
		cmocka_unit_test(a_write_inside_a_repair_is_not_undone),
		cmocka_unit_test(a_shard_is_kept_whose_twin_missed_a_write),
		cmocka_unit_test(a_slab_that_was_filled_just_now_is_not_freed),
	};

	return cmocka_run_group_tests_name("overlap", tests, NULL, NULL);
}
