/* Many requests at a time, over servers that break, recover, fill up and go. */
#include "fake_servers.h"

#include <errno.h>

#include "servers/placement.h"
#include "servers/session.h"

#define SERVERS 3
#define THREADS 6
#define ROUNDS	600
#define PAGES	(FAKE_PAGES / THREADS) /* of each thread */

/* A thread with pages of its own, that lie between those of the others: thread
 * i has page i, i + THREADS, and so on, so that all share every slab. */
struct user {
	uint64_t seed, index;
	uint64_t version[PAGES]; /* 0: zeros */
	bool unknown[PAGES];	 /* since a write failed, or a loss */
	bool loss;		 /* errors are expected */
	unsigned errors, wrong;
};

static void user_write(struct user *u, uint64_t i, uint64_t page, char *buf)
{
	uint64_t version = random_next(&u->seed) % 4 ? u->seed >> 32 : 0;

	if (version)
		fake_fill(buf, page, 1, version);
	else
		memset(buf, 0, PAGE_BYTES);
	u->unknown[i] = fake_write(buf, page, 1) != 0;
	u->errors += u->unknown[i];
	u->version[i] = version;
}

static void user_read(struct user *u, uint64_t i, uint64_t page, char *buf,
		      char *expected)
{
	if (u->version[i])
		fake_fill(expected, page, 1, u->version[i]);
	else
		memset(expected, 0, PAGE_BYTES);
	if (fake_read(buf, page, 1))
		u->errors++;
	else if (!u->unknown[i] && memcmp(buf, expected, PAGE_BYTES))
		u->wrong++;
}

static void *use_pages(void *arg)
{
	char buf[PAGE_BYTES], expected[PAGE_BYTES];
	struct user *u = arg;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t i = random_next(&u->seed) % PAGES;
		uint64_t page = i * THREADS + u->index;

		switch (random_next(&u->seed) % 5) {
		case 0:
			engine_discard(&fake.engine, PAGE_BYTES,
				       page * PAGE_BYTES);
			u->version[i] = 0;
			u->unknown[i] = false;
			break;
		case 1:
		case 2:
			user_write(u, i, page, buf);
			break;
		default:
			user_read(u, i, page, buf, expected);
			break;
		}
	}
	return NULL;
}

static struct user users[THREADS];

static void start_users(pthread_t *threads)
{
	uint64_t seed = random_seed();

	for (uint64_t i = 0; i < THREADS; i++) {
		users[i] =
			(struct user){ .seed = random_next(&seed), .index = i };
		threads[i] = thread_start(use_pages, &users[i]);
	}
}

static void end_users(const pthread_t *threads, bool errors_allowed)
{
	for (int i = 0; i < THREADS; i++) {
		thread_end(threads[i]);
		assert_int_equal(users[i].wrong, 0);
		if (!errors_allowed)
			assert_int_equal(users[i].errors, 0);
	}
}

static int start(void **state)
{
	(void)state;
	fake_start(SERVERS, 4, LONG_MS);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	assert_counts_right();
	fake_stop();
	return 0;
}

static void transfers_that_fail_are_never_seen(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	fake.seed = 1;
	fake.fault_permille = 50;
	for (uint32_t i = 0; i < SERVERS; i++)
		fake_session_start(i);
	start_users(threads);
	end_users(threads, false);
}

/* As the repairer and the session do, without the server. */
static void free_empty_slabs(uint32_t machine)
{
	struct slab_table *table = &fake.engine.slabs;

	for (uint64_t i = 0; i < table->n; i++) {
		struct slab *slab = &table->slabs[i];
		bool here = slab_enter(slab) == SLAB_LIVE;

		if (!here)
			continue;
		here = slab->shards[0].server == machine;
		slab_leave(slab);
		if (!here || !slab_begin_free(slab))
			continue;
		if (atomic_load(&slab->present_pages)) {
			slab_finish_close(table, slab, SLAB_LIVE);
			continue;
		}
		placement_give_back(&fake.engine, &slab->shards[0], SHARD_LIVE);
		slab_finish_close(table, slab, SLAB_UNMAPPED);
	}
}

static void a_loss_is_an_error_and_never_wrong_bytes(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	for (uint32_t i = 1; i < SERVERS; i++)
		fake_session_start(i);
	/* Server 0's session is this thread: it goes and comes. */
	for (uint64_t slab = 0; slab < FAKE_SLABS; slab += 2)
		fake_map_slab(slab, 0);
	start_users(threads);
	for (int i = 0; i < 10; i++) {
		fake_lose(0);
		fake_link_up(0);
		server_set_state(&fake.engine.servers[0], SERVER_UP);
		for (int j = 0; j < 5; j++) {
			fake_answer_asks(0);
			free_empty_slabs(0);
			sleep_ms(1);
		}
	}
	fake_lose(0);
	end_users(threads, true);
}

#define with_servers(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_servers(transfers_that_fail_are_never_seen),
		with_servers(a_loss_is_an_error_and_never_wrong_bytes),
	};

	return cmocka_run_group_tests_name("requests at the same time", tests,
					   NULL, NULL);
}
