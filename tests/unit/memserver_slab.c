/* The pool of slabs: a slab that is taken out is zero and locked.  A slab that
 * comes back goes back to the operating system, but not while it is in use. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "loops/container.h"
#include "slabs/slab.h"

#define SLAB  (1ull << 20)
#define SLABS 4
#define ME    7
#define OTHER 8

static struct ev_loop *loop;
static struct mailbox box;
static struct workq preparer;
static struct slab_pool pool;

static int setup_with(unsigned stock)
{
	struct slab_pool_config config = { .memory_bytes = SLABS * SLAB,
					   .slab_bytes = SLAB,
					   .stock = stock };
	struct error why;

	loop = ev_loop_new(EVFLAG_AUTO);
	mailbox_open(&box, loop);
	if (slab_pool_open(&pool, &config, &preparer, &why) < 0)
		return -1;
	return workq_start(&preparer, "preparer", &box, &why);
}

static int setup(void **state)
{
	(void)state;
	return setup_with(0);
}

static int setup_stock(void **state)
{
	(void)state;
	return setup_with(2);
}

static int teardown(void **state)
{
	(void)state;
	workq_stop(&preparer);
	slab_pool_close(&pool);
	mailbox_close(&box);
	ev_loop_destroy(loop);
	return 0;
}

/* What the preparing thread does elsewhere is done here by a piece of work. */
struct take {
	struct work work;
	struct slab *slab;
	int err;
};

static void take_run(struct work *work)
{
	struct take *take = container_of(work, struct take, work);

	take->err = slab_take(&pool, &take->slab);
}

static void take_done(struct work *work)
{
	(void)work;
	ev_break(loop, EVBREAK_ALL);
}

static int take(struct slab **slab)
{
	struct take take = { .work = { .run = take_run, .done = take_done } };

	workq_submit(&preparer, &take.work);
	ev_run(loop, 0);
	*slab = take.slab;
	return take.err;
}

static uint64_t labels;

static struct slab *take_owned(uint32_t owner)
{
	struct slab *slab;

	assert_int_equal(take(&slab), 0);
	slab_own(slab, owner, labels++);
	return slab;
}

static void nothing_run(struct work *work)
{
	(void)work;
}

/* Until the preparing thread has done what was asked of it before, also by the
 * last user of a slab, by way of the main loop. */
static void settle(void)
{
	struct work work = { .run = nothing_run, .done = take_done };

	mailbox_deliver(&box);
	workq_submit(&preparer, &work);
	ev_run(loop, 0);
}

static bool resident(const struct slab *slab)
{
	unsigned char pages[SLAB / 4096];
	size_t count = SLAB / (size_t)sysconf(_SC_PAGESIZE);

	assert_int_equal(mincore(slab->memory, SLAB, pages), 0);
	for (size_t i = 0; i < count; i++) {
		if (pages[i] & 1)
			return true;
	}
	return false;
}

static bool all_zero(const struct slab *slab)
{
	return slab->memory[0] == 0 &&
	       !memcmp(slab->memory, slab->memory + 1, SLAB - 1);
}

static void hands_out_all_and_no_more(void **state)
{
	struct slab *slabs[SLABS];
	struct slab *more;

	(void)state;
	for (int i = 0; i < SLABS; i++) {
		slabs[i] = take_owned(ME);
		assert_true(all_zero(slabs[i]));
		assert_true(resident(slabs[i]));
		for (int j = 0; j < i; j++)
			assert_ptr_not_equal(slabs[i], slabs[j]);
	}
	assert_int_equal(take(&more), -ENOSPC);
	assert_int_equal(slab_pool_figures(&pool).used, SLABS);
	assert_int_equal(slab_pool_figures(&pool).free_bytes, 0);
	for (int i = 0; i < SLABS; i++)
		slab_disown(slabs[i]);
	settle();
	assert_int_equal(slab_pool_figures(&pool).free_bytes, SLABS * SLAB);
}

static void comes_back_to_the_system_and_zero(void **state)
{
	struct slab *slab = take_owned(ME);
	struct slab *again;

	(void)state;
	memset(slab->memory, 0xa5, SLAB);
	slab_disown(slab);
	settle();
	assert_false(resident(slab));
	again = take_owned(OTHER);
	assert_ptr_equal(again, slab);
	assert_true(all_zero(again));
	slab_disown(again);
}

/* How many mappings the kernel has in the pool's address space. */
static unsigned mappings(void)
{
	uintptr_t from, to, end = (uintptr_t)pool.base + SLABS * SLAB;
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	unsigned n = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof line, maps)) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &from, &to) == 2 &&
		    from < end && to > (uintptr_t)pool.base)
			n++;
	}
	fclose(maps);
	return n;
}

/* A process may have 65,530 of them, and a server has more slabs. */
static void slabs_that_come_and_go_leave_one_mapping(void **state)
{
	struct slab *slabs[SLABS];
	unsigned before;

	(void)state;
	for (int i = 0; i < SLABS; i++)
		slabs[i] = take_owned(ME);
	before = mappings();
	for (int i = 1; i < SLABS; i += 2)
		slab_disown(slabs[i]);
	settle();
	assert_false(resident(slabs[1]));
	assert_int_equal(mappings(), before);
	for (int i = 0; i < SLABS; i += 2)
		slab_disown(slabs[i]);
}

static void only_the_owner_holds(void **state)
{
	struct slab *slab = take_owned(ME);

	(void)state;
	assert_ptr_equal(slab_find(&pool, slab->number, ME), slab);
	assert_null(slab_find(&pool, slab->number, OTHER));
	assert_null(slab_hold(&pool, slab->number, OTHER));
	assert_null(slab_hold(&pool, SLABS, ME));
	assert_null(slab_hold(&pool, UINT32_MAX, ME));
	assert_null(slab_hold(&pool, slab->number + 1, ME)); /* never used */
	assert_ptr_equal(slab_hold(&pool, slab->number, ME), slab);
	slab_drop(slab);
	slab_disown(slab);
	assert_null(slab_hold(&pool, slab->number, ME));
}

static unsigned told;

static void unheld(struct slab *slab)
{
	(void)slab;
	told++;
}

/* FREE while a lane still moves bytes. */
static void stays_while_held(void **state)
{
	struct slab *slab = take_owned(ME);

	(void)state;
	slab->unheld = unheld;
	assert_non_null(slab_hold(&pool, slab->number, ME));
	assert_non_null(slab_hold(&pool, slab->number, ME));
	assert_false(slab_freed_before(slab, ME, UINT64_MAX));
	assert_true(slab_disown(slab));
	assert_true(slab_freed_before(slab, ME, UINT64_MAX));
	assert_false(slab_freed_before(slab, ME, 1));
	settle();
	assert_true(resident(slab));
	assert_int_equal(slab_pool_figures(&pool).used, 1);
	assert_null(slab_hold(&pool, slab->number, ME));
	slab_drop(slab);
	settle();
	assert_true(resident(slab));
	assert_int_equal(told, 0);
	slab_drop(slab);
	settle();
	assert_int_equal(told, 1);
	assert_false(resident(slab));
	assert_int_equal(slab_pool_figures(&pool).used, 0);
}

static void wait_for_stock(unsigned stock)
{
	uint64_t deadline_ns = clock_now_ns() + 10 * NS_PER_S;

	while (slab_pool_figures(&pool).stock != stock)
		assert_true(clock_left_ns(deadline_ns) > 0 &&
			    usleep(1000) == 0);
}

static void keeps_a_stock(void **state)
{
	struct slab *first;
	struct slab *second;
	struct slab *third;

	(void)state;
	assert_null(slab_take_ready(&pool));
	slab_stock_fill(&pool);
	wait_for_stock(2);
	first = slab_take_ready(&pool);
	assert_non_null(first);
	assert_true(all_zero(first));
	wait_for_stock(2);
	second = slab_take_ready(&pool);
	wait_for_stock(2); /* the last two */
	third = slab_take_ready(&pool);
	assert_non_null(second);
	assert_non_null(third);
	assert_int_equal(slab_pool_figures(&pool).stock, 1);
	slab_put_back(first);
	wait_for_stock(2);
	slab_put_back(second);
	slab_put_back(third);
}

static int unregistered;

static int unregister(void *region)
{
	assert_ptr_equal(region, &unregistered);
	unregistered++;
	return 0;
}

static int unregister_fails(void *region)
{
	(void)region;
	return -EBUSY;
}

static void unregisters_before_it_goes_back(void **state)
{
	struct slab *slab = take_owned(ME);

	(void)state;
	slab->region = &unregistered;
	slab->unregister = unregister;
	slab_disown(slab);
	settle();
	assert_int_equal(unregistered, 1);
	assert_null(slab->region);
	assert_false(resident(slab));
}

static void never_reuses_what_stays_registered(void **state)
{
	struct slab *slab = take_owned(ME);
	struct slab *other;

	(void)state;
	slab->region = &unregistered;
	slab->unregister = unregister_fails;
	slab_disown(slab);
	settle();
	for (int i = 1; i < SLABS; i++) {
		other = take_owned(OTHER);
		assert_ptr_not_equal(other, slab);
	}
	assert_int_equal(take(&other), -ENOSPC);
}

/* One thread takes slabs out and puts them back, two hold and drop them.  A
 * slab that has a holder must never get another owner. */
static struct slab *contested;
static atomic_bool stop;

static void *hold_and_drop(void *arg)
{
	_Atomic uint64_t *held = arg;

	while (!stop) {
		struct slab *slab = slab_hold(&pool, contested->number, ME);

		if (!slab)
			continue;
		assert_true(resident(slab));
		slab_drop(slab);
		(*held)++;
	}
	return NULL;
}

static void races_with_freeing(void **state)
{
	_Atomic uint64_t held[2] = { 0, 0 };
	pthread_t threads[2];

	(void)state;
	contested = take_owned(ME);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						hold_and_drop, &held[i]),
				 0);
	for (int i = 0; i < 300 || !held[0] || !held[1]; i++) {
		slab_disown(contested);
		do {
			settle();
		} while (slab_pool_figures(&pool).used);
		assert_ptr_equal(take_owned(ME), contested);
	}
	stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	slab_disown(contested);
	settle();
	assert_int_equal(slab_pool_figures(&pool).used, 0);
}

/* As a session asks again for what it may have been given. */
static void finds_what_a_label_has(void **state)
{
	struct slab *mine, *other;

	(void)state;
	assert_int_equal(take(&mine), 0);
	assert_int_equal(take(&other), 0);
	assert_null(slab_find_label(&pool, 7, 5));
	slab_own(mine, 7, 5);
	slab_own(other, 8, 5);
	assert_ptr_equal(slab_find_label(&pool, 7, 5), mine);
	assert_ptr_equal(slab_find_label(&pool, 8, 5), other);
	assert_null(slab_find_label(&pool, 7, 6));
	/* whatever chains they share */
	for (uint32_t owner = 9; owner < 1000; owner++)
		assert_null(slab_find_label(&pool, owner, 5));
	slab_disown(mine);
	assert_null(slab_find_label(&pool, 7, 5));
	assert_ptr_equal(slab_find_label(&pool, 8, 5), other);
	slab_disown(other);
	assert_null(slab_find_label(&pool, 8, 5));
}

/* The paper's key and bytes, 00 01 02 ...; what its authors' program gives. */
static void siphash_is_that_of_the_paper(void **state)
{
	const struct siphash_key key = { { UINT64_C(0x0706050403020100),
					   UINT64_C(0x0f0e0d0c0b0a0908) } };

	(void)state;
	assert_true(siphash(&key, key.k[0], key.k[1]) ==
		    UINT64_C(0x3f2acc7f57c29bdb));
}

static unsigned longest_chain(void)
{
	unsigned longest = 0;

	for (uint32_t i = 0; i < pool.count; i++) {
		const struct slab *slab;
		unsigned n = 0;

		LIST_FOREACH(slab, &pool.by_label[i], chained)
		n++;
		longest = n > longest ? n : longest;
	}
	return longest;
}

/* Labels that meet in one chain of a hash without a secret: x * CONSTANT is
 * inverted for products of which only bits below the upper half differ. */
static void nobody_chooses_a_chain(void **state)
{
	const uint64_t constant = UINT64_C(0x9e3779b97f4a7c15);
	const unsigned n = 64;
	struct slab slabs[64] = { { .hold = 0 } };
	uint64_t inverse = constant;

	(void)state;
	for (int i = 0; i < 6; i++) /* Newton's method, modulo 2^64 */
		inverse *= 2 - constant * inverse;
	for (unsigned i = 0; i < n; i++) {
		slabs[i].pool = &pool;
		slab_own(&slabs[i], ME,
			 ((uint64_t)i * SLABS * inverse) ^ (uint64_t)ME << 32);
	}
	/* of 64 in 4 chains */
	assert_in_range(longest_chain(), n / SLABS, n / 4 * 3);
	for (unsigned i = 0; i < n; i++)
		LIST_REMOVE(&slabs[i], chained);
	pool.owned = 0;
	assert_int_equal(longest_chain(), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(finds_what_a_label_has),
		TEST(hands_out_all_and_no_more),
		TEST(comes_back_to_the_system_and_zero),
		TEST(slabs_that_come_and_go_leave_one_mapping),
		TEST(only_the_owner_holds),
		TEST(stays_while_held),
		cmocka_unit_test_setup_teardown(keeps_a_stock, setup_stock,
						teardown),
		TEST(unregisters_before_it_goes_back),
		TEST(never_reuses_what_stays_registered),
		TEST(races_with_freeing),
		cmocka_unit_test(siphash_is_that_of_the_paper),
		TEST(nobody_chooses_a_chain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
