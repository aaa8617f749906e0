/* What the lanes count: requests, and transfers by server. */
#include "fake_servers.h"

#include <sched.h>

#include "repair/repair.h"

#define PAGES 8u

static char sent[PAGES * PAGE_BYTES], got[PAGES * PAGE_BYTES];

static struct transfer_sum transfers(uint32_t server, enum lane_use use)
{
	struct transfer_sum sum;

	figures_sum_transfers(&fake.engine.lanes, server, use, &sum);
	return sum;
}

static void write_and_read(unsigned times)
{
	fake_fill(sent, 0, PAGES, 1);
	for (unsigned i = 0; i < times; i++) {
		assert_int_equal(fake_write(sent, 0, PAGES), 0);
		assert_int_equal(fake_read(got, 0, PAGES), 0);
	}
}

static void requests_and_transfers_are_counted(void **state)
{
	struct lane_sum sum;

	(void)state;
	fake_start_copies(2, 4, LONG_MS, 2, 0, 0);
	for (uint32_t i = 0; i < 2; i++)
		fake_session_start(i);
	write_and_read(10);
	figures_sum(&fake.engine.lanes, &sum);
	for (int use = 0; use < LANE_USES; use++) {
		assert_int_equal(sum.requests[use].count, 10);
		assert_int_equal(sum.bytes[use], 10 * sizeof sent);
		assert_true(sum.requests[use].sum_ns > 0);
	}
	/* each server has each write, and one of them each read */
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(transfers(i, LANE_WRITE).latency.count, 10);
		assert_int_equal(transfers(i, LANE_WRITE).bytes,
				 10 * PAGES * FAKE_UNIT_BYTES);
		assert_int_equal(transfers(i, LANE_WRITE).errors, 0);
	}
	assert_true(transfers(0, LANE_READ).latency.count +
			    transfers(1, LANE_READ).latency.count >=
		    10);
	/* a request takes as long as its transfer */
	assert_true(sum.requests[LANE_WRITE].sum_ns >=
		    transfers(0, LANE_WRITE).latency.sum_ns);
	fake_stop();
}

/* The time until another server was faster counts as its time. */
static void a_silent_server_is_slow(void **state)
{
	struct transfer_sum sum;

	(void)state;
	fake_start_copies(2, 4, LONG_MS, 2, 0, 0);
	for (uint32_t i = 0; i < 2; i++)
		fake_session_start(i);
	write_and_read(1);
	atomic_store(&fake.sessions[0].silent, true);
	for (int i = 0; i < 40; i++)
		assert_int_equal(fake_read(got, 0, PAGES), 0);
	sum = transfers(0, LANE_READ);
	assert_true(sum.latency.count > 0);
	/* it is not asked for one more share before 2 ms are over */
	assert_true(latency_quantile_ns(&sum.latency, 990) > 1000000);
	atomic_store(&fake.sessions[0].silent, false);
	fake_stop();
}

static void a_failed_transfer_is_an_error_of_its_server(void **state)
{
	(void)state;
	fake_start(1, 4, LONG_MS);
	fake_session_start(0);
	write_and_read(1);
	fake.fault = (struct fake_fault){ .machine = 0,
					  .times = 1,
					  .status = -ECONNRESET };
	assert_int_equal(fake_read(got, 0, PAGES), 0);
	assert_int_equal(transfers(0, LANE_READ).errors, 1);
	assert_int_equal(transfers(0, LANE_READ).latency.count, 2);
	assert_int_equal(transfers(0, LANE_WRITE).errors, 0);
	fake_stop();
}

static uint64_t lately(uint32_t subject, enum lane_use use)
{
	struct latency_sum sum;

	recent_sum(&fake.engine.recent, subject, use, &sum);
	return sum.count;
}

/* As if time had passed since the last note. */
static void pass_time(void)
{
	fake.engine.recent.newer.at_ns -= RECENT_NS;
	recent_turn(&fake.engine.recent);
}

static void what_is_long_ago_is_not_recent(void **state)
{
	struct latency_sum sum;

	(void)state;
	fake_start(1, 4, LONG_MS);
	fake_session_start(0);
	write_and_read(3);
	assert_int_equal(lately(0, LANE_READ), 3);
	assert_int_equal(lately(RECENT_REQUESTS, LANE_READ), 3);
	recent_turn(&fake.engine.recent); /* it is not time yet */
	pass_time();
	write_and_read(2);
	assert_int_equal(lately(0, LANE_READ), 5);
	pass_time();
	assert_int_equal(lately(0, LANE_READ), 2);
	assert_int_equal(lately(RECENT_REQUESTS, LANE_WRITE), 2);
	pass_time();
	assert_int_equal(lately(0, LANE_READ), 0);
	assert_int_equal(lately(RECENT_REQUESTS, LANE_WRITE), 0);
	assert_true(recent_sum(&fake.engine.recent, 0, LANE_READ, &sum) > 0);
	fake_stop();
}

static void *count_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < 10000; i++)
		engine_count(&fake.engine, ENGINE_ZERO_PAGES, 3);
	return NULL;
}

static void threads_count_together(void **state)
{
	pthread_t threads[4];

	(void)state;
	fake_start(1, 1, LONG_MS);
	for (size_t i = 0; i < COUNT(threads); i++)
		threads[i] = thread_start(count_many, NULL);
	for (size_t i = 0; i < COUNT(threads); i++)
		thread_end(threads[i]);
	assert_int_equal(engine_counted(&fake.engine, ENGINE_ZERO_PAGES),
			 COUNT(threads) * 30000);
	assert_int_equal(engine_counted(&fake.engine, ENGINE_TRIMS), 0);
	fake_stop();
}

#define CACHE_LINE_BYTES 64u

/* Binds the thread to the first of its processors from CPU on; returns which,
 * or -1 where none is left. */
static int bind_to(const cpu_set_t *allowed, int cpu)
{
	cpu_set_t one;

	while (cpu < CPU_SETSIZE && !CPU_ISSET(cpu, allowed))
		cpu++;
	if (cpu == CPU_SETSIZE)
		return -1;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
	return cpu;
}

static void each_processor_counts_in_its_own_lines(void **state)
{
	const struct engine_cpu *cpus = fake.engine.cpus;
	cpu_set_t allowed;

	(void)state;
	/* The engine is aligned to no cache line: the last counter of a
	 * processor and the first one of the next are a line apart. */
	assert_true((uintptr_t)&cpus[1].events[0] -
			    (uintptr_t)&cpus[0].events[ENGINE_EVENTS - 1] >=
		    CACHE_LINE_BYTES);
	fake_start(1, 1, LONG_MS);
	assert_int_equal(sched_getaffinity(0, sizeof allowed, &allowed), 0);
	for (int cpu = bind_to(&allowed, 0); cpu >= 0;
	     cpu = bind_to(&allowed, cpu + 1)) {
		uint32_t own = (uint32_t)cpu % ENGINE_CPUS;
		uint64_t before = atomic_load(&cpus[own].events[ENGINE_TRIMS]);

		engine_count(&fake.engine, ENGINE_TRIMS, 7);
		assert_int_equal(atomic_load(&cpus[own].events[ENGINE_TRIMS]),
				 before + 7);
	}
	assert_int_equal(sched_setaffinity(0, sizeof allowed, &allowed), 0);
	assert_int_equal(engine_counted(&fake.engine, ENGINE_TRIMS),
			 7 * (uint64_t)CPU_COUNT(&allowed));
	fake_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_and_transfers_are_counted),
		cmocka_unit_test(a_silent_server_is_slow),
		cmocka_unit_test(a_failed_transfer_is_an_error_of_its_server),
		cmocka_unit_test(what_is_long_ago_is_not_recent),
		cmocka_unit_test(threads_count_together),
		cmocka_unit_test(each_processor_counts_in_its_own_lines),
	};

	return cmocka_run_group_tests_name("figures", tests, NULL, NULL);
}
