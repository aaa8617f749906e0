/* The RDMA transport's transfers, over mocked verbs. */
#include "mock_verbs.h"
#include "support.h"
#include "transport/rdma.h"
#include "transport/watch.h"

#include <errno.h>
#include <sys/eventfd.h>

#define N     5
#define BYTES 4096u
#define LINKS 2

static const struct transport_ops *const rdma = &transport_rdma;

static struct channel *channel;
static struct link *links[LINKS];
static struct xfer xfers[TRANSPORT_MAX_XFERS];
static char sent[TRANSPORT_MAX_XFERS * BYTES];
static char got[TRANSPORT_MAX_XFERS * BYTES];
static char remote[TRANSPORT_MAX_XFERS * BYTES];

/* The lane's, and room behind it. */
static char memory[(N + 1) * BYTES] __attribute__((aligned(4096)));

static void make_channel(uint64_t spin_ns)
{
	const struct channel_config config = {
		.buffer_bytes = sizeof got,
		.outside_bytes = sizeof got,
		.memory = memory,
		.memory_bytes = sizeof memory - BYTES,
		.spin_ns = spin_ns,
	};
	struct error why;

	assert_int_equal(rdma->channel_create(&config, &channel, &why), 0);
}

static void connect_link(int i)
{
	struct link_target target = { .timeout_ns = NS_PER_S,
				      .new_token = test_token };
	struct error why;

	target.addr.storage.ss_family = AF_INET;
	assert_int_equal(rdma->link_connect(channel, &target, after_ms(LONG_MS),
					    &links[i], &why),
			 0);
}

static int start(void **state)
{
	uint64_t seed = 9;

	(void)state;
	mock_reset();
	random_fill(&seed, sent, sizeof sent);
	random_fill(&seed, remote, sizeof remote);
	memset(got, 0xee, sizeof got);
	mock.remote = remote;
	make_channel(0);
	for (int i = 0; i < LINKS; i++)
		connect_link(i);
	return 0;
}

static void close_link(int i)
{
	if (links[i])
		rdma->link_close(links[i]);
	links[i] = NULL;
}

static int stop(void **state)
{
	(void)state;
	for (int i = 0; i < LINKS; i++)
		close_link(i);
	rdma->channel_destroy(channel);
	assert_nothing_left();
	return 0;
}

/* N transfers of BYTES between REMOTE and SENT or GOT through link 0. */
static void plan(enum xfer_op op, size_t n)
{
	char *buf = op == XFER_READ ? got : sent;

	for (size_t i = 0; i < n; i++) {
		xfers[i] = (struct xfer){ .link = links[0],
					  .op = op,
					  .bytes = BYTES,
					  .offset_bytes = i * BYTES,
					  .buf = buf + i * BYTES };
	}
}

/* The same, by turns through both links. */
static void plan_both(enum xfer_op op, size_t n)
{
	plan(op, n);
	for (size_t i = 0; i < n; i++)
		xfers[i].link = links[i % LINKS];
}

static void transfer_out(size_t n, uint64_t ms)
{
	uint64_t deadline_ns = after_ms(ms);

	rdma->submit(channel, xfers, n, deadline_ns);
	rdma->wait(channel, xfers, n, deadline_ns);
}

static void assert_statuses(size_t from, size_t to, int status)
{
	for (size_t i = from; i < to; i++)
		assert_int_equal(xfers[i].status, status);
}

static void assert_untouched(size_t from, size_t to)
{
	for (size_t i = from * BYTES; i < to * BYTES; i++)
		assert_int_equal((unsigned char)got[i], 0xee);
}

/* --- good --- */

static void a_set_goes_in_one_post_with_only_the_last_signalled(void **state)
{
	(void)state;
	plan(XFER_WRITE, N);
	transfer_out(N, LONG_MS);
	assert_int_equal(mock.posts, 1);
	assert_int_equal(mock.last_chain, N);
	assert_int_equal(mock.signalled, 1);
}

static void one_success_settles_them_all(void **state)
{
	(void)state;
	plan(XFER_WRITE, N);
	transfer_out(N, LONG_MS);
	assert_statuses(0, N, 0);
	assert_memory_equal(remote, sent, N * BYTES);
	plan(XFER_READ, N);
	transfer_out(N, LONG_MS);
	assert_statuses(0, N, 0);
	assert_memory_equal(got, sent, N * BYTES);
	assert_untouched(N, N + 1);
}

static void the_most_transfers_go_at_once(void **state)
{
	const size_t n = TRANSPORT_MAX_XFERS;

	(void)state;
	plan_both(XFER_READ, n);
	transfer_out(n, LONG_MS);
	assert_statuses(0, n, 0);
	assert_memory_equal(got, remote, n * BYTES);
	assert_int_equal(mock.posts, LINKS);
}

static void a_write_sends_what_was_there_at_submit(void **state)
{
	uint64_t deadline_ns = after_ms(LONG_MS);
	char before[BYTES];

	(void)state;
	memcpy(before, sent, BYTES);
	mock.hold = true;
	plan(XFER_WRITE, 1);
	rdma->submit(channel, xfers, 1, deadline_ns);
	assert_int_equal(xfers[0].status, -EINPROGRESS);
	memset(sent, 0, BYTES);
	mock_finish();
	rdma->wait(channel, xfers, 1, deadline_ns);
	assert_statuses(0, 1, 0);
	assert_memory_equal(remote, before, BYTES);
}

/* The lane's memory is registered, so that nothing is copied. */
static void the_lanes_memory_is_sent_from_where_it_is(void **state)
{
	uint64_t deadline_ns = after_ms(LONG_MS);

	(void)state;
	mock.hold = true;
	plan(XFER_WRITE, 1);
	xfers[0].buf = memory;
	rdma->submit(channel, xfers, 1, deadline_ns);
	memset(memory, 7, BYTES);
	mock_finish();
	rdma->wait(channel, xfers, 1, deadline_ns);
	assert_statuses(0, 1, 0);
	assert_memory_equal(remote, memory, BYTES);
	assert_int_equal(rdma_channel(channel)->buffer_used_bytes, 0);
}

static void a_read_arrives_in_the_lanes_memory(void **state)
{
	(void)state;
	plan(XFER_READ, N);
	for (int i = 0; i < N; i++)
		xfers[i].buf = memory + i * BYTES;
	transfer_out(N, LONG_MS);
	assert_statuses(0, N, 0);
	assert_memory_equal(memory, remote, N * BYTES);
	assert_int_equal(rdma_channel(channel)->buffer_used_bytes, 0);
}

static void what_reaches_beyond_the_lanes_memory_is_copied(void **state)
{
	(void)state;
	plan(XFER_READ, 1);
	xfers[0].buf = memory + sizeof memory - BYTES - BYTES / 2;
	transfer_out(1, LONG_MS);
	assert_statuses(0, 1, 0);
	assert_memory_equal(xfers[0].buf, remote, BYTES);
	assert_int_equal(rdma_channel(channel)->buffer_used_bytes, BYTES);
}

/* A lane that seals its pages has no bounce buffer. */
static void without_a_buffer_only_the_lanes_memory_is_sent(void **state)
{
	const struct channel_config config = {
		.buffer_bytes = sizeof got,
		.memory = memory,
		.memory_bytes = sizeof memory,
	};
	struct error why;

	(void)state;
	stop(NULL);
	assert_int_equal(rdma->channel_create(&config, &channel, &why), 0);
	connect_link(0);
	assert_int_equal(mock.mrs, 1);
	plan(XFER_READ, N);
	transfer_out(N, LONG_MS);
	assert_statuses(0, N, XFER_UNSENT);
	for (int i = 0; i < N; i++)
		xfers[i].buf = memory + i * BYTES;
	transfer_out(N, LONG_MS);
	assert_statuses(0, N, 0);
}

static void links_on_two_devices_work_in_one_set(void **state)
{
	(void)state;
	close_link(1);
	mock.device = 1;
	connect_link(1);
	plan_both(XFER_READ, N);
	transfer_out(N, LONG_MS);
	assert_statuses(0, N, 0);
	assert_memory_equal(got, remote, N * BYTES);
	assert_int_equal(mock.cqs, 2);
}

static void a_channel_that_spins_does_the_same(void **state)
{
	(void)state;
	((struct rdma_channel *)channel)->spin_ns = NS_PER_MS;
	plan(XFER_READ, N);
	transfer_out(N, LONG_MS);
	assert_statuses(0, N, 0);
	assert_memory_equal(got, remote, N * BYTES);
}

/* --- sleeping --- */

static void *finish_after_a_while(void *arg)
{
	(void)arg;
	wait_until_asleep();
	mock_finish();
	return NULL;
}

static void assert_the_sleeper_goes_on(void)
{
	uint64_t begin_ns = clock_now_ns();
	pthread_t thread;

	mock.hold = true;
	plan_both(XFER_READ, N);
	thread = thread_start(finish_after_a_while, NULL);
	transfer_out(N, 2 * LONG_MS);
	thread_end(thread);
	assert_statuses(0, N, 0);
	assert_true(clock_now_ns() - begin_ns < LONG_MS * NS_PER_MS);
}

static void a_completion_wakes_the_sleeper(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		assert_the_sleeper_goes_on();
}

/* The kernel has no memory for the event. */
static void a_completion_without_an_event_is_found(void **state)
{
	(void)state;
	mock.no_memory = true;
	assert_the_sleeper_goes_on();
}

static void a_completion_before_arming_is_not_missed(void **state)
{
	uint64_t begin_ns = clock_now_ns();

	(void)state;
	mock.hold = mock.finish_on_arm = true;
	plan(XFER_READ, N);
	transfer_out(N, 2 * LONG_MS);
	assert_statuses(0, N, 0);
	assert_true(clock_now_ns() - begin_ns < LONG_MS * NS_PER_MS);
}

static void *abort_after_a_while(void *arg)
{
	wait_until_asleep();
	rdma->link_abort(arg);
	rdma->link_abort(arg);
	return NULL;
}

static void an_abort_wakes_the_sleeper(void **state)
{
	pthread_t thread;

	(void)state;
	mock.hold = true;
	plan(XFER_READ, N);
	thread = thread_start(abort_after_a_while, links[0]);
	transfer_out(N, 2 * LONG_MS);
	thread_end(thread);
	assert_statuses(0, N, -ECONNABORTED);
	assert_untouched(0, N);
}

/* --- completions that failed --- */

static void fail_call(const char *call, unsigned after, int error)
{
	mock.fail = call;
	mock.fail_after = after;
	mock.fail_errno = error;
}

static void fail_work(unsigned at, enum ibv_wc_status status)
{
	mock.bad_at = at;
	mock.bad_status = status;
}

static void an_error_in_the_middle_flushes_what_stands_behind(void **state)
{
	(void)state;
	plan(XFER_READ, N);
	fail_work(3, IBV_WC_RETRY_EXC_ERR);
	transfer_out(N, LONG_MS);
	/* The first two were good, but unsignalled: not to be told. */
	assert_statuses(0, 3, -ECONNRESET);
	assert_statuses(3, N, -ECONNABORTED);
	assert_untouched(0, N);
}

static void more_may_fail_than_one_poll_brings(void **state)
{
	const size_t n = TRANSPORT_MAX_XFERS;

	(void)state;
	plan(XFER_WRITE, n);
	fail_work(1, IBV_WC_RETRY_EXC_ERR);
	transfer_out(n, LONG_MS);
	assert_statuses(0, 1, -ECONNRESET);
	assert_statuses(1, n, -ECONNABORTED);
}

static void a_refusal_by_the_server_is_told_apart(void **state)
{
	static const struct {
		enum ibv_wc_status status;
		int rc;
	} told[] = {
		{ IBV_WC_REM_ACCESS_ERR, -EREMOTEIO },
		{ IBV_WC_REM_INV_REQ_ERR, -EREMOTEIO },
		{ IBV_WC_REM_OP_ERR, -EREMOTEIO },
		{ IBV_WC_WR_FLUSH_ERR, -ECONNABORTED },
		{ IBV_WC_RETRY_EXC_ERR, -ECONNRESET },
		{ IBV_WC_RNR_RETRY_EXC_ERR, -ECONNRESET },
		{ IBV_WC_LOC_PROT_ERR, -ECONNRESET },
		{ IBV_WC_FATAL_ERR, -ECONNRESET },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(told); i++) {
		plan(XFER_READ, 1);
		fail_work(1, told[i].status);
		transfer_out(1, LONG_MS);
		assert_statuses(0, 1, told[i].rc);
		close_link(0);
		connect_link(0);
	}
}

static void one_links_failure_leaves_the_other_alone(void **state)
{
	(void)state;
	plan_both(XFER_READ, N);
	fail_work(1, IBV_WC_REM_ACCESS_ERR);
	transfer_out(N, LONG_MS);
	assert_int_equal(xfers[0].status, -EREMOTEIO);
	assert_int_equal(xfers[2].status, -ECONNABORTED);
	assert_int_equal(xfers[4].status, -ECONNABORTED);
	assert_int_equal(xfers[1].status, 0);
	assert_int_equal(xfers[3].status, 0);
	assert_memory_equal(got + BYTES, remote + BYTES, BYTES);
	assert_untouched(0, 1);
	assert_untouched(2, 3);
}

/* --- waiting for some, and several sets at a time --- */

static size_t wait_for(struct xfer *set, size_t n, size_t want, uint64_t ms)
{
	return rdma->wait_until(channel, set, n, want, ms ? after_ms(ms) : 0);
}

static void submit(struct xfer *set, size_t n)
{
	rdma->submit(channel, set, n, after_ms(LONG_MS));
}

static void a_wait_that_ends_early_aborts_nothing(void **state)
{
	uint64_t begin_ns = clock_now_ns();

	(void)state;
	mock.hold = true;
	plan(XFER_READ, N);
	submit(xfers, N);
	assert_int_equal(wait_for(xfers, N, 1, 0), 0);
	assert_int_equal(wait_for(xfers, N, 1, 30), 0);
	assert_true(clock_now_ns() - begin_ns >= 30 * NS_PER_MS);
	assert_statuses(0, N, -EINPROGRESS);
	assert_int_equal(mock.to_error, 0);
	mock_finish();
	assert_int_equal(wait_for(xfers, N, N, 0), N);
	assert_statuses(0, N, 0);
	assert_memory_equal(got, remote, N * BYTES);
}

static void one_silent_server_is_not_waited_for(void **state)
{
	(void)state;
	plan_both(XFER_READ, 2);
	mock.hold = true;
	submit(xfers, 1);
	mock.hold = false;
	submit(&xfers[1], 1);
	assert_int_equal(wait_for(xfers, 2, 1, LONG_MS), 1);
	assert_int_equal(wait_for(xfers, 2, 2, 20), 1);
	assert_int_equal(xfers[0].status, -EINPROGRESS);
	assert_memory_equal(got + BYTES, remote + BYTES, BYTES);
	assert_untouched(0, 1);
	mock_finish();
	assert_int_equal(wait_for(xfers, 2, 2, LONG_MS), 2);
	assert_statuses(0, 2, 0);
}

static void a_sleeper_is_woken_by_either_device(void **state)
{
	pthread_t thread;

	(void)state;
	close_link(1);
	mock.device = 1;
	connect_link(1);
	for (int late = 0; late < LINKS; late++) {
		plan_both(XFER_READ, 2);
		mock.hold = true;
		submit(xfers, 2);
		/* The other one ends, by this. */
		rdma->link_abort(links[!late]);
		assert_int_equal(wait_for(xfers, 2, 1, LONG_MS), 1);
		thread = thread_start(finish_after_a_while, NULL);
		assert_int_equal(wait_for(xfers, 2, 2, LONG_MS), 2);
		thread_end(thread);
		assert_int_equal(xfers[late].status, 0);
		close_link(!late);
		mock.device = !late;
		connect_link(!late);
	}
}

/* The first is over last, when others have come and gone, of the same link
 * too. */
static void a_late_transfer_is_told_its_own(void **state)
{
	(void)state;
	plan_both(XFER_READ, N);
	mock.hold = true;
	submit(xfers, 1);
	mock.hold = false;
	for (size_t i = 1; i < N; i += 2) {
		submit(&xfers[i], 1);
		assert_int_equal(wait_for(&xfers[i], 1, 1, LONG_MS), 1);
		assert_int_equal(xfers[i].status, 0);
		assert_memory_equal(got + i * BYTES, remote + i * BYTES, BYTES);
	}
	assert_statuses(0, 1, -EINPROGRESS);
	assert_untouched(0, 1);
	mock_finish();
	assert_int_equal(wait_for(xfers, 1, 1, LONG_MS), 1);
	assert_statuses(0, 1, 0);
	assert_memory_equal(got, remote, 2 * BYTES);
}

/* While a wait is for another set, or for none, each is told its own. */
static void a_wait_carries_the_other_sets_on(void **state)
{
	(void)state;
	plan_both(XFER_READ, N);
	mock.hold = true;
	submit(xfers, 3);
	submit(&xfers[3], N - 3);
	mock_finish();
	assert_int_equal(wait_for(&xfers[3], N - 3, N - 3, LONG_MS), N - 3);
	assert_statuses(0, N, 0);
	assert_memory_equal(got, remote, N * BYTES);
}

static void an_error_flushes_the_sets_behind_it(void **state)
{
	(void)state;
	plan(XFER_READ, N);
	mock.hold = true;
	submit(xfers, 2);
	submit(&xfers[2], N - 2);
	fail_work(4, IBV_WC_RETRY_EXC_ERR);
	mock_finish();
	assert_int_equal(wait_for(xfers, N, N, LONG_MS), N);
	assert_statuses(0, 2, 0);
	assert_statuses(2, 4, -ECONNRESET);
	assert_statuses(4, N, -ECONNABORTED);
	assert_memory_equal(got, remote, 2 * BYTES);
	assert_untouched(2, N);
}

static void a_channel_that_is_full_says_so(void **state)
{
	const size_t n = TRANSPORT_MAX_XFERS - 1;
	struct xfer more[2];

	(void)state;
	plan_both(XFER_READ, n);
	more[0] = more[1] = xfers[0];
	mock.hold = true;
	submit(xfers, 1);
	mock.hold = false;
	submit(&xfers[1], n - 1);
	mock.posts = 0;
	submit(more, 2); /* of which there is room for one */
	assert_int_equal(more[0].status, XFER_UNSENT);
	assert_int_equal(more[1].status, XFER_UNSENT);
	assert_int_equal(mock.posts, 0);
	assert_int_equal(wait_for(xfers, n, n, LONG_MS), n);
	assert_statuses(0, n, 0);
	submit(more, 2);
	assert_int_equal(wait_for(more, 2, 2, LONG_MS), 2);
	assert_int_equal(more[1].status, 0);
}

static void a_channel_whose_buffer_is_full_says_so(void **state)
{
	(void)state;
	plan_both(XFER_READ, 3);
	xfers[0].bytes = sizeof got - BYTES;
	mock.hold = true;
	submit(xfers, 1);
	submit(&xfers[1], 1);
	submit(&xfers[2], 1);
	assert_int_equal(xfers[2].status, XFER_UNSENT);
	mock_finish();
	assert_int_equal(wait_for(xfers, 3, 3, LONG_MS), 3);
	assert_statuses(0, 2, 0);
	submit(&xfers[2], 1);
	mock_finish();
	assert_int_equal(wait_for(xfers, 3, 3, LONG_MS), 3);
	assert_statuses(0, 3, 0);
}

static void a_deadline_is_one_sets_own(void **state)
{
	(void)state;
	plan_both(XFER_READ, 2);
	mock.hold = true;
	submit(xfers, 1);
	submit(&xfers[1], 1);
	rdma->wait(channel, xfers, 1, after_ms(20));
	assert_statuses(0, 1, -ETIMEDOUT);
	assert_statuses(1, 2, -EINPROGRESS);
	mock_finish();
	assert_int_equal(wait_for(&xfers[1], 1, 1, LONG_MS), 1);
	assert_statuses(1, 2, 0);
}

static void who_cannot_sleep_waits_no_more(void **state)
{
	(void)state;
	mock.hold = true;
	fail_call("ibv_req_notify_cq", 0, EIO);
	plan(XFER_READ, N);
	submit(xfers, N);
	assert_int_equal(wait_for(xfers, N, 1, LONG_MS), N);
	assert_statuses(0, N, -EIO);
}

/* --- deadlines --- */

static void a_deadline_flushes_the_queue_pair(void **state)
{
	uint64_t begin_ns = clock_now_ns();

	(void)state;
	mock.hold = true;
	plan(XFER_READ, N);
	transfer_out(N, 50);
	assert_statuses(0, N, -ETIMEDOUT);
	assert_true(mock.to_error > 0);
	assert_true(clock_now_ns() - begin_ns >= 50 * NS_PER_MS);
	assert_untouched(0, N);
	/* The other link is as good as ever. */
	mock.hold = false;
	plan(XFER_READ, N);
	for (int i = 0; i < N; i++)
		xfers[i].link = links[1];
	transfer_out(N, LONG_MS);
	assert_statuses(0, N, 0);
	assert_memory_equal(got, remote, N * BYTES);
}

static void a_deadline_spares_the_link_that_was_done(void **state)
{
	uint64_t deadline_ns = after_ms(50);

	(void)state;
	plan_both(XFER_READ, N);
	mock.hold = true;
	rdma->submit(channel, xfers, N, deadline_ns);
	rdma->link_abort(links[1]); /* which is over at once, by this */
	rdma->wait(channel, xfers, N, deadline_ns);
	for (size_t i = 0; i < N; i++)
		assert_int_equal(xfers[i].status,
				 i % 2 ? -ECONNABORTED : -ETIMEDOUT);
}

/* What is left of link 0 when its device does not flush. */
static void get_stuck(void)
{
	mock.hold = mock.no_flush = true;
	plan(XFER_READ, N);
	transfer_out(N, 20);
	assert_statuses(0, N, -ETIMEDOUT);
	mock.posts = 0;
}

static void assert_channel_closed(void)
{
	plan_both(XFER_READ, N);
	transfer_out(N, LONG_MS);
	assert_statuses(0, N, XFER_UNSENT);
	assert_int_equal(mock.posts, 0);
	assert_false(channel_is_usable(channel));
}

static void a_device_that_does_not_flush_closes_the_channel(void **state)
{
	(void)state;
	get_stuck();
	assert_channel_closed();

	/* Now it flushes after all: completions of an earlier submit, which
	 * say nothing of the transfers that come. */
	mock.hold = mock.no_flush = false;
	mock_finish();
	assert_channel_closed();
	close_link(0);
	connect_link(0);
	assert_true(channel_is_usable(channel));
	plan_both(XFER_READ, N);
	transfer_out(N, LONG_MS);
	assert_statuses(0, N, 0);
	assert_memory_equal(got, remote, N * BYTES);
}

/* A lane for which nobody waits: no flush is waited for either. */
static void what_is_abandoned_is_over_at_once(void **state)
{
	unsigned polls;

	(void)state;
	mock.hold = mock.no_flush = true;
	plan(XFER_READ, N);
	submit(xfers, N);
	rdma->link_abort(links[0]);
	polls = mock.polls;
	rdma->abandon(channel, xfers, N);
	assert_int_equal(mock.polls, polls);
	assert_statuses(0, N, -ETIMEDOUT);
	assert_untouched(0, N);
	mock.posts = 0;
	assert_channel_closed();
	/* The link to the other server is as good as before. */
	close_link(0);
	mock.hold = mock.no_flush = false;
	plan(XFER_READ, N);
	for (int i = 0; i < N; i++)
		xfers[i].link = links[1];
	transfer_out(N, LONG_MS);
	assert_statuses(0, N, 0);
}

static void abandoning_leaves_alone_what_is_over(void **state)
{
	(void)state;
	plan(XFER_READ, N);
	transfer_out(N, LONG_MS);
	rdma->abandon(channel, xfers, N);
	assert_statuses(0, N, 0);
	assert_true(channel_is_usable(channel));
}

/* --- calls that fail --- */

static void ibv_post_send__ENOMEM_at_the_first(void **state)
{
	(void)state;
	fail_call("ibv_post_send", 0, ENOMEM);
	plan(XFER_READ, N);
	transfer_out(N, LONG_MS);
	assert_statuses(0, N, -ENOMEM);
	assert_int_equal(mock.to_error, 1);
	assert_untouched(0, N);
	/* Nothing of it was posted: the channel goes on. */
	mock.fail = NULL;
	plan(XFER_READ, N);
	for (int i = 0; i < N; i++)
		xfers[i].link = links[1];
	transfer_out(N, LONG_MS);
	assert_statuses(0, N, 0);
}

static void ibv_post_send__ENOMEM_in_the_middle(void **state)
{
	(void)state;
	mock.hold = true;
	fail_call("ibv_post_send", 2, ENOMEM);
	plan(XFER_READ, N);
	transfer_out(N, LONG_MS);
	assert_statuses(0, N, -ENOMEM);
	assert_int_equal(mock.to_error, 1);
	assert_untouched(0, N);
	/* Two were posted, and may still use the buffer. */
	mock.fail = NULL;
	mock.hold = false;
	mock.posts = 0;
	assert_channel_closed();
	close_link(0);
	connect_link(0);
	plan_both(XFER_READ, N);
	transfer_out(N, LONG_MS);
	assert_statuses(0, N, 0);
	assert_memory_equal(got, remote, N * BYTES);
}

static void ibv_post_send__EINVAL_on_one_link_of_two(void **state)
{
	(void)state;
	/* Link 0's chain has three, link 1's two. */
	fail_call("ibv_post_send", 3, EINVAL);
	plan_both(XFER_READ, N);
	transfer_out(N, LONG_MS);
	for (size_t i = 0; i < N; i++)
		assert_int_equal(xfers[i].status, i % 2 ? -EINVAL : 0);
}

static void ibv_req_notify_cq__EIO(void **state)
{
	(void)state;
	mock.hold = true;
	fail_call("ibv_req_notify_cq", 0, EIO);
	plan(XFER_READ, N);
	transfer_out(N, LONG_MS);
	assert_statuses(0, N, -EIO);
	assert_untouched(0, N);
}

static void ibv_get_cq_event__EAGAIN(void **state)
{
	pthread_t thread;

	(void)state;
	mock.hold = true;
	fail_call("ibv_get_cq_event", 0, EAGAIN);
	plan(XFER_READ, N);
	thread = thread_start(finish_after_a_while, NULL);
	transfer_out(N, LONG_MS);
	thread_end(thread);
	assert_statuses(0, N, 0);
	assert_memory_equal(got, remote, N * BYTES);
}

/* The device is gone, and its channel is ready for ever. */
static void ibv_get_cq_event__EIO(void **state)
{
	const struct rdma_channel *c = rdma_channel(channel);

	(void)state;
	mock.hold = true;
	fail_call("ibv_get_cq_event", 0, EIO);
	assert_int_equal(eventfd_write(c->domains[0].events->fd, 1), 0);
	plan(XFER_READ, N);
	transfer_out(N, LONG_MS);
	assert_statuses(0, N, -EIO);
}

/* --- a loop's thread --- */

/* What a loop does with the channel of the first device, which is ready, in a
 * turn or before it sleeps. */
static void turn(bool sleeps)
{
	struct watch watch = { .n = 0 };

	for (size_t i = 0; i < N; i++) {
		if (xfers[i].status == -EINPROGRESS)
			rdma->watch(&xfers[i], &watch);
	}
	assert_int_equal(watch.n, 2);
	watch.sources[0].poll.revents = POLLERR;
	(sleeps ? rdma->rest : rdma->look)(&watch.sources[0]);
}

/* The loop would turn until the deadline, with real-time priority. */
static void a_loop_ends_what_is_on_a_device_that_is_gone(bool sleeps,
							 const char *call)
{
	mock.hold = true;
	close_link(1);
	mock.device = 1;
	connect_link(1);
	plan_both(XFER_READ, N);
	submit(xfers, N);
	fail_call(call, 0, EIO);
	turn(sleeps);
	mock.fail = NULL;
	for (size_t i = 0; i < N; i++)
		assert_int_equal(xfers[i].status, xfers[i].link == xfers[0].link
							  ? -EIO
							  : -EINPROGRESS);
	assert_untouched(0, N);
	assert_false(rdma->usable(channel));
	rdma->abandon(channel, xfers, N);
}

static void a_loop__ibv_get_cq_event__EIO(void **state)
{
	(void)state;
	a_loop_ends_what_is_on_a_device_that_is_gone(false, "ibv_get_cq_event");
}

static void a_loop__ibv_req_notify_cq__EIO(void **state)
{
	(void)state;
	a_loop_ends_what_is_on_a_device_that_is_gone(true, "ibv_req_notify_cq");
}

/* --- a thread's own wait --- */

/* The other one may be gone. */
static void only_a_device_with_transfers_is_waited_for(void **state)
{
	pthread_t thread;

	(void)state;
	close_link(1);
	mock.device = 1;
	connect_link(1);
	mock.hold = true;
	plan(XFER_READ, N);
	thread = thread_start(finish_after_a_while, NULL);
	transfer_out(N, LONG_MS);
	thread_end(thread);
	assert_statuses(0, N, 0);
	assert_true(mock.arms[0] > 0);
	assert_int_equal(mock.arms[1], 0);
}

static void ibv_poll_cq__EIO(void **state)
{
	(void)state;
	fail_call("ibv_poll_cq", 0, EIO);
	plan(XFER_READ, N);
	transfer_out(N, 20);
	assert_statuses(0, N, -ETIMEDOUT);
	assert_untouched(0, N);
	mock.fail = NULL;
	mock.posts = 0;
	assert_channel_closed();
}

#define with_links(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_links(a_set_goes_in_one_post_with_only_the_last_signalled),
		with_links(one_success_settles_them_all),
		with_links(the_most_transfers_go_at_once),
		with_links(a_write_sends_what_was_there_at_submit),
		with_links(the_lanes_memory_is_sent_from_where_it_is),
		with_links(a_read_arrives_in_the_lanes_memory),
		with_links(what_reaches_beyond_the_lanes_memory_is_copied),
		with_links(without_a_buffer_only_the_lanes_memory_is_sent),
		with_links(links_on_two_devices_work_in_one_set),
		with_links(a_channel_that_spins_does_the_same),
		with_links(a_completion_wakes_the_sleeper),
		with_links(a_completion_without_an_event_is_found),
		with_links(a_completion_before_arming_is_not_missed),
		with_links(an_abort_wakes_the_sleeper),
		with_links(an_error_in_the_middle_flushes_what_stands_behind),
		with_links(more_may_fail_than_one_poll_brings),
		with_links(a_refusal_by_the_server_is_told_apart),
		with_links(one_links_failure_leaves_the_other_alone),
		with_links(a_wait_that_ends_early_aborts_nothing),
		with_links(one_silent_server_is_not_waited_for),
		with_links(a_sleeper_is_woken_by_either_device),
		with_links(a_late_transfer_is_told_its_own),
		with_links(a_wait_carries_the_other_sets_on),
		with_links(an_error_flushes_the_sets_behind_it),
		with_links(a_channel_that_is_full_says_so),
		with_links(a_channel_whose_buffer_is_full_says_so),
		with_links(a_deadline_is_one_sets_own),
		with_links(who_cannot_sleep_waits_no_more),
		with_links(a_deadline_flushes_the_queue_pair),
		with_links(a_deadline_spares_the_link_that_was_done),
		with_links(a_device_that_does_not_flush_closes_the_channel),
		with_links(what_is_abandoned_is_over_at_once),
		with_links(abandoning_leaves_alone_what_is_over),
		with_links(ibv_post_send__ENOMEM_at_the_first),
		with_links(ibv_post_send__ENOMEM_in_the_middle),
		with_links(ibv_post_send__EINVAL_on_one_link_of_two),
		with_links(ibv_req_notify_cq__EIO),
		with_links(ibv_get_cq_event__EAGAIN),
		with_links(ibv_get_cq_event__EIO),
		with_links(a_loop__ibv_get_cq_event__EIO),
		with_links(a_loop__ibv_req_notify_cq__EIO),
		with_links(only_a_device_with_transfers_is_waited_for),
		with_links(ibv_poll_cq__EIO),
	};

	return cmocka_run_group_tests_name("rdma transfers", tests, NULL, NULL);
}
