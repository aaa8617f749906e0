/* Several loops on one engine (plugin/loop/loop.h), each on a thread. */
#include "fake_servers.h"

#include <errno.h>

#include "loop/loop.h"

#define LOOPS	    3u
#define LANES_EACH  4u
#define AT_A_TIME   8u /* requests of a loop; more than its lanes */
#define ROUNDS	    60u
#define OWN_PAGES   32u /* of a loop: two slabs */
#define SHARED_PAGE (LOOPS * OWN_PAGES)

struct queue;

struct queued {
	struct loop_request run; /* the first member */
	struct queue *queue;
	uint64_t page, version;
	char buf[PAGE_BYTES];
};

/* A loop, its requests, and what its thread saw. */
struct queue {
	struct loop loop;
	uint32_t number;
	struct queued requests[AT_A_TIME];
	unsigned rounds, pending;
	unsigned wrong, failed;
	uint32_t most_running, most_writes;
};

static struct queue queues[LOOPS];

static _Thread_local struct queue *mine;

static void turn(uint32_t in_flight)
{
	const struct loop *loop = &mine->loop;

	(void)in_flight;
	if (loop->n_suspended > mine->most_running)
		mine->most_running = loop->n_suspended;
	if (loop->n_writes > mine->most_writes)
		mine->most_writes = loop->n_writes;
}

/* --- a queue's own pages, and a page that all queues write --- */

static uint64_t page_of(const struct queue *q, unsigned i)
{
	if (i == AT_A_TIME - 1)
		return SHARED_PAGE;
	return q->number * OWN_PAGES + i * (OWN_PAGES / AT_A_TIME);
}

static bool is_version(const struct queued *r, uint64_t version)
{
	char expected[PAGE_BYTES];

	fake_fill(expected, r->page, 1, version);
	return !memcmp(r->buf, expected, PAGE_BYTES);
}

/* Any version of any queue, but a whole one. */
static bool is_whole(const struct queued *r)
{
	for (uint64_t v = 1; v <= LOOPS * ROUNDS; v++) {
		if (is_version(r, v))
			return true;
	}
	return false;
}

static void check(struct queued *r)
{
	bool good = r->page == SHARED_PAGE ? is_whole(r)
					   : is_version(r, r->version);

	r->queue->wrong += !good;
}

static void begin_round(struct queue *q, enum loop_op op);

static void done(struct loop_request *run)
{
	struct queued *r = (struct queued *)run;
	struct queue *q = r->queue;

	q->failed += run->rc != 0;
	if (run->op == LOOP_READ)
		check(r);
	if (--q->pending > 0)
		return;
	if (run->op == LOOP_WRITE)
		begin_round(q, LOOP_READ);
	else if (++q->rounds < ROUNDS)
		begin_round(q, LOOP_WRITE);
	else
		loop_end(&q->loop);
}

/* Writes all pages of the queue, or reads them back. */
static void begin_round(struct queue *q, enum loop_op op)
{
	q->pending = AT_A_TIME;
	for (unsigned i = 0; i < AT_A_TIME; i++) {
		struct queued *r = &q->requests[i];

		r->queue = q;
		r->page = page_of(q, i);
		r->version = 1 + q->number * ROUNDS + q->rounds;
		r->run = (struct loop_request){ .op = op,
						.buf = r->buf,
						.count = PAGE_BYTES,
						.offset = r->page * PAGE_BYTES,
						.done = done };
		if (op == LOOP_WRITE)
			fake_fill(r->buf, r->page, 1, r->version);
		loop_submit(&q->loop, &r->run);
	}
}

static void *serve(void *arg)
{
	struct queue *q = arg;

	mine = q;
	begin_round(q, LOOP_WRITE);
	loop_run(&q->loop);
	return NULL;
}

static void run_all(uint32_t copies, uint32_t lanes)
{
	pthread_t threads[LOOPS];
	struct error why;

	fake_start_copies(2, lanes, LONG_MS, copies, 0, 0);
	for (uint32_t i = 0; i < 2; i++)
		fake_session_start(i);
	for (uint32_t i = 0; i < LOOPS; i++) {
		struct loop_config config = { .engine = &fake.engine,
					      .lanes = LANES_EACH,
					      .turn = turn };

		memset(&queues[i], 0, sizeof queues[i]);
		queues[i].number = i;
		assert_int_equal(loop_create(&queues[i].loop, &config, &why),
				 0);
	}
	for (uint32_t i = 0; i < LOOPS; i++)
		threads[i] = thread_start(serve, &queues[i]);
	for (uint32_t i = 0; i < LOOPS; i++)
		thread_end(threads[i]);
	for (uint32_t i = 0; i < LOOPS; i++) {
		assert_int_equal(queues[i].rounds, ROUNDS);
		assert_int_equal(queues[i].wrong, 0);
		assert_int_equal(queues[i].failed, 0);
	}
	assert_counts_right();
	fake_stop();
	for (uint32_t i = 0; i < LOOPS; i++)
		loop_destroy(&queues[i].loop);
}

static void loops_share_an_engine(void **state)
{
	(void)state;
	run_all(1, LOOPS * LANES_EACH);
}

static void loops_share_an_engine_with_copies(void **state)
{
	(void)state;
	run_all(2, LOOPS * LANES_EACH);
}

/* Together they may take more lanes than there are. */
static void loops_wait_for_each_others_lanes(void **state)
{
	(void)state;
	run_all(1, LANES_EACH);
}

/* --- how many lanes a loop takes --- */

static struct queue *const one = &queues[0];

static void *lift_silence_soon(void *arg)
{
	(void)arg;
	wait_until_asleep();
	for (uint32_t i = 0; i < 2; i++)
		atomic_store(&fake.sessions[i].silent, false);
	waker_wake(&one->loop.waker);
	return NULL;
}

static void count_down(struct loop_request *run)
{
	one->failed += run->rc != 0;
	if (--one->pending == 0)
		loop_end(&one->loop);
}

static void submit(unsigned i, enum loop_op op)
{
	struct queued *r = &one->requests[i];

	r->run = (struct loop_request){ .op = op,
					.buf = r->buf,
					.count = PAGE_BYTES,
					.offset = i * PAGE_BYTES,
					.done = count_down };
	fake_fill(r->buf, i, 1, 1);
	one->pending++;
	loop_submit(&one->loop, &r->run);
}

/* 8 requests wait for servers that do not answer.  The loop takes 4 lanes of
 * 16, and 3 of these for writes. */
static void run_silent(enum loop_op op)
{
	struct loop_config config = { .engine = &fake.engine,
				      .lanes = 4,
				      .turn = turn };
	struct error why;
	pthread_t thread;
	char buf[PAGE_BYTES];

	fake_start(2, 16, LONG_MS);
	for (uint32_t i = 0; i < 2; i++)
		fake_session_start(i);
	for (unsigned i = 0; i < AT_A_TIME; i++) {
		fake_fill(buf, i, 1, 1);
		assert_int_equal(fake_write(buf, i, 1), 0);
	}
	memset(one, 0, sizeof *one);
	mine = one;
	assert_int_equal(loop_create(&one->loop, &config, &why), 0);
	for (uint32_t i = 0; i < 2; i++)
		atomic_store(&fake.sessions[i].silent, true);
	for (unsigned i = 0; i < AT_A_TIME; i++)
		submit(i, op);
	thread = thread_start(lift_silence_soon, NULL);
	loop_run(&one->loop);
	thread_end(thread);
	assert_int_equal(one->failed, 0);
	fake_stop();
	loop_destroy(&one->loop);
}

static void a_loop_takes_its_lanes_only(void **state)
{
	(void)state;
	run_silent(LOOP_READ);
	assert_int_equal(one->most_running, 4);
}

/* A write more would hold a coroutine, and find no lane for writes. */
static void a_loop_starts_no_more_writes_than_there_are_lanes(void **state)
{
	(void)state;
	run_silent(LOOP_WRITE);
	assert_int_equal(one->most_writes, 3);
	assert_int_equal(one->most_running, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loops_share_an_engine),
		cmocka_unit_test(loops_share_an_engine_with_copies),
		cmocka_unit_test(loops_wait_for_each_others_lanes),
		cmocka_unit_test(a_loop_takes_its_lanes_only),
		cmocka_unit_test(
			a_loop_starts_no_more_writes_than_there_are_lanes),
	};

	quiet_log();
	return cmocka_run_group_tests_name("loops", tests, NULL, NULL);
}
