/* What a request waits for, with two copies of every page: for no server that
 * hangs where another one has the page, and with nothing held that who is
 * waited for may need. */
#include "fake_servers.h"

#include <errno.h>

#include "io/wait.h"
#include "repair/repair.h"

#define SERVERS 3
#define PAGES	16u

static char sent[PAGES * PAGE_BYTES], got[PAGES * PAGE_BYTES];

static void start(uint32_t copies)
{
	fake_start_copies(SERVERS, 4, LONG_MS, copies, 0, 0);
	for (uint32_t i = 0; i < SERVERS; i++)
		fake_session_start(i);
	fake_fill(sent, 0, PAGES, 1);
	assert_int_equal(fake_write(sent, 0, PAGES - 1), 0);
}

static int setup(void **state)
{
	(void)state;
	start(2);
	return 0;
}

static int setup_empty(void **state)
{
	(void)state;
	fake_start_copies(SERVERS, 4, LONG_MS, 2, 0, 0);
	return 0;
}

static int setup_three_copies(void **state)
{
	(void)state;
	start(3);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_counts_right();
	fake_stop();
	return 0;
}

/* The server of the first slab's shard. */
static uint32_t server_of(uint32_t shard)
{
	return fake.engine.slabs.slabs[0].shards[shard].server;
}

/* Breaks it, and it does not come back by itself. */
static void take_away(uint32_t machine)
{
	atomic_store(&fake.sessions[machine].no_repair, true);
	server_break(&fake.engine.servers[machine], "the test");
}

static void *bring_back_soon(void *arg)
{
	struct fake_session *session = arg;

	wait_until_asleep();
	atomic_store(&session->no_repair, false);
	return NULL;
}

/* Has a request whose deadline is UNTIL_NS wait once for OBSTACLE. */
static int wait_for(const struct obstacle *obstacle, uint64_t until_ns)
{
	struct io io;

	io_begin(&io, &fake.engine, NULL, until_ns);
	io.obstacle = *obstacle;
	return wait_obstacle(&io);
}

/* --- one look at a time --- */

static void a_page_is_waited_for_one_look_at_a_time(void **state)
{
	struct obstacle obstacle = { .page_locked = true, .page = 3 };

	(void)state;
	assert_int_equal(pagemap_lock(&fake.engine.pages, 3, 0), 0);
	assert_int_equal(wait_for(&obstacle, after_ms(LONG_MS)), -EAGAIN);
	assert_int_equal(wait_for(&obstacle, 0), -ETIMEDOUT);
	pagemap_unlock(&fake.engine.pages, 3);
}

static void a_slab_is_waited_for_one_look_at_a_time(void **state)
{
	struct slab *slab = &fake.engine.slabs.slabs[1];
	struct obstacle obstacle = { .slab = slab };

	(void)state;
	assert_true(slab_begin_alloc(slab));
	assert_int_equal(wait_for(&obstacle, after_ms(LONG_MS)), -EAGAIN);
	slab_cancel_alloc(&fake.engine.slabs, slab);
}

/* --- no more rounds than a sleep between any two allows --- */

static uint64_t passes(void)
{
	uint64_t n;

	pthread_mutex_lock(&fake.engine.wake.lock);
	n = fake.engine.wake.passes;
	pthread_mutex_unlock(&fake.engine.wake.lock);
	return n;
}

static void the_repair_is_not_driven_round_by_who_waits(void **state)
{
	struct obstacle obstacle = { .slab = &fake.engine.slabs.slabs[0] };
	uint64_t begin_ns = clock_now_ns(), before;
	unsigned rounds = 0;
	struct error why;

	(void)state;
	assert_int_equal(repair_start(&fake.engine, &why), 0);
	before = passes();
	/* A machine that is busy with others may take longer for one pass. */
	while (clock_now_ns() - begin_ns < 100 * NS_PER_MS ||
	       passes() == before) {
		wait_for(&obstacle, after_ms(LONG_MS));
		rounds++;
	}
	assert_in_range(rounds, 1, (clock_now_ns() - begin_ns) / NS_PER_MS + 2);
	assert_in_range(passes() - before, 1,
			(clock_now_ns() - begin_ns) / NS_PER_MS + 2);
}

/* The fault: 200 passes a second of a real-time thread, for as long as a server
 * is away. */
static void the_repair_rests_while_it_can_do_nothing(void **state)
{
	uint64_t begin_ns, before;
	struct error why;

	(void)state;
	take_away(server_of(1));
	/* It is waited for only once. */
	assert_int_equal(fake_write(sent, 0, PAGES - 1), 0);
	assert_true(fake.engine.slabs.slabs[0].shards[1].stale_chunks > 0);
	assert_int_equal(repair_start(&fake.engine, &why), 0);
	begin_ns = clock_now_ns();
	before = passes();
	while (clock_now_ns() - begin_ns < 600 * NS_PER_MS)
		sleep_ms(10);
	assert_in_range(passes() - before, 1,
			10 + (clock_now_ns() - begin_ns) / (100 * NS_PER_MS));
}

static void who_knows_of_nothing_to_wait_for_sleeps(void **state)
{
	struct obstacle nothing = { 0 };
	uint64_t begin_ns = clock_now_ns();
	unsigned rounds = 0;

	(void)state;
	while (clock_now_ns() - begin_ns < 100 * NS_PER_MS) {
		wait_for(&nothing, after_ms(LONG_MS));
		rounds++;
	}
	assert_in_range(rounds, 1,
			10 * (clock_now_ns() - begin_ns) / NS_PER_MS + 2);
}

/* --- reads --- */

static void a_page_that_is_written_for_the_first_time_is_zeros(void **state)
{
	static const char zeros[PAGE_BYTES];

	(void)state;
	assert_int_equal(pagemap_lock(&fake.engine.pages, PAGES - 1, 0), 0);
	memset(got, 0xee, sizeof got);
	assert_int_equal(fake_read(got, 0, PAGES), 0);
	assert_memory_equal(got, sent, (PAGES - 1) * PAGE_BYTES);
	assert_memory_equal(got + (PAGES - 1) * PAGE_BYTES, zeros, PAGE_BYTES);
	pagemap_unlock(&fake.engine.pages, PAGES - 1);
}

/* One server hangs, and the other one is away just when the read would turn to
 * it. */
static void a_server_that_comes_back_is_asked_in_the_end(void **state)
{
	pthread_t thread;

	(void)state;
	fake.engine.attempt_ns = LONG_MS * NS_PER_MS;
	atomic_store(&fake.sessions[server_of(0)].silent, true);
	take_away(server_of(1));
	thread = thread_start(bring_back_soon, &fake.sessions[server_of(1)]);
	memset(got, 0xee, sizeof got);
	assert_int_equal(fake_read(got, 0, 1), 0);
	assert_memory_equal(got, sent, PAGE_BYTES);
	thread_end(thread);
	atomic_store(&fake.sessions[server_of(0)].silent, false);
}

static void *read_over_two_slabs(void *arg)
{
	*(int *)arg = fake_read(got, FAKE_SLAB_PAGES - 1, 2);
	return NULL;
}

/* What it asked in vain is over only where somebody looks, as with RDMA. */
static void a_read_that_waits_keeps_no_server_from_healing(void **state)
{
	const uint32_t first = FAKE_SLAB_PAGES - 1;
	pthread_t thread;
	int rc = -1;

	(void)state;
	for (uint32_t i = 0; i < SERVERS; i++)
		fake_session_start(i);
	fake_map_slab(0, 0); /* and 1 */
	fake_map_slab(1, 1); /* and 2 */
	fake_fill(sent, first, 2, 1);
	assert_int_equal(fake_write(sent, first, 2), 0);
	take_away(1);
	take_away(2);
	thread = thread_start(read_over_two_slabs, &rc);
	wait_until_asleep();
	server_break(&fake.engine.servers[0], "the test");
	assert_int_equal(
		server_wait(&fake.engine.servers[0], after_ms(LONG_MS / 2)), 0);
	atomic_store(&fake.sessions[2].no_repair, false);
	thread_end(thread);
	assert_int_equal(rc, 0);
	assert_memory_equal(got, sent, 2 * PAGE_BYTES);
}

/* One server hangs, the next one that the read asks breaks: there is a third
 * one. */
static void a_read_turns_to_one_more_server_where_that_fails_too(void **state)
{
	uint32_t hangs = server_of(0), breaks = server_of(1);

	(void)state;
	fake.engine.attempt_ns = LONG_MS * NS_PER_MS;
	atomic_store(&fake.engine.servers[server_of(2)].shared.usual_ns,
		     NS_PER_S);
	atomic_store(&fake.sessions[breaks].no_repair, true);
	atomic_store(&fake.sessions[hangs].silent, true);
	pthread_mutex_lock(&fake.lock);
	fake.fault = (struct fake_fault){ .machine = breaks,
					  .times = 1,
					  .status = -ECONNRESET };
	pthread_mutex_unlock(&fake.lock);
	memset(got, 0xee, sizeof got);
	assert_int_equal(fake_read(got, 0, 1), 0);
	assert_memory_equal(got, sent, PAGE_BYTES);
	assert_int_equal(server_state(&fake.engine.servers[breaks]),
			 SERVER_RECOVERING);
	atomic_store(&fake.sessions[hangs].silent, false);
}

#define LANES 4 /* as fake_start_copies was told */

struct reader {
	pthread_t thread;
	char got[PAGE_BYTES];
	uint64_t page;
	int rc;
};

static void *read_own_page(void *arg)
{
	struct reader *r = arg;

	r->rc = fake_read(r->got, r->page, 1);
	return NULL;
}

/* How many transfers the server was given. */
static unsigned transfers_to(uint32_t machine)
{
	unsigned n = 0;

	pthread_mutex_lock(&fake.lock);
	for (size_t i = 0; i < fake.n_sent && i < FAKE_LOG_MAX; i++)
		n += fake.sent[i].machine == machine;
	pthread_mutex_unlock(&fake.lock);
	return n;
}

static unsigned versions(void)
{
	unsigned n;

	pthread_mutex_lock(&fake.lock);
	n = fake.waits;
	pthread_mutex_unlock(&fake.lock);
	return n;
}

static _Atomic uint32_t most_parked;

/* Called by each request that parks its lane. */
static void note_parked(void *owner)
{
	uint32_t now = atomic_load(&fake.engine.lanes.n_parked);
	uint32_t most = atomic_load(&most_parked);

	(void)owner;
	while (now > most &&
	       !atomic_compare_exchange_weak(&most_parked, &most, now))
		;
}

/* All lanes read from a server that hangs, and would turn to the other one at
 * the same time. */
static void half_of_the_lanes_are_parked_at_most(void **state)
{
	struct fake_session *hangs = &fake.sessions[server_of(0)];
	struct fake_session *other = &fake.sessions[server_of(1)];
	struct reader readers[LANES];
	unsigned looked;

	(void)state;
	fake.engine.attempt_ns = LONG_MS * NS_PER_MS;
	fake.engine.lanes.config.parked = note_parked;
	atomic_store(&most_parked, 0);
	atomic_store(&fake.engine.servers[server_of(1)].shared.usual_ns,
		     NS_PER_S);
	atomic_store(&hangs->silent, true);
	atomic_store(&hangs->no_repair, true);
	atomic_store(&other->silent, true); /* until all have asked it */
	fake_clear_log();
	for (uint64_t i = 0; i < LANES; i++) {
		readers[i].page = i;
		readers[i].thread = thread_start(read_own_page, &readers[i]);
	}
	while (transfers_to(server_of(0)) < LANES ||
	       transfers_to(server_of(1)) < LANES / 2)
		sleep_ms(1);
	/* Each of them looks again many times, and may ask the other one. */
	looked = versions();
	while (versions() < looked + 50 * LANES)
		sleep_ms(1);
	assert_int_equal(transfers_to(server_of(1)), LANES / 2);
	atomic_store(&other->silent, false);
	for (uint64_t i = 0; i < LANES; i++) {
		thread_end(readers[i].thread);
		assert_int_equal(readers[i].rc, 0);
		assert_memory_equal(readers[i].got, sent + i * PAGE_BYTES,
				    PAGE_BYTES);
	}
	assert_int_equal(atomic_load(&most_parked), LANES / 2);
	/* And they come home: as many may be parked the next time. */
	atomic_store(&hangs->silent, false);
	lane_reap(&fake.engine.lanes, false);
	assert_int_equal(atomic_load(&fake.engine.lanes.n_parked), 0);
	assert_int_equal(atomic_load(&fake.engine.lanes.n_may_park), 0);
}

/* --- writes --- */

/* A write waits for a server that may be back for 200 ms: here for as long as
 * the test takes on a machine that is busy with others. */
static bool patient;

void __real_server_wait_return(struct server *server, uint64_t until_ns);
void __wrap_server_wait_return(struct server *server, uint64_t until_ns);

void __wrap_server_wait_return(struct server *server, uint64_t until_ns)
{
	__real_server_wait_return(server,
				  patient ? after_ms(LONG_MS) : until_ns);
}

/* Away for a moment, within the time that a write waits for it. */
static void a_link_that_flaps_costs_no_copy(void **state)
{
	struct fake_session *session = &fake.sessions[server_of(1)];
	const struct slab *slab = &fake.engine.slabs.slabs[0];
	pthread_t thread;

	(void)state;
	atomic_store(&session->no_repair, true);
	pthread_mutex_lock(&fake.lock);
	fake.fault = (struct fake_fault){ .machine = server_of(1),
					  .times = 1,
					  .status = -ECONNRESET };
	pthread_mutex_unlock(&fake.lock);
	patient = true;
	thread = thread_start(bring_back_soon, session);
	assert_int_equal(fake_write(sent, 0, 1), 0);
	thread_end(thread);
	patient = false;
	assert_int_equal(atomic_load(&slab->shards[0].stale_chunks), 0);
	assert_int_equal(atomic_load(&slab->shards[1].stale_chunks), 0);
}

/* One that answered nothing within a try's time will not be back in a moment.
 */
static void a_server_that_hangs_is_not_waited_for_again(void **state)
{
	const struct server *server = &fake.engine.servers[server_of(1)];

	(void)state;
	atomic_store(&fake.sessions[server_of(1)].no_repair, true);
	pthread_mutex_lock(&fake.lock);
	fake.fault = (struct fake_fault){ .machine = server_of(1),
					  .times = 1,
					  .status = -ETIMEDOUT };
	pthread_mutex_unlock(&fake.lock);
	assert_int_equal(fake_write(sent, 0, 1), 0);
	assert_int_equal(server_state(server), SERVER_RECOVERING);
	assert_int_equal(atomic_load(&server->shared.may_return_ns), 0);
}

/* --- the repairer --- */

/* While it waits for one page, others can be written. */
static void the_repair_owns_no_page_while_it_waits(void **state)
{
	struct repair *repair = fake.engine.repair;
	uint32_t away = server_of(1);
	struct error why;

	(void)state;
	take_away(away);
	assert_int_equal(fake_write(sent, 0, PAGES - 1), 0);
	assert_int_equal(pagemap_lock(&fake.engine.pages, 5, 0), 0);
	fake.engine.attempt_ns = LONG_MS * NS_PER_MS;
	atomic_store(&fake.sessions[away].no_repair, false);
	assert_int_equal(
		server_wait(&fake.engine.servers[away], after_ms(LONG_MS)), 0);
	assert_int_equal(repair_start(&fake.engine, &why), 0);
	wait_until_asleep(); /* it is at the page */
	assert_int_equal(
		pagemap_lock(&fake.engine.pages, 0, after_ms(LONG_MS / 2)), 0);
	pagemap_unlock(&fake.engine.pages, 0);
	pagemap_unlock(&fake.engine.pages, 5);
	do
		wake_wait_pass(&fake.engine.wake, after_ms(LONG_MS));
	while (atomic_load(&repair->stale_pages));
	repair_stop(&fake.engine);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEST3(f)                                                               \
	cmocka_unit_test_setup_teardown(f, setup_three_copies, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_read_that_waits_keeps_no_server_from_healing,
			setup_empty, teardown),
		TEST(a_page_is_waited_for_one_look_at_a_time),
		TEST(the_repair_is_not_driven_round_by_who_waits),
		TEST(the_repair_rests_while_it_can_do_nothing),
		TEST(who_knows_of_nothing_to_wait_for_sleeps),
		TEST(a_slab_is_waited_for_one_look_at_a_time),
		TEST(a_page_that_is_written_for_the_first_time_is_zeros),
		TEST(a_server_that_comes_back_is_asked_in_the_end),
		TEST3(a_read_turns_to_one_more_server_where_that_fails_too),
		TEST(half_of_the_lanes_are_parked_at_most),
		TEST(a_link_that_flaps_costs_no_copy),
		TEST(a_server_that_hangs_is_not_waited_for_again),
		TEST(the_repair_owns_no_page_while_it_waits),
	};

	return cmocka_run_group_tests_name("waits", tests, NULL, NULL);
}
