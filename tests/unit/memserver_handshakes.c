/* The queue of handshakes: few steps in a turn of the loop, and strangers do
 * not delay those that are known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/handshakes.h"
#include "loops/container.h"

#define N (3 * HANDSHAKES_TURN)

struct peer {
	struct handshake handshake;
	unsigned steps;
	unsigned wants; /* steps until its handshake is done */
};

static struct ev_loop *loop;
static struct handshakes handshakes;
static struct peer strangers[N], known[N];

static void step(struct handshake *h)
{
	struct peer *peer = container_of(h, struct peer, handshake);

	if (++peer->steps < peer->wants)
		handshakes_queue(&handshakes, h, h->known);
}

static int setup(void **state)
{
	(void)state;
	loop = ev_loop_new(EVFLAG_AUTO);
	handshakes_init(&handshakes, loop, step);
	for (int i = 0; i < N; i++)
		strangers[i] = known[i] = (struct peer){ .wants = 1 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	handshakes_stop(&handshakes);
	ev_loop_destroy(loop);
	return 0;
}

static void queue(struct peer *peers, bool are_known)
{
	for (int i = 0; i < N; i++)
		handshakes_queue(&handshakes, &peers[i].handshake, are_known);
}

static unsigned done(const struct peer *peers)
{
	unsigned n = 0;

	for (int i = 0; i < N; i++)
		n += peers[i].steps;
	return n;
}

static void does_a_few_in_a_turn(void **state)
{
	(void)state;
	queue(strangers, false);
	queue(strangers, false); /* each once */
	for (unsigned turn = 1; turn <= 3; turn++) {
		ev_run(loop, EVRUN_NOWAIT);
		assert_int_equal(done(strangers), turn * HANDSHAKES_TURN);
		assert_int_equal(strangers[0].steps, 1);
	}
	/* nothing keeps the loop from ending, or from sleeping */
	ev_run(loop, 0);
	assert_int_equal(done(strangers), N);
}

static void does_not_sleep_while_one_waits(void **state)
{
	(void)state;
	queue(strangers, false);
	ev_run(loop, 0);
	assert_int_equal(done(strangers), N);
}

static void strangers_take_no_turn_of_others(void **state)
{
	(void)state;
	for (int i = 0; i < N; i++)
		strangers[i].wants = 1000;
	queue(strangers, false);
	queue(known, true);
	for (unsigned turn = 1; turn <= 3; turn++) {
		ev_run(loop, EVRUN_NOWAIT);
		assert_int_equal(done(known), turn * HANDSHAKES_TURN);
		assert_int_equal(done(strangers), turn * HANDSHAKES_TURN);
	}
	for (int i = 0; i < N; i++)
		handshakes_leave(&handshakes, &strangers[i].handshake);
	ev_run(loop, 0);
	assert_int_equal(done(strangers), N);
}

static void forgets_those_that_leave(void **state)
{
	(void)state;
	queue(known, true);
	handshakes_leave(&handshakes, &known[1].handshake);
	handshakes_leave(&handshakes, &known[1].handshake);
	ev_run(loop, 0);
	assert_int_equal(known[1].steps, 0);
	assert_int_equal(done(known), N - 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(does_a_few_in_a_turn),
		TEST(does_not_sleep_while_one_waits),
		TEST(strangers_take_no_turn_of_others),
		TEST(forgets_those_that_leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
