/* Shares of a data thread, with members that only count what they move. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "loops/container.h"
#include "loops/shares.h"

#define MIB (1u << 20)

struct member {
	struct share_member share;
	size_t step;  /* moves at least so much in a turn; 0: what it may */
	size_t least; /* moves only so much; 0: as said before */
	bool idle;    /* has nothing to do */
	bool leaves;  /* in its next turn */
	uint64_t sum; /* bytes */
	unsigned turns;
};

static struct ev_loop *loop;
static struct shares shares;
static struct member members[8];
static _Atomic uint32_t weights[2];

static size_t run(struct share_member *share, size_t most)
{
	struct member *m = container_of(share, struct member, share);
	size_t moved = m->least ? m->least : m->step > most ? m->step : most;

	m->turns++;
	m->sum += moved;
	if (m->leaves)
		share_leave(&shares, share);
	return moved;
}

static int setup(void **state)
{
	(void)state;
	memset(members, 0, sizeof members);
	weights[0] = weights[1] = 1;
	loop = ev_loop_new(EVFLAG_AUTO);
	shares_init(&shares, loop, run);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++)
		share_leave(&shares, &members[i].share);
	assert_int_equal(shares.count, 0);
	assert_int_equal(shares.ready, 0);
	ev_loop_destroy(loop);
	return 0;
}

/* Members FIRST to LAST join share N. */
static void join(int n, int first, int last)
{
	for (int i = first; i <= last; i++)
		assert_true(
			share_join(&shares, &members[i].share, &weights[n]));
}

/* As many polls, at each of which those that have something to do are ready. */
static void poll_times(unsigned polls)
{
	while (polls--) {
		for (int i = 0; i < 8; i++) {
			if (members[i].share.share && !members[i].idle)
				share_ready(&shares, &members[i].share);
		}
		ev_run(loop, EVRUN_NOWAIT);
	}
}

static uint64_t sum(int first, int last)
{
	uint64_t all = 0;

	for (int i = first; i <= last; i++)
		all += members[i].sum;
	return all;
}

static void one_share_needs_no_turns(void **state)
{
	(void)state;
	assert_false(shares_contended(&shares));
	join(0, 0, 3);
	assert_false(shares_contended(&shares));
	join(1, 4, 4);
	assert_true(shares_contended(&shares));
	share_leave(&shares, &members[4].share);
	assert_false(shares_contended(&shares));
}

static void bytes_go_by_weight(void **state)
{
	(void)state;
	weights[1] = 4;
	join(0, 0, 4);
	join(1, 5, 5);
	poll_times(100);
	assert_true(sum(5, 5) == 4 * sum(0, 4));
	/* the largest weight has a whole round */
	assert_true(sum(5, 5) == 100 * SHARES_ROUND_BYTES);
	weights[1] = 1;
	members[5].sum = 0;
	poll_times(100);
	assert_true(sum(5, 5) == 100 * SHARES_ROUND_BYTES);
}

/* However many members a share has, and whatever they move in a turn. */
static void what_was_too_much_is_paid_back(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		members[i].step = MIB;
	join(0, 0, 4);
	join(1, 5, 5);
	poll_times(200);
	assert_in_range(sum(5, 5) / MIB, 49, 50);
	assert_in_range(sum(0, 4) / MIB, 49, 51);
	/* and by turns among them */
	for (int i = 0; i < 5; i++)
		assert_in_range(members[i].turns, 9, 11);
}

static void none_waits_for_the_idle(void **state)
{
	(void)state;
	members[0].step = 8 * MIB;
	members[1].idle = true;
	weights[1] = 100;
	join(0, 0, 0);
	join(1, 1, 1);
	poll_times(50);
	assert_int_equal(members[0].turns, 50);
}

/* A share that did not want all of its rounds moves no more later. */
static void what_was_not_wanted_is_not_owed(void **state)
{
	(void)state;
	members[1].least = 10;
	join(0, 0, 0);
	join(1, 1, 1);
	poll_times(50);
	assert_true(members[0].sum == 50 * SHARES_ROUND_BYTES);
	members[1].least = 0;
	members[1].sum = 0;
	poll_times(1);
	assert_true(members[1].sum == SHARES_ROUND_BYTES);
}

static void members_leave_in_their_turn(void **state)
{
	(void)state;
	members[0].leaves = members[2].leaves = true;
	join(0, 0, 1);
	join(1, 2, 2);
	poll_times(1);
	assert_int_equal(members[0].turns, 1);
	assert_int_equal(members[2].turns, 1);
	/* the one that is left is served by its own events */
	assert_false(shares_contended(&shares));
	assert_int_equal(shares.ready, 0);
	poll_times(3);
	assert_int_equal(members[1].turns, 0);
	/* and again by turns when another comes */
	share_leave(&shares, &members[1].share);
	join(0, 1, 1);
	join(1, 3, 3);
	poll_times(3);
	assert_int_equal(members[1].turns, 3);
	assert_int_equal(members[3].turns, 3);
}

static void a_member_leaves_while_it_waits(void **state)
{
	(void)state;
	join(0, 0, 1);
	join(1, 2, 2);
	share_ready(&shares, &members[0].share);
	share_ready(&shares, &members[0].share);
	share_ready(&shares, &members[1].share);
	assert_int_equal(shares.ready, 2);
	share_leave(&shares, &members[0].share);
	assert_int_equal(shares.ready, 1);
	ev_run(loop, EVRUN_NOWAIT);
	assert_int_equal(members[0].turns, 0);
	assert_int_equal(members[1].turns, 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(one_share_needs_no_turns),
		TEST(bytes_go_by_weight),
		TEST(what_was_too_much_is_paid_back),
		TEST(none_waits_for_the_idle),
		TEST(what_was_not_wanted_is_not_owed),
		TEST(members_leave_in_their_turn),
		TEST(a_member_leaves_while_it_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
