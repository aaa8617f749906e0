#include "support.h"
#include "tcp_server.h"
#include "transport/transport.h"

#include <errno.h>
#include <unistd.h>

#define LINKS 2
#define N     5
#define BYTES 8192u

static const struct transport_ops *const tcp = &transport_tcp;

static struct channel *channel;
static struct link *links[LINKS];
static struct link_group *groups[LINKS];
static struct xfer xfers[TRANSPORT_MAX_XFERS];
static char sent[TRANSPORT_MAX_XFERS * BYTES];
static char got[TRANSPORT_MAX_XFERS * BYTES];

/* As if to server I: links in one group would share its connections. */
static int connect_link(int i, uint64_t ms, struct error *why)
{
	struct link_target target = { .addr = tcp_server.addr,
				      .lanes = 1,
				      .timeout_ns = LONG_MS * NS_PER_MS,
				      .group = &groups[i],
				      .new_token = test_token };

	return tcp->link_connect(channel, &target, after_ms(ms), &links[i],
				 why);
}

/* Processors may be added to a machine that runs. */
static long processors = 4;

long __real_sysconf(int name);
long __wrap_sysconf(int name);

long __wrap_sysconf(int name)
{
	return name == _SC_NPROCESSORS_ONLN ? processors : __real_sysconf(name);
}

static void make_channel(uint64_t spin_ns)
{
	const struct channel_config config = { .buffer_bytes = sizeof got,
					       .spin_ns = spin_ns };
	struct error why;

	assert_int_equal(tcp->channel_create(&config, &channel, &why), 0);
}

/* A server that behaves so after that many answers, and N_LINKS links. */
static void start(enum tcp_behaviour behaviour, unsigned after, int n_links)
{
	uint64_t seed = 5;

	random_fill(&seed, sent, sizeof sent);
	memset(got, 0xee, sizeof got);
	tcp_server_start(behaviour, after);
	make_channel(0);
	for (int i = 0; i < n_links; i++) {
		struct error why;

		assert_int_equal(connect_link(i, LONG_MS, &why), 0);
	}
}

static void stop(void)
{
	for (int i = 0; i < LINKS; i++) {
		if (links[i])
			tcp->link_close(links[i]);
		links[i] = NULL;
	}
	tcp->channel_destroy(channel);
	tcp_server_stop();
}

/* Transfer I of a set: BYTES of SENT or GOT, to slab 0 through one link. */
static void plan(enum xfer_op op, size_t n)
{
	char *buf = op == XFER_READ ? got : sent;

	for (size_t i = 0; i < n; i++)
		xfers[i] = (struct xfer){ .link = links[0],
					  .op = op,
					  .bytes = BYTES,
					  .offset_bytes = i * BYTES,
					  .buf = buf + i * BYTES };
}

static void transfer_out(size_t n, uint64_t ms)
{
	uint64_t deadline_ns = after_ms(ms);

	tcp->submit(channel, xfers, n, deadline_ns);
	tcp->wait(channel, xfers, n, deadline_ns);
}

static void assert_statuses(size_t from, size_t to, int status)
{
	for (size_t i = from; i < to; i++)
		assert_int_equal(xfers[i].status, status);
}

/* --- joining --- */

static void a_link_joins_with_its_token(void **state)
{
	(void)state;
	start(TCP_GOOD, 0, 1);
	assert_ptr_equal(links[0]->ops, tcp);
	assert_ptr_equal(links[0]->channel, channel);
	assert_int_equal(tcp_server.joined.session, 7);
	assert_int_equal(tcp_server.joined.lane, 3);
	assert_int_equal(tcp_server.joined.token[15], 0xab);
	stop();
}

static void assert_join_fails(enum tcp_behaviour behaviour, uint64_t ms,
			      int status, const char *told)
{
	struct error why = { "" };

	start(behaviour, 0, 0);
	assert_int_equal(connect_link(0, ms, &why), status);
	assert_null(groups[0]);
	assert_contains(why.text, told);
	stop();
}

static void a_join_that_fails_tells_why(void **state)
{
	(void)state;
	assert_join_fails(TCP_JOIN_REFUSED, LONG_MS, -EREMOTEIO,
			  "that token joins nothing");
	assert_join_fails(TCP_JOIN_CLOSED, LONG_MS, -ECONNRESET, "reset");
	assert_join_fails(TCP_JOIN_SILENT, 50, -ETIMEDOUT, "timed out");
	assert_join_fails(TCP_JOIN_WRONG, LONG_MS, -EPROTO, "PONG");
}

static void nobody_listening_is_told(void **state)
{
	struct error why = { "" };

	(void)state;
	start(TCP_GOOD, 0, 0);
	tcp_server_stop();
	assert_int_equal(connect_link(0, LONG_MS, &why), -ECONNREFUSED);
	assert_contains(why.text, "127.0.0.1:");
	tcp->channel_destroy(channel);
}

/* --- good transfers --- */

static void writes_arrive_and_reads_bring_them_back(void **state)
{
	(void)state;
	start(TCP_GOOD, 0, 1);
	plan(XFER_WRITE, N);
	transfer_out(N, LONG_MS);
	assert_statuses(0, N, 0);
	assert_memory_equal(tcp_server.store[0], sent, N * BYTES);
	plan(XFER_READ, N);
	transfer_out(N, LONG_MS);
	assert_statuses(0, N, 0);
	assert_memory_equal(got, sent, N * BYTES);
	assert_int_equal((unsigned char)got[N * BYTES], 0xee);
	stop();
}

static void the_most_transfers_go_at_once(void **state)
{
	const size_t n = TRANSPORT_MAX_XFERS;

	(void)state;
	start(TCP_GOOD, 0, 1);
	plan(XFER_WRITE, n);
	transfer_out(n, LONG_MS);
	assert_statuses(0, n, 0);
	plan(XFER_READ, n);
	transfer_out(n, LONG_MS);
	assert_statuses(0, n, 0);
	assert_memory_equal(got, sent, n * BYTES);
	stop();
}

/* Reads and writes by turns, and the two links by turns. */
static void plan_mixed(size_t n)
{
	plan(XFER_READ, n);
	for (size_t i = 0; i < n; i++) {
		xfers[i].link = links[i / 2 % 2];
		if (i % 2) {
			xfers[i].op = XFER_WRITE;
			xfers[i].buf = sent + i * BYTES;
			xfers[i].remote.slab = 1;
		}
	}
}

static void two_links_work_in_one_set(void **state)
{
	const size_t n = 9;

	(void)state;
	start(TCP_GOOD, 0, 2);
	memcpy(tcp_server.store[0], sent, sizeof sent);
	plan_mixed(n);
	transfer_out(n, LONG_MS);
	assert_statuses(0, n, 0);
	for (size_t i = 0; i < n; i++)
		assert_memory_equal(i % 2 ? tcp_server.store[1] + i * BYTES
					  : got + i * BYTES,
				    sent + i * BYTES, BYTES);
	stop();
}

static void a_channel_that_spins_does_the_same(void **state)
{
	(void)state;
	start(TCP_GOOD, 0, 0);
	tcp->channel_destroy(channel);
	make_channel(NS_PER_MS);
	assert_int_equal(connect_link(0, LONG_MS, &(struct error){ "" }), 0);
	plan(XFER_WRITE, N);
	transfer_out(N, LONG_MS);
	plan(XFER_READ, N);
	transfer_out(N, LONG_MS);
	assert_statuses(0, N, 0);
	assert_memory_equal(got, sent, N * BYTES);
	stop();
}

static void one_transfer_may_be_large(void **state)
{
	static char large[TCP_SLAB_BYTES];
	uint64_t seed = 3;

	(void)state;
	start(TCP_GOOD, 0, 1);
	random_fill(&seed, large, sizeof large);
	plan(XFER_WRITE, 1);
	xfers[0].buf = large;
	xfers[0].bytes = sizeof large;
	transfer_out(1, LONG_MS);
	assert_statuses(0, 1, 0);
	assert_memory_equal(tcp_server.store[0], large, sizeof large);
	xfers[0].op = XFER_READ;
	memset(large, 0, sizeof large);
	transfer_out(1, LONG_MS);
	assert_statuses(0, 1, 0);
	assert_memory_equal(tcp_server.store[0], large, sizeof large);
	stop();
}

/* --- answers that are none: two good ones, then what BEHAVIOUR does --- */

/* What the third and the later transfers get. */
static void assert_third_fails(enum tcp_behaviour behaviour, enum xfer_op op,
			       uint64_t ms, int third, int later)
{
	start(behaviour, 2, 1);
	memcpy(tcp_server.store[0], sent, sizeof sent);
	plan(op, N);
	transfer_out(N, ms);
	assert_statuses(0, 2, 0);
	assert_statuses(2, 3, third);
	assert_statuses(3, N, later);
	if (op == XFER_READ)
		assert_memory_equal(got, sent, 2 * BYTES);
	/* The link is of no use any more. */
	transfer_out(N, LONG_MS);
	for (size_t i = 0; i < N; i++)
		assert_true(xfers[i].status < 0);
	stop();
}

static void assert_third_fails_both_ways(enum tcp_behaviour behaviour,
					 uint64_t ms, int third, int later)
{
	assert_third_fails(behaviour, XFER_READ, ms, third, later);
	assert_third_fails(behaviour, XFER_WRITE, ms, third, later);
}

static void an_error_status_is_a_refusal_and_ends_the_link(void **state)
{
	(void)state;
	assert_third_fails_both_ways(TCP_STATUS, LONG_MS, -EREMOTEIO,
				     -ECONNRESET);
}

static void a_wrong_cookie_is_a_protocol_error(void **state)
{
	(void)state;
	assert_third_fails_both_ways(TCP_COOKIE, LONG_MS, -EPROTO, -EPROTO);
}

static void a_wrong_magic_is_a_protocol_error(void **state)
{
	(void)state;
	assert_third_fails_both_ways(TCP_MAGIC, LONG_MS, -EPROTO, -EPROTO);
}

static void a_wrong_byte_count_is_a_protocol_error(void **state)
{
	(void)state;
	assert_third_fails_both_ways(TCP_COUNT, LONG_MS, -EPROTO, -EPROTO);
}

static void a_truncated_reply_is_a_broken_connection(void **state)
{
	(void)state;
	assert_third_fails_both_ways(TCP_TRUNCATED, LONG_MS, -ECONNRESET,
				     -ECONNRESET);
}

static void a_read_that_brings_half_of_it_is_a_broken_connection(void **state)
{
	(void)state;
	assert_third_fails(TCP_SHORT, XFER_READ, LONG_MS, -ECONNRESET,
			   -ECONNRESET);
}

static void a_close_is_a_broken_connection(void **state)
{
	(void)state;
	assert_third_fails(TCP_CLOSED, XFER_READ, LONG_MS, -ECONNRESET,
			   -ECONNRESET);
}

static void silence_ends_at_the_deadline(void **state)
{
	uint64_t begin_ns = clock_now_ns();

	(void)state;
	assert_third_fails_both_ways(TCP_SILENT, 60, -ETIMEDOUT, -ETIMEDOUT);
	assert_true(clock_now_ns() - begin_ns >= 120 * NS_PER_MS);
}

static void a_server_that_takes_nothing_ends_at_the_deadline(void **state)
{
	static char large[TCP_SLAB_BYTES * 4];

	(void)state;
	start(TCP_DEAF, 0, 1);
	plan(XFER_WRITE, 2);
	xfers[0].buf = large;
	xfers[0].bytes = sizeof large;
	transfer_out(2, 60);
	assert_statuses(0, 2, -ETIMEDOUT);
	stop();
}

static void one_connections_failure_leaves_the_others_alone(void **state)
{
	const size_t n = 8;

	(void)state;
	tcp_server.only_lane = 1; /* the first link's READs */
	start(TCP_STATUS, 0, 2);
	memcpy(tcp_server.store[0], sent, sizeof sent);
	plan_mixed(n);
	transfer_out(n, LONG_MS);
	assert_int_equal(xfers[0].status, -EREMOTEIO);
	for (size_t i = 1; i < n; i++)
		assert_int_equal(xfers[i].status, i % 4 == 0 ? -ECONNRESET : 0);
	stop();
}

/* The second link's answers have come long before anybody looks at them: they
 * count, and its connection lives on. */
static void a_silent_server_does_not_cost_another_its_connection(void **state)
{
	(void)state;
	tcp_server.only_lane = 1; /* the first link's READs */
	start(TCP_SILENT, 0, 2);
	memcpy(tcp_server.store[0], sent, sizeof sent);
	plan(XFER_READ, 4);
	xfers[2].link = xfers[3].link = links[1];
	transfer_out(4, 100);
	assert_statuses(0, 2, -ETIMEDOUT);
	assert_statuses(2, 4, 0);
	assert_memory_equal(got + 2 * BYTES, sent + 2 * BYTES, 2 * BYTES);
	plan(XFER_READ, 1);
	xfers[0].link = links[1];
	transfer_out(1, LONG_MS);
	assert_statuses(0, 1, 0);
	stop();
}

static void drop_by_drop_ends_at_the_deadline(void **state)
{
	uint64_t begin_ns = clock_now_ns();

	(void)state;
	start(TCP_DRIP, 0, 1);
	plan(XFER_READ, 1);
	transfer_out(1, 100);
	assert_statuses(0, 1, -ETIMEDOUT);
	assert_true(clock_now_ns() - begin_ns < LONG_MS * NS_PER_MS);
	stop();
}

/* --- waiting for some, and several sets at a time --- */

static size_t wait_for(struct xfer *set, size_t n, size_t want, uint64_t ms)
{
	return tcp->wait_until(channel, set, n, want, ms ? after_ms(ms) : 0);
}

static void submit(struct xfer *set, size_t n)
{
	tcp->submit(channel, set, n, after_ms(LONG_MS));
}

/* A server whose first connection, the first link's READs, is held. */
static void start_held(unsigned after)
{
	tcp_server.only_lane = 1;
	start(TCP_HELD, after, 2);
	memcpy(tcp_server.store[0], sent, sizeof sent);
	plan(XFER_READ, N);
}

static void release(void)
{
	atomic_store(&tcp_server.released, true);
}

static void a_wait_that_ends_early_aborts_nothing(void **state)
{
	uint64_t begin_ns;

	(void)state;
	start_held(2);
	submit(xfers, N);
	assert_int_equal(wait_for(xfers, N, 2, LONG_MS), 2);
	begin_ns = clock_now_ns();
	assert_int_equal(wait_for(xfers, N, N, 0), 2);
	assert_int_equal(wait_for(xfers, N, N, 30), 2);
	assert_true(clock_now_ns() - begin_ns >= 30 * NS_PER_MS);
	assert_statuses(2, N, -EINPROGRESS);
	release();
	assert_int_equal(wait_for(xfers, N, N, LONG_MS), N);
	assert_statuses(0, N, 0);
	assert_memory_equal(got, sent, N * BYTES);
	stop();
}

/* Nearer than a receive can wait for by itself. */
static void a_short_wait_is_as_short_as_it_says(void **state)
{
	uint64_t begin_ns = clock_now_ns();

	(void)state;
	start_held(0);
	submit(xfers, N);
	for (int i = 0; i < 200; i++)
		assert_int_equal(wait_for(xfers, N, 1, 1), 0);
	/* A tick each would be 20 seconds. */
	assert_true(clock_now_ns() - begin_ns < 15 * NS_PER_S);
	release();
	tcp->wait(channel, xfers, N, after_ms(LONG_MS));
	assert_statuses(0, N, 0);
	stop();
}

static void a_look_takes_what_has_come(void **state)
{
	(void)state;
	start(TCP_GOOD, 0, 1);
	plan(XFER_WRITE, N);
	submit(xfers, N);
	while (wait_for(xfers, N, N, 0) < N)
		sleep_ms(1);
	assert_statuses(0, N, 0);
	stop();
}

static void one_silent_server_is_not_waited_for(void **state)
{
	uint64_t begin_ns = clock_now_ns();

	(void)state;
	start_held(0);
	xfers[3].link = xfers[4].link = links[1];
	submit(xfers, N);
	assert_int_equal(wait_for(xfers, N, 2, LONG_MS), 2);
	assert_true(clock_now_ns() - begin_ns < LONG_MS * NS_PER_MS);
	assert_statuses(0, 3, -EINPROGRESS);
	assert_statuses(3, N, 0);
	assert_memory_equal(got + 3 * BYTES, sent + 3 * BYTES, 2 * BYTES);
	assert_int_equal(wait_for(xfers, N, 3, 20), 2);
	release();
	assert_true(wait_for(xfers, N, 3, LONG_MS) >= 3);
	tcp->wait(channel, xfers, N, after_ms(LONG_MS));
	assert_statuses(0, N, 0);
	assert_memory_equal(got, sent, N * BYTES);
	stop();
}

/* The first is answered last, when others have come and gone. */
static void a_late_transfer_is_told_its_own(void **state)
{
	(void)state;
	start_held(0);
	submit(xfers, 1);
	for (int round = 0; round < TRANSPORT_MAX_XFERS; round++) {
		struct xfer *later = &xfers[1];

		later->link = links[1];
		memset(later->buf, 0, BYTES);
		submit(later, 1);
		assert_int_equal(wait_for(later, 1, 1, LONG_MS), 1);
		assert_int_equal(later->status, 0);
		assert_memory_equal(later->buf, sent + BYTES, BYTES);
	}
	assert_statuses(0, 1, -EINPROGRESS);
	release();
	tcp->wait(channel, xfers, 1, after_ms(LONG_MS));
	assert_statuses(0, 1, 0);
	assert_memory_equal(got, sent, BYTES);
	stop();
}

/* Of two sets on one connection, the later one's end is the end of both. */
static void sets_on_one_connection_end_in_order(void **state)
{
	(void)state;
	start_held(1);
	submit(xfers, 2);
	submit(&xfers[2], N - 2);
	assert_int_equal(wait_for(xfers, N, 1, LONG_MS), 1);
	assert_int_equal(wait_for(&xfers[2], N - 2, 1, 20), 0);
	release();
	assert_int_equal(wait_for(&xfers[2], N - 2, N - 2, LONG_MS), N - 2);
	assert_statuses(0, N, 0);
	assert_memory_equal(got, sent, N * BYTES);
	stop();
}

static void a_channel_that_is_full_says_so(void **state)
{
	const size_t half = TRANSPORT_MAX_XFERS / 2;
	struct xfer more;

	(void)state;
	start_held(0);
	plan(XFER_READ, 2 * half);
	more = xfers[0];
	submit(xfers, half);
	submit(&xfers[half], half);
	submit(&more, 1);
	assert_int_equal(more.status, XFER_UNSENT);
	assert_int_equal(wait_for(&more, 1, 1, LONG_MS), 1);
	release();
	tcp->wait(channel, xfers, 2 * half, after_ms(LONG_MS));
	assert_statuses(0, 2 * half, 0);
	submit(&more, 1);
	tcp->wait(channel, &more, 1, after_ms(LONG_MS));
	assert_int_equal(more.status, 0);
	stop();
}

static void a_deadline_ends_the_sets_before_it_too(void **state)
{
	(void)state;
	start_held(0);
	submit(xfers, 2);
	submit(&xfers[2], N - 2);
	tcp->wait(channel, &xfers[2], N - 2, after_ms(30));
	assert_statuses(2, N, -ETIMEDOUT);
	assert_int_equal(wait_for(xfers, 2, 2, LONG_MS), 2);
	assert_statuses(0, 2, -ECONNRESET);
	release();
	stop();
}

/* --- abort --- */

static void *abort_after_a_while(void *arg)
{
	wait_until_asleep();
	tcp->link_abort(arg);
	tcp->link_abort(arg);
	return NULL;
}

static void an_abort_wakes_a_wait(void **state)
{
	uint64_t begin_ns = clock_now_ns();
	pthread_t thread;

	(void)state;
	start(TCP_SILENT, 0, 1);
	thread = thread_start(abort_after_a_while, links[0]);
	plan(XFER_READ, N);
	transfer_out(N, 2 * LONG_MS);
	thread_end(thread);
	assert_true(clock_now_ns() - begin_ns < LONG_MS * NS_PER_MS);
	assert_statuses(0, N, -ECONNRESET);
	stop();
}

static void an_aborted_link_carries_nothing(void **state)
{
	(void)state;
	start(TCP_GOOD, 0, 1);
	tcp->link_abort(links[0]);
	plan(XFER_WRITE, N);
	transfer_out(N, LONG_MS);
	for (size_t i = 0; i < N; i++)
		assert_true(xfers[i].status < 0 &&
			    xfers[i].status != -EINPROGRESS);
	stop();
}

/* The server refuses more than the session was opened with. */
static void connections_stay_as_many_as_there_were(void **state)
{
	uint32_t before = tcp->connections(64);

	(void)state;
	assert_int_equal(before, 2);
	processors = 16;
	assert_int_equal(tcp->connections(64), before);
	processors = 4;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_stay_as_many_as_there_were),
		cmocka_unit_test(a_link_joins_with_its_token),
		cmocka_unit_test(a_join_that_fails_tells_why),
		cmocka_unit_test(nobody_listening_is_told),
		cmocka_unit_test(writes_arrive_and_reads_bring_them_back),
		cmocka_unit_test(the_most_transfers_go_at_once),
		cmocka_unit_test(two_links_work_in_one_set),
		cmocka_unit_test(a_channel_that_spins_does_the_same),
		cmocka_unit_test(one_transfer_may_be_large),
		cmocka_unit_test(
			an_error_status_is_a_refusal_and_ends_the_link),
		cmocka_unit_test(a_wrong_cookie_is_a_protocol_error),
		cmocka_unit_test(a_wrong_magic_is_a_protocol_error),
		cmocka_unit_test(a_wrong_byte_count_is_a_protocol_error),
		cmocka_unit_test(a_truncated_reply_is_a_broken_connection),
		cmocka_unit_test(
			a_read_that_brings_half_of_it_is_a_broken_connection),
		cmocka_unit_test(a_close_is_a_broken_connection),
		cmocka_unit_test(silence_ends_at_the_deadline),
		cmocka_unit_test(
			a_server_that_takes_nothing_ends_at_the_deadline),
		cmocka_unit_test(
			one_connections_failure_leaves_the_others_alone),
		cmocka_unit_test(
			a_silent_server_does_not_cost_another_its_connection),
		cmocka_unit_test(drop_by_drop_ends_at_the_deadline),
		cmocka_unit_test(a_wait_that_ends_early_aborts_nothing),
		cmocka_unit_test(a_short_wait_is_as_short_as_it_says),
		cmocka_unit_test(a_look_takes_what_has_come),
		cmocka_unit_test(one_silent_server_is_not_waited_for),
		cmocka_unit_test(a_late_transfer_is_told_its_own),
		cmocka_unit_test(sets_on_one_connection_end_in_order),
		cmocka_unit_test(a_channel_that_is_full_says_so),
		cmocka_unit_test(a_deadline_ends_the_sets_before_it_too),
		cmocka_unit_test(an_abort_wakes_a_wait),
		cmocka_unit_test(an_aborted_link_carries_nothing),
	};

	return cmocka_run_group_tests_name("tcp", tests, NULL, NULL);
}
