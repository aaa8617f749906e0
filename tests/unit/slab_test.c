#include "pages/codec.h"
#include "pages/slab.h"
#include "pages/pagemap.h"
#include "servers/server.h"
#include "support.h"

#include <errno.h>
#include <sched.h>

#define SLAB_PAGES 16u

static struct slab_table table;
static struct slab *slab;

static int make_table(void **state)
{
	struct error why;
	struct slab_geometry geometry =
		slab_geometry(10 * SLAB_PAGES + 1, SLAB_PAGES * 4096, 4096, 1);

	(void)state;
	if (slab_table_create(&table, geometry, 2, &why))
		return -1;
	slab = &table.slabs[3];
	return 0;
}

static int end_table(void **state)
{
	(void)state;
	slab_table_destroy(&table);
	return 0;
}

static void make_live(void)
{
	assert_true(slab_begin_alloc(slab));
	slab->shards[0].server = 2;
	slab->shards[0].remote = (struct remote_slab){ 0x1000, 7, 9 };
	atomic_store(&slab->shards[0].state, SHARD_LIVE);
	slab_finish_alloc(&table, slab);
}

static void the_last_slab_may_be_shard_of_one(void **state)
{
	(void)state;
	assert_int_equal(table.n, 11);
	for (uint64_t i = 0; i < table.n; i++)
		assert_int_equal(slab_state(&table.slabs[i]), SLAB_UNMAPPED);
}

static void pages_lie_in_slabs_one_after_the_other(void **state)
{
	(void)state;
	assert_int_equal(table.geometry.slab_pages, SLAB_PAGES);
	assert_int_equal(slab_of_page(&table, 0), 0);
	assert_int_equal(slab_of_page(&table, 15), 0);
	assert_int_equal(slab_of_page(&table, 16), 1);
	assert_int_equal(slab_offset_of_page(&table, 15), 15 * 4096);
	assert_int_equal(slab_offset_of_page(&table, 16), 0);
	assert_int_equal(slab_offset_of_page(&table, 17), 4096);
}

static void only_a_live_slab_lets_in(void **state)
{
	(void)state;
	assert_int_equal(slab_enter(slab), SLAB_UNMAPPED);
	assert_true(slab_begin_alloc(slab));
	assert_int_equal(slab_enter(slab), SLAB_ALLOCATING);
	slab_cancel_alloc(&table, slab);
	assert_int_equal(slab_enter(slab), SLAB_UNMAPPED);
	make_live();
	assert_int_equal(slab_enter(slab), SLAB_LIVE);
	slab_leave(slab);
	assert_true(slab_begin_free(slab));
	assert_int_equal(slab_enter(slab), SLAB_CLOSING);
}

static void one_caller_is_to_allocate(void **state)
{
	(void)state;
	assert_true(slab_begin_alloc(slab));
	assert_false(slab_begin_alloc(slab));
	slab_cancel_alloc(&table, slab);
	assert_int_equal(slab_state(slab), SLAB_UNMAPPED);
	make_live();
	assert_false(slab_begin_alloc(slab));
}

static void a_live_slab_tells_where_it_is(void **state)
{
	(void)state;
	make_live();
	assert_int_equal(slab_enter(slab), SLAB_LIVE);
	assert_int_equal(slab->shards[0].server, 2);
	assert_int_equal(slab->shards[0].remote.address, 0x1000);
	assert_int_equal(slab->shards[0].remote.slab, 7);
	assert_int_equal(slab->shards[0].remote.rkey, 9);
	slab_leave(slab);
}

static void a_slab_with_somebody_in_is_not_freed(void **state)
{
	(void)state;
	assert_false(slab_begin_free(slab));
	make_live();
	slab_enter(slab);
	slab_enter(slab);
	assert_false(slab_begin_free(slab));
	slab_leave(slab);
	assert_false(slab_begin_free(slab));
	slab_leave(slab);
	assert_true(slab_begin_free(slab));
	assert_false(slab_begin_free(slab));
	slab_finish_close(&table, slab, SLAB_UNMAPPED);
	assert_int_equal(slab_state(slab), SLAB_UNMAPPED);
}

static void a_close_may_end_where_it_began(void **state)
{
	(void)state;
	make_live();
	assert_true(slab_begin_free(slab));
	slab_finish_close(&table, slab, SLAB_LIVE);
	assert_int_equal(slab_enter(slab), SLAB_LIVE);
	assert_int_equal(slab->shards[0].remote.slab, 7);
	slab_leave(slab);
}

/* slab_close in a thread of its own, which waits for the requests in. */
struct closer {
	atomic_bool closed;
	bool rc;
};

static void *close_it(void *arg)
{
	struct closer *closer = arg;

	closer->rc = slab_close(&table, slab);
	atomic_store(&closer->closed, true);
	return NULL;
}

static void a_close_waits_for_all_who_are_in(void **state)
{
	struct closer closer = { .rc = false };
	pthread_t thread;

	(void)state;
	assert_false(slab_close(&table, slab));
	make_live();
	slab_enter(slab);
	slab_enter(slab);
	thread = thread_start(close_it, &closer);
	while (slab_state(slab) == SLAB_LIVE)
		sched_yield();
	assert_int_equal(slab_state(slab), SLAB_CLOSING);
	assert_int_equal(slab_enter(slab), SLAB_CLOSING);
	slab_leave(slab);
	wait_until_asleep();
	assert_false(atomic_load(&closer.closed));
	slab_leave(slab);
	thread_end(thread);
	assert_true(closer.rc);
	assert_int_equal(slab_state(slab), SLAB_CLOSING);
	slab_finish_close(&table, slab, SLAB_UNMAPPED);
	assert_int_equal(slab_state(slab), SLAB_UNMAPPED);
}

/* --- waiting --- */

static void waiting_ends_at_once_where_nothing_changes(void **state)
{
	(void)state;
	assert_int_equal(slab_wait(&table, slab, after_ms(0)), 0);
	make_live();
	assert_int_equal(slab_wait(&table, slab, after_ms(0)), 0);
}

static void waiting_ends_at_the_deadline(void **state)
{
	uint64_t until_ns = after_ms(30);

	(void)state;
	slab_begin_alloc(slab);
	assert_int_equal(slab_wait(&table, slab, until_ns), -ETIMEDOUT);
	assert_int_equal(clock_left_ns(until_ns), 0);
	slab_cancel_alloc(&table, slab);
	make_live();
	slab_begin_free(slab);
	assert_int_equal(slab_wait(&table, slab, after_ms(1)), -ETIMEDOUT);
}

static void *wait_for_slab(void *arg)
{
	*(int *)arg = slab_wait(&table, slab, after_ms(LONG_MS));
	return NULL;
}

/* Two threads wait for the slab until END, called meanwhile, wakes them. */
static void assert_wakes_all(void (*end)(void))
{
	int rc[2] = { -1, -1 };
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		threads[i] = thread_start(wait_for_slab, &rc[i]);
	wait_until_asleep();
	end();
	for (int i = 0; i < 2; i++) {
		thread_end(threads[i]);
		assert_int_equal(rc[i], 0);
	}
}

static void end_by_cancel(void)
{
	slab_cancel_alloc(&table, slab);
}

static void end_by_alloc(void)
{
	slab_finish_alloc(&table, slab);
}

static void end_by_close(void)
{
	slab_finish_close(&table, slab, SLAB_UNMAPPED);
}

static void every_change_that_ends_wakes_all_who_wait(void **state)
{
	(void)state;
	slab_begin_alloc(slab);
	assert_wakes_all(end_by_cancel);
	slab_begin_alloc(slab);
	assert_wakes_all(end_by_alloc);
	slab_begin_free(slab);
	assert_wakes_all(end_by_close);
}

/* --- the promise: nobody is ever in a slab that was closed --- */

#define ENTERERS 3
#define CLOSURES 5000

/* What a slab's remote says while it is nobody's. */
#define POISON 0xdeadbeef

/* Changed by relaxed operations, so that nothing here orders what only the slab
 * has to order: a ThreadSanitizer sees where it does not. */
struct hammer {
	_Atomic int stop;
	_Atomic int inside; /* by the test's own count */
	_Atomic int wrong;  /* saw a slab that is nobody's */
	_Atomic int entered;
	_Atomic int timed_out; /* long before the deadline */
};

static void add(_Atomic int *count, int n)
{
	atomic_fetch_add_explicit(count, n, memory_order_relaxed);
}

static int value(_Atomic int *count)
{
	return atomic_load_explicit(count, memory_order_relaxed);
}

/* How often a free is tried before the slab is lost instead. */
#define FREE_TRIES 1000

static bool whole(const struct remote_slab *remote)
{
	return remote->slab != POISON && remote->rkey == ~remote->slab &&
	       remote->address == (uint64_t)remote->slab << 20;
}

static void *enter_and_leave(void *arg)
{
	struct hammer *h = arg;

	while (!value(&h->stop)) {
		if (slab_enter(slab) != SLAB_LIVE) {
			if (slab_wait(&table, slab, after_ms(LONG_MS)))
				add(&h->timed_out, 1);
			continue;
		}
		add(&h->inside, 1);
		add(&h->entered, 1);
		for (int i = 0; i < 20; i++) {
			/* Plain reads: a data race where the promise breaks. */
			if (!whole(&slab->shards[0].remote))
				add(&h->wrong, 1);
		}
		add(&h->inside, -1);
		slab_leave(slab);
		sched_yield();
	}
	return NULL;
}

/* Closes the slab by a free or, where that is asked for or nobody leaves, as
 * lost, and waits until it is empty.  True for a free. */
static bool close_slab(bool lose)
{
	for (int i = 0; i < FREE_TRIES && !lose; i++) {
		if (slab_begin_free(slab))
			return true;
		sched_yield();
	}
	assert_true(slab_close(&table, slab));
	return false;
}

static void reopen(uint32_t number)
{
	assert_true(slab_begin_alloc(slab));
	slab->shards[0].remote =
		(struct remote_slab){ .address = (uint64_t)number << 20,
				      .slab = number,
				      .rkey = ~number };
	slab_finish_alloc(&table, slab);
}

static void nobody_is_in_a_slab_that_was_closed(void **state)
{
	struct hammer h = { 0 };
	pthread_t threads[ENTERERS];
	unsigned freed = 0;

	(void)state;
	reopen(1);
	for (int i = 0; i < ENTERERS; i++)
		threads[i] = thread_start(enter_and_leave, &h);
	for (uint32_t i = 2; i < CLOSURES || value(&h.entered) < CLOSURES;
	     i++) {
		freed += close_slab(i % 2);
		assert_int_equal(value(&h.inside), 0);
		if (i % 3 == 0) {
			slab_finish_close(&table, slab, SLAB_LIVE);
			continue;
		}
		slab->shards[0].remote.slab = POISON;
		slab_finish_close(&table, slab, SLAB_UNMAPPED);
		reopen(i);
		sched_yield();
	}
	add(&h.stop, 1);
	for (int i = 0; i < ENTERERS; i++)
		thread_end(threads[i]);
	assert_int_equal(value(&h.wrong), 0);
	assert_true(slab_begin_free(slab)); /* so no reference is left */
	assert_int_equal(value(&h.timed_out), 0);
	assert_true(freed > 0);
}

/* As the memory is locked.  Slabs of 2 MiB, four copies, and one more shard for
 * a move; with what the codec keeps, and what four servers have for slabs that
 * are given back.  At most MILLIONTHS of the size. */
static void assert_tables_take(bool encrypt, uint64_t millionths)
{
	const uint64_t pages = 100 * 512;
	const struct slab_geometry geometry =
		slab_geometry(pages, 2u << 20, codec_unit_bytes(encrypt), 1);
	const uint64_t slabs = geometry_slabs(&geometry);
	const struct codec_config config = { .pages = pages,
					     .encrypt = encrypt,
					     .checksum = true };
	struct codec codec;
	struct slab_table big;
	struct pagemap map;
	struct error why;
	uint64_t bytes;

	assert_int_equal(codec_create(&codec, &config, &why), 0);
	assert_int_equal(slab_table_create(&big, geometry, 5, &why), 0);
	assert_int_equal(pagemap_create(&map, pages, &why), 0);
	bytes = big.memory_bytes + map.memory_bytes +
		codec_memory_bytes(&codec) +
		4 * slabs * sizeof(struct given_back);
	assert_in_range(bytes, 1, pages * PAGE_BYTES * millionths / 1000000);
	slab_table_destroy(&big);
	pagemap_destroy(&map);
	codec_destroy(&codec);
}

static void all_tables_take_little_of_the_size(void **state)
{
	(void)state;
	assert_tables_take(false, 1500);
	assert_tables_take(true, 2000);
}

#define with_table(test)                                                       \
	cmocka_unit_test_setup_teardown(test, make_table, end_table)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_table(the_last_slab_may_be_shard_of_one),
		with_table(pages_lie_in_slabs_one_after_the_other),
		with_table(only_a_live_slab_lets_in),
		with_table(one_caller_is_to_allocate),
		with_table(a_live_slab_tells_where_it_is),
		with_table(a_slab_with_somebody_in_is_not_freed),
		with_table(a_close_may_end_where_it_began),
		with_table(a_close_waits_for_all_who_are_in),
		with_table(waiting_ends_at_once_where_nothing_changes),
		with_table(waiting_ends_at_the_deadline),
		with_table(every_change_that_ends_wakes_all_who_wait),
		with_table(nobody_is_in_a_slab_that_was_closed),
		cmocka_unit_test(all_tables_take_little_of_the_size),
	};

	return cmocka_run_group_tests_name("slab", tests, NULL, NULL);
}
