#include "pages/lane.h"
#include "support.h"

#include <sched.h>

#define LANES	4
#define SERVERS 2

static struct lane_pool pool;

static void make_pool_of(uint32_t n)
{
	const struct lane_pool_config config = {
		.lanes = n,
		.servers = SERVERS,
		.channel = { .buffer_bytes = 4096 },
	};
	struct error why;

	assert_int_equal(lane_pool_create(&pool, &config, &why), 0);
}

static int make_pool(void **state)
{
	(void)state;
	make_pool_of(LANES);
	return 0;
}

static int end_pool(void **state)
{
	(void)state;
	lane_pool_destroy(&pool);
	return 0;
}

static struct lane *get_now(enum lane_use use)
{
	return lane_get(&pool, use, after_ms(0));
}

static void lanes_come_last_in_first_out(void **state)
{
	struct lane *a = get_now(LANE_READ), *b = get_now(LANE_READ);

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	assert_ptr_not_equal(a, b);
	lane_put(&pool, a, LANE_READ);
	lane_put(&pool, b, LANE_READ);
	assert_ptr_equal(get_now(LANE_READ), b);
	assert_ptr_equal(get_now(LANE_READ), a);
	lane_put(&pool, a, LANE_READ);
	assert_ptr_equal(get_now(LANE_WRITE), a);
}

static void reads_may_take_every_lane(void **state)
{
	(void)state;
	for (int i = 0; i < LANES; i++)
		assert_non_null(get_now(LANE_READ));
	assert_null(get_now(LANE_READ));
	assert_null(get_now(LANE_WRITE));
}

/* How many lanes of N writes get before they have to wait. */
static uint32_t writers_of(uint32_t n)
{
	uint32_t writers = 0;

	make_pool_of(n);
	while (get_now(LANE_WRITE))
		writers++;
	lane_pool_destroy(&pool);
	return writers;
}

static void writes_leave_lanes_to_reads(void **state)
{
	static const struct {
		uint32_t lanes, writers;
	} expected[] = { { 1, 1 }, { 2, 1 },   { 3, 2 },    { 4, 3 },
			 { 8, 6 }, { 16, 12 }, { 256, 192 } };

	(void)state;
	for (size_t i = 0; i < COUNT(expected); i++)
		assert_int_equal(writers_of(expected[i].lanes),
				 expected[i].writers);
}

static void waiting_ends_at_the_deadline(void **state)
{
	uint64_t until_ns = after_ms(30);

	(void)state;
	for (int i = 0; i < LANES; i++)
		get_now(LANE_READ);
	assert_null(lane_get(&pool, LANE_READ, until_ns));
	assert_int_equal(clock_left_ns(until_ns), 0);
	assert_null(lane_get(&pool, LANE_WRITE, after_ms(1)));
	assert_int_equal(pool.read_waiters, 0);
	assert_int_equal(pool.write_waiters, 0);
}

/* --- a thread that waits for a lane --- */

struct waiter {
	enum lane_use use;
	struct lane *lane;
	pthread_t thread;
};

static void *wait_for_lane(void *arg)
{
	struct waiter *w = arg;

	w->lane = lane_get(&pool, w->use, after_ms(LONG_MS));
	return NULL;
}

static uint32_t waiting(enum lane_use use)
{
	uint32_t n;

	pthread_mutex_lock(&pool.lock);
	n = use == LANE_READ ? pool.read_waiters : pool.write_waiters;
	pthread_mutex_unlock(&pool.lock);
	return n;
}

/* Starts one, and returns when it is asleep. */
static void start_waiter(struct waiter *w, enum lane_use use)
{
	uint32_t before = waiting(use);

	*w = (struct waiter){ .use = use };
	w->thread = thread_start(wait_for_lane, w);
	while (waiting(use) == before)
		sleep_ms(1);
}

static void a_read_passes_the_writes_that_wait(void **state)
{
	struct waiter writer;
	struct lane *held = NULL;

	(void)state;
	for (uint32_t i = 0; i < pool.max_writers; i++)
		held = get_now(LANE_WRITE);
	start_waiter(&writer, LANE_WRITE);
	assert_non_null(get_now(LANE_READ));
	assert_int_equal(waiting(LANE_WRITE), 1);
	lane_put(&pool, held, LANE_WRITE);
	thread_end(writer.thread);
	assert_ptr_equal(writer.lane, held);
}

static void a_reads_lane_does_not_go_to_a_write_too_many(void **state)
{
	struct lane *read = get_now(LANE_READ), *held = NULL;
	struct waiter writer;

	(void)state;
	for (uint32_t i = 0; i < pool.max_writers; i++)
		held = get_now(LANE_WRITE);
	start_waiter(&writer, LANE_WRITE);
	lane_put(&pool, read, LANE_READ);
	wait_until_asleep();
	assert_int_equal(waiting(LANE_WRITE), 1);
	lane_put(&pool, held, LANE_WRITE);
	thread_end(writer.thread);
	assert_non_null(writer.lane);
}

static void one_lane_each_for_a_read_and_a_write_that_wait(void **state)
{
	struct lane *held[LANES];
	struct waiter reader, writer;

	(void)state;
	for (int i = 0; i < LANES; i++)
		held[i] = get_now(LANE_READ);
	start_waiter(&writer, LANE_WRITE);
	start_waiter(&reader, LANE_READ);
	lane_put(&pool, held[0], LANE_READ);
	lane_put(&pool, held[1], LANE_READ);
	thread_end(writer.thread);
	thread_end(reader.thread);
	assert_non_null(writer.lane);
	assert_non_null(reader.lane);
	assert_ptr_not_equal(writer.lane, reader.lane);
}

/* --- closing --- */

static void closing_wakes_who_waits_with_nothing(void **state)
{
	uint64_t begin_ns = clock_now_ns();
	struct waiter reader, writer;
	struct lane *held[LANES];

	(void)state;
	for (int i = 0; i < LANES; i++)
		held[i] = get_now(LANE_READ);
	start_waiter(&reader, LANE_READ);
	start_waiter(&writer, LANE_WRITE);
	assert_false(lane_pool_close(&pool, after_ms(10)));
	thread_end(reader.thread);
	thread_end(writer.thread);
	assert_true(clock_now_ns() - begin_ns < LONG_MS * NS_PER_MS);
	assert_null(reader.lane);
	assert_null(writer.lane);
	for (int i = 0; i < LANES; i++)
		lane_put(&pool, held[i], LANE_READ);
	assert_true(lane_pool_close(&pool, after_ms(0)));
	assert_null(get_now(LANE_READ));
	assert_null(get_now(LANE_WRITE));
}

static void *put_after_a_while(void *arg)
{
	wait_until_asleep();
	lane_put(&pool, arg, LANE_WRITE);
	return NULL;
}

static void closing_waits_for_lanes_to_come_home(void **state)
{
	pthread_t thread = thread_start(put_after_a_while, get_now(LANE_WRITE));

	(void)state;
	assert_true(lane_pool_close(&pool, after_ms(LONG_MS)));
	thread_end(thread);
}

/* --- links --- */

static unsigned aborts, closes;

static void count_abort(struct link *link)
{
	(void)link;
	aborts++;
}

static void count_close(struct link *link)
{
	(void)link;
	closes++;
}

static const struct transport_ops counting_ops = {
	.link_abort = count_abort,
	.link_close = count_close,
};

/* --- channels --- */

/* Only the repairer's units are elsewhere than in its lane. */
static void each_lane_has_memory_of_its_own(void **state)
{
	const struct lane_pool_config config = {
		.lanes = 1,
		.servers = SERVERS,
		.channel = { .buffer_bytes = 4096 },
		.scratch_bytes = 8192,
	};
	struct channel_config given;
	struct error why;

	(void)state;
	lane_pool_destroy(&pool);
	assert_int_equal(lane_pool_create(&pool, &config, &why), 0);
	given = lane_channel_config(&pool, &pool.lanes[0]);
	assert_ptr_equal(given.memory, pool.lanes[0].scratch);
	assert_int_equal(given.memory_bytes, 8192);
	assert_int_equal(given.outside_bytes, 0);
	given = lane_channel_config(&pool, lane_of_repair(&pool));
	assert_ptr_equal(given.memory, pool.lanes[0].scratch + 8192);
	assert_int_equal(given.outside_bytes, 4096);
}

#define CACHE_LINE_BYTES 64u

/* Counting must not make a lane wait for a cache line that another lane's
 * thread writes: the counters of a lane fill whole lines. */
static void counts_in_lines_of_its_own(uint32_t servers)
{
	const struct lane_pool_config config = { .lanes = LANES,
						 .servers = servers };
	struct error why;
	uint64_t bytes;

	lane_pool_destroy(&pool);
	assert_int_equal(lane_pool_create(&pool, &config, &why), 0);
	bytes = lane_counters_bytes(&pool);
	assert_int_equal(bytes % CACHE_LINE_BYTES, 0);
	for (uint32_t i = 0; i < pool.n; i++) {
		const struct lane_counters *c = pool.lanes[i].counters;
		uintptr_t begin = (uintptr_t)c, end = begin + bytes;

		assert_int_equal(begin % CACHE_LINE_BYTES, 0);
		assert_true((uintptr_t)&c->transfers[servers] <= end);
		for (uint32_t j = 0; j < i; j++) {
			uintptr_t other = (uintptr_t)pool.lanes[j].counters;

			assert_true(other >= end || other + bytes <= begin);
		}
	}
}

static void each_lane_counts_in_cache_lines_of_its_own(void **state)
{
	(void)state;
	/* with other numbers of servers they end elsewhere in a line */
	for (uint32_t servers = 1; servers <= 5; servers++)
		counts_in_lines_of_its_own(servers);
}

/* --- lanes with late transfers --- */

static struct link late_link = { .ops = &counting_ops };
static unsigned given_up;

static size_t version(struct channel *channel, struct xfer *xfers, size_t n,
		      size_t want, uint64_t deadline_ns)
{
	(void)channel;
	(void)want;
	(void)deadline_ns;
	return transport_over(xfers, n);
}

static bool usable;

static bool is_usable(const struct channel *channel)
{
	(void)channel;
	return usable;
}

static void abandon(struct channel *channel, struct xfer *xfers, size_t n)
{
	(void)channel;
	for (size_t i = 0; i < n; i++)
		xfers[i].status = -ETIMEDOUT;
	usable = false;
}

static const struct transport_ops looking_ops = { .wait_until = version,
						  .abandon = abandon,
						  .usable = is_usable };
static struct channel looking = { .ops = &looking_ops };

static void parked(void *owner)
{
	(void)owner;
}

static void give_up(void *owner, uint32_t server)
{
	(void)owner;
	(void)server;
	given_up++;
}

/* Puts it back with a transfer in flight. */
static void park_lane(struct lane *lane)
{
	struct lane_set *set = &lane->sets[0];

	pool.config.parked = parked;
	pool.config.give_up = give_up;
	lane->channels[0] = &looking;
	usable = true;
	set->n = set->submitted = 1;
	set->tags[0] = (struct lane_tag){ .late = true };
	set->xfers[0] =
		(struct xfer){ .link = &late_link, .status = -EINPROGRESS };
	lane_put(&pool, lane, LANE_READ);
	assert_int_not_equal(pool.n_parked, 0);
}

static void end_late(struct lane *lane)
{
	lane->sets[0].xfers[0].status = 0;
}

/* A thread that slept before there was a parked lane gets that lane too. */
static void a_lane_that_is_parked_comes_free_for_who_waits(void **state)
{
	uint64_t deadline_ns = after_ms(LONG_MS);
	struct lane *lane = NULL;
	struct waiter reader;

	(void)state;
	for (int i = 0; i < LANES; i++)
		lane = get_now(LANE_READ);
	start_waiter(&reader, LANE_READ);
	park_lane(lane);
	end_late(lane);
	thread_end(reader.thread);
	assert_ptr_equal(reader.lane, lane);
	assert_true(clock_left_ns(deadline_ns) > 0); /* not only then */
	lane->channels[0] = NULL;
}

/* Its server may be one whose session hangs in a call. */
static void what_is_too_late_is_aborted_at_once(void **state)
{
	struct lane *lane = get_now(LANE_READ);
	unsigned before = aborts, given_up_before = given_up;

	(void)state;
	park_lane(lane);
	pool.config.late_ns = LONG_MS * NS_PER_MS;
	lane_reap(&pool, false);
	assert_int_equal(aborts, before);
	pool.config.late_ns = 0;
	lane_reap(&pool, false);
	assert_int_equal(given_up, given_up_before + 1);
	assert_int_equal(aborts, before + 1);
	end_late(lane);
	lane_reap(&pool, false);
	assert_int_equal(pool.n_parked, 0);
	lane->channels[0] = NULL;
}

/* A device that is gone, or was reset, does not flush what was aborted.  All
 * such lanes are given up in one go, and nothing is waited for: there is no
 * `wait' to call here.  But no such lane is given to a request before the links
 * that are to blame are closed. */
static void what_does_not_end_though_aborted_is_given_up(void **state)
{
	struct lane *lanes[LANES];

	(void)state;
	pool.config.late_ns = 0;
	for (int i = 0; i < LANES; i++) {
		lanes[i] = get_now(LANE_READ);
		lanes[i]->links[0].link = &late_link;
		lanes[i]->links[0].word = LINK_UP;
		assert_true(lane_link_hold(lanes[i], 0));
	}
	for (int i = 0; i < LANES; i++)
		park_lane(lanes[i]);
	lane_reap(&pool, false);
	for (int i = 0; i < LANES; i++) {
		assert_true(lane_in_flight(lanes[i]));
		lanes[i]->parked_ns -= 10 * NS_PER_S;
	}
	assert_true(lane_links_busy(&pool, 0));
	lane_reap(&pool, false);
	assert_false(lane_links_busy(&pool, 0));
	assert_int_equal(pool.n_parked, LANES);
	assert_null(get_now(LANE_READ));
	usable = true;
	lane_reap(&pool, false);
	assert_int_equal(pool.n_parked, 0);
	for (int i = 0; i < LANES; i++) {
		assert_non_null(get_now(LANE_READ));
		lanes[i]->channels[0] = NULL;
	}
}

/* The lane of a write that is parked may take long to come back. */
static void a_write_that_parks_its_lane_leaves_its_place(void **state)
{
	struct lane *writers[LANES - 1];

	(void)state;
	pool.config.parked = parked;
	usable = false;
	for (int i = 0; i < LANES - 1; i++) {
		writers[i] = get_now(LANE_WRITE);
		writers[i]->channels[0] = &looking;
	}
	assert_null(get_now(LANE_WRITE));
	lane_put(&pool, writers[0], LANE_WRITE);
	assert_non_null(get_now(LANE_WRITE));
	for (int i = 0; i < LANES - 1; i++)
		writers[i]->channels[0] = NULL;
}

static void a_write_exchanges_its_lane_and_keeps_its_place(void **state)
{
	struct lane *lane = get_now(LANE_WRITE), *other;

	(void)state;
	pool.config.parked = parked;
	lane->channels[0] = &looking;
	usable = false;
	other = lane_exchange(&pool, lane);
	assert_ptr_not_equal(other, lane);
	assert_int_equal(pool.n_writers, 1);
	assert_non_null(get_now(LANE_READ));
	assert_non_null(get_now(LANE_READ));
	assert_ptr_equal(lane_exchange(&pool, other), other);
	usable = true;
	assert_ptr_equal(lane_get(&pool, LANE_READ, after_ms(LONG_MS)), lane);
	lane_put(&pool, other, LANE_WRITE);
	assert_int_equal(pool.n_writers, 0);
	lane->channels[0] = NULL;
}

static void a_lane_that_cannot_be_used_is_not_free(void **state)
{
	struct lane *lane = get_now(LANE_READ);

	(void)state;
	pool.config.parked = parked;
	lane->channels[0] = &looking;
	usable = false;
	lane_put(&pool, lane, LANE_READ);
	for (int i = 0; i < LANES - 1; i++)
		assert_non_null(get_now(LANE_READ));
	assert_null(get_now(LANE_READ));
	usable = true;
	assert_ptr_equal(lane_get(&pool, LANE_READ, after_ms(LONG_MS)), lane);
	lane->channels[0] = NULL;
}

/* The repairer's is never parked. */
static void late_transfers_of_the_repairer_have_an_end_too(void **state)
{
	struct lane *lane = lane_of_repair(&pool);
	struct lane_set *set = &lane->sets[0];
	unsigned aborts_before = aborts;

	(void)state;
	pool.config.give_up = give_up;
	pool.config.late_ns = 0;
	lane->channels[0] = &looking;
	lane->links[0].link = &late_link;
	lane->links[0].word = LINK_UP;
	assert_true(lane_link_hold(lane, 0));
	set->n = set->submitted = 1;
	set->tags[0] =
		(struct lane_tag){ .late = true, .sent_ns = clock_now_ns() };
	set->xfers[0] =
		(struct xfer){ .link = &late_link, .status = -EINPROGRESS };
	/* One that was submitted just now is not late because another one was
	 * in flight before. */
	pool.config.late_ns = 500 * NS_PER_MS;
	lane_look_after(&pool, lane);
	sleep_ms(600);
	set->tags[0].sent_ns = clock_now_ns();
	lane_look_after(&pool, lane);
	assert_int_equal(aborts, aborts_before);
	pool.config.late_ns = 0;
	lane_look_after(&pool, lane);
	assert_int_equal(aborts, aborts_before + 1);
	assert_true(lane_links_busy(&pool, 0));
	set->tags[0].sent_ns -= 10 * NS_PER_S;
	lane_look_after(&pool, lane);
	assert_false(lane_links_busy(&pool, 0));
	lane->channels[0] = NULL;
}

static void a_link_is_held_only_while_it_is_up(void **state)
{
	struct lane *lane = get_now(LANE_READ);

	(void)state;
	assert_false(lane_link_hold(lane, 1));
	lane_links_up(&pool, 1);
	assert_false(lane_link_hold(lane, 0));
	assert_true(lane_link_hold(lane, 1));
	assert_true(lane_link_hold(lane, 1));
	assert_true(lane_links_busy(&pool, 1));
	assert_false(lane_links_busy(&pool, 0));
	lane_links_release(&pool, lane);
	assert_false(lane_links_busy(&pool, 1));
	assert_true(lane_link_hold(lane, 1));
}

static void a_broken_link_stays_busy_until_it_is_released(void **state)
{
	struct lane *lane = get_now(LANE_READ);

	(void)state;
	lane_links_up(&pool, 0);
	assert_true(lane_link_hold(lane, 0));
	lane_links_break(&pool, 0);
	assert_true(lane_links_busy(&pool, 0));
	lane_links_release(&pool, lane);
	assert_false(lane_links_busy(&pool, 0));
	assert_false(lane_link_hold(lane, 0));
}

static void
breaking_aborts_and_closing_closes_the_links_of_one_server(void **state)
{
	static struct link links[SERVERS][LANES];

	(void)state;
	aborts = closes = 0;
	for (int server = 0; server < SERVERS; server++) {
		for (int i = 0; i < LANES; i++) {
			links[server][i].ops = &counting_ops;
			pool.lanes[i].links[server].link = &links[server][i];
		}
	}
	lane_links_break(&pool, 1);
	assert_int_equal(aborts, LANES);
	lane_links_close(&pool, 1);
	assert_int_equal(closes, LANES);
	assert_null(pool.lanes[0].links[1].link);
	assert_non_null(pool.lanes[0].links[0].link);
}

/* --- many threads --- */

#define THREADS 8
#define ROUNDS	2000

struct hammer {
	uint64_t seed;
	_Atomic int *writers;
	_Atomic unsigned *wrong;
};

/* Holds LANE for a moment, alone: a data race where another thread does. */
static void use_lane(struct lane *lane, _Atomic unsigned *wrong)
{
	if (lane->turn != 0)
		atomic_fetch_add(wrong, 1);
	lane->turn++;
	sched_yield();
	lane->turn--;
}

static void *get_and_put(void *arg)
{
	struct hammer *h = arg;

	for (int i = 0; i < ROUNDS; i++) {
		enum lane_use use =
			random_next(&h->seed) % 3 ? LANE_WRITE : LANE_READ;
		struct lane *lane = lane_get(&pool, use, after_ms(LONG_MS));

		if (!lane) {
			atomic_fetch_add(h->wrong, 1);
			break;
		}
		if (use == LANE_WRITE &&
		    atomic_fetch_add(h->writers, 1) >= (int)pool.max_writers)
			atomic_fetch_add(h->wrong, 1);
		use_lane(lane, h->wrong);
		if (use == LANE_WRITE)
			atomic_fetch_sub(h->writers, 1);
		lane_put(&pool, lane, use);
	}
	return NULL;
}

static void a_lane_is_one_threads_and_writers_keep_their_limit(void **state)
{
	_Atomic int writers = 0;
	_Atomic unsigned wrong = 0;
	struct hammer h[THREADS];
	pthread_t threads[THREADS];
	uint64_t seed = random_seed();

	(void)state;
	for (int i = 0; i < THREADS; i++) {
		h[i] = (struct hammer){ random_next(&seed), &writers, &wrong };
		threads[i] = thread_start(get_and_put, &h[i]);
	}
	for (int i = 0; i < THREADS; i++)
		thread_end(threads[i]);
	assert_int_equal(atomic_load(&wrong), 0);
	assert_int_equal(pool.n_free, LANES);
	assert_int_equal(pool.n_writers, 0);
}

#define with_pool(test)                                                        \
	cmocka_unit_test_setup_teardown(test, make_pool, end_pool)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_pool(lanes_come_last_in_first_out),
		with_pool(reads_may_take_every_lane),
		cmocka_unit_test(writes_leave_lanes_to_reads),
		with_pool(waiting_ends_at_the_deadline),
		with_pool(a_read_passes_the_writes_that_wait),
		with_pool(a_reads_lane_does_not_go_to_a_write_too_many),
		with_pool(one_lane_each_for_a_read_and_a_write_that_wait),
		with_pool(closing_wakes_who_waits_with_nothing),
		with_pool(closing_waits_for_lanes_to_come_home),
		with_pool(each_lane_has_memory_of_its_own),
		with_pool(each_lane_counts_in_cache_lines_of_its_own),
		with_pool(a_lane_that_is_parked_comes_free_for_who_waits),
		with_pool(a_lane_that_cannot_be_used_is_not_free),
		with_pool(a_write_that_parks_its_lane_leaves_its_place),
		with_pool(a_write_exchanges_its_lane_and_keeps_its_place),
		with_pool(late_transfers_of_the_repairer_have_an_end_too),
		with_pool(what_does_not_end_though_aborted_is_given_up),
		with_pool(what_is_too_late_is_aborted_at_once),
		with_pool(a_link_is_held_only_while_it_is_up),
		with_pool(a_broken_link_stays_busy_until_it_is_released),
		with_pool(
			breaking_aborts_and_closing_closes_the_links_of_one_server),
		with_pool(a_lane_is_one_threads_and_writers_keep_their_limit),
	};

	return cmocka_run_group_tests_name("lane", tests, NULL, NULL);
}
