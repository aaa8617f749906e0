/* Several lanes on the multiplexed connections of one server, each with a
 * thread of its own. */
#include "support.h"
#include "tcp_server.h"
#include "transport/transport.h"
#include "transport/waker.h"
#include "transport/watch.h"

#include <errno.h>

#define LANES	    6
#define REGION	    (TCP_SLAB_BYTES / LANES / 4096 * 4096)
#define ROUNDS	    150
#define XFERS	    8
#define LARGE_BYTES (128u << 10)

static const struct transport_ops *const tcp = &transport_tcp;

/* A lane, and what its thread saw. */
struct worker {
	uint32_t lane;
	struct channel *channel;
	struct link *link;
	struct xfer xfers[XFERS];
	uint64_t seed;
	uint64_t deadline_ms;
	bool impatient;
	bool loops; /* waits as a thread with many requests does */
	struct waker waker;
	unsigned wrong, failed, timed_out, done;
	char data[REGION], got[REGION];
};

static struct worker workers[LANES];
static struct link_group *group;
static atomic_bool stop_now;
static atomic_uint rounds_done; /* of all workers, since connect_all */

static void connect_all(enum tcp_behaviour behaviour, unsigned after,
			uint64_t spin_ns)
{
	const struct channel_config config = { .buffer_bytes = REGION,
					       .spin_ns = spin_ns };
	struct error why;

	tcp_server_start(behaviour, after);
	atomic_store(&stop_now, false);
	atomic_store(&rounds_done, 0);
	for (uint32_t i = 0; i < LANES; i++) {
		struct worker *w = &workers[i];
		struct link_target target = { .addr = tcp_server.addr,
					      .lane = i,
					      .lanes = 1, /* one pair */
					      .timeout_ns = NS_PER_S * 20,
					      .group = &group,
					      .new_token = test_token };

		memset(w, 0, sizeof *w);
		w->lane = i;
		w->seed = i + 1;
		w->deadline_ms = LONG_MS;
		assert_int_equal(waker_create(&w->waker), 0);
		assert_int_equal(
			tcp->channel_create(&config, &w->channel, &why), 0);
		assert_int_equal(tcp->link_connect(w->channel, &target,
						   after_ms(LONG_MS), &w->link,
						   &why),
				 0);
	}
}

static void close_all(void)
{
	for (size_t i = 0; i < LANES; i++) {
		tcp->link_close(workers[i].link);
		tcp->channel_destroy(workers[i].channel);
		waker_destroy(&workers[i].waker);
	}
	assert_null(group);
	tcp_server_stop();
}

/* Up to XFERS ranges of the lane's region, that do not overlap.  How many. */
static size_t plan(struct worker *w, enum xfer_op op)
{
	uint64_t at = random_next(&w->seed) % 16 * 4096;
	size_t n = 1 + random_next(&w->seed) % XFERS, i;

	for (i = 0; i < n; i++) {
		uint32_t bytes = random_next(&w->seed) % 8 ? 4096 : LARGE_BYTES;

		if (at + bytes > REGION)
			break;
		w->xfers[i] = (struct xfer){
			.link = w->link,
			.op = op,
			.bytes = bytes,
			.offset_bytes = w->lane * REGION + at,
			.buf = (op == XFER_READ ? w->got : w->data) + at,
		};
		at += bytes + random_next(&w->seed) % 4 * 4096;
	}
	return i;
}

/* In two sets, with waits for some of them that end soon, and looks at other
 * things. */
static void submit_impatiently(struct worker *w, size_t n, uint64_t deadline_ns)
{
	size_t first = random_next(&w->seed) % n;

	tcp->submit(w->channel, w->xfers, first, deadline_ns);
	tcp->submit(w->channel, w->xfers + first, n - first, deadline_ns);
	for (unsigned i = random_next(&w->seed) % 5; i > 0; i--) {
		size_t want = random_next(&w->seed) % (n + 1);
		uint64_t ns = random_next(&w->seed) % (200 * NS_PER_US);

		tcp->wait_until(w->channel, w->xfers, n, want,
				clock_now_ns() + ns);
		if (ns % 16 == 0)
			sleep_ms(1);
	}
}

static void watch_all(struct watch *watch, const struct xfer *xfers, size_t n)
{
	watch->n = 0;
	for (size_t i = 0; i < n; i++) {
		if (xfers[i].status == -EINPROGRESS)
			tcp->watch(&xfers[i], watch);
	}
}

/* Sleeps until something is ready.  False after a long time. */
static bool poll_all(struct worker *w, struct watch *watch, int timeout_ms)
{
	struct pollfd fds[3] = { { .fd = w->waker.fd, .events = POLLIN } };
	int rc;

	for (size_t i = 0; i < watch->n; i++)
		fds[1 + i] = watch->sources[i].poll;
	rc = poll(fds, 1 + watch->n, timeout_ms);
	waker_after_sleep(&w->waker, fds[0].revents);
	return rc > 0 || timeout_ms == 0;
}

/* As a thread with many requests: nothing of the transport waits. */
static void loop_out(struct worker *w, size_t n, uint64_t deadline_ns)
{
	static _Thread_local struct watch watch;
	size_t over;

	w->channel->waker = &w->waker;
	tcp->submit(w->channel, w->xfers, n, deadline_ns);
	do {
		watch_all(&watch, w->xfers, n);
		for (size_t i = 0; i < watch.n; i++)
			tcp->flush(&watch.sources[i]);
		waker_before_sleep(&w->waker);
		over = transport_over(w->xfers, n);
		if (!poll_all(w, &watch, over < n ? LONG_MS : 0))
			w->wrong++;
		for (size_t i = 0; i < watch.n; i++)
			tcp->look(&watch.sources[i]);
	} while (transport_over(w->xfers, n) < n);
}

/* False where a transfer failed. */
static bool transfer_out(struct worker *w, size_t n)
{
	uint64_t deadline_ns = after_ms(w->deadline_ms);
	bool good = true;

	if (w->loops)
		loop_out(w, n, deadline_ns);
	else if (w->impatient)
		submit_impatiently(w, n, deadline_ns);
	else
		tcp->submit(w->channel, w->xfers, n, deadline_ns);
	tcp->wait(w->channel, w->xfers, n, deadline_ns);
	for (size_t i = 0; i < n; i++) {
		int status = w->xfers[i].status;

		good = good && status == 0;
		w->wrong += status > 0 || status == -EINPROGRESS;
		w->timed_out += status == -ETIMEDOUT;
	}
	return good;
}

static bool round_trip(struct worker *w)
{
	size_t n = plan(w, XFER_WRITE);

	for (size_t i = 0; i < n; i++)
		random_fill(&w->seed, w->xfers[i].buf, w->xfers[i].bytes);
	if (!transfer_out(w, n))
		return false;
	n = plan(w, XFER_READ);
	if (!transfer_out(w, n))
		return false;
	for (size_t i = 0; i < n; i++) {
		size_t at = w->xfers[i].offset_bytes - w->lane * REGION;

		w->wrong += memcmp(w->got + at, w->data + at,
				   w->xfers[i].bytes) != 0;
	}
	return true;
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < ROUNDS && !atomic_load(&stop_now); i++) {
		if (!round_trip(w)) {
			/* As the session does: READs and WRITEs have a
			 * multiplexed connection each, and one's failure says
			 * nothing to the other. */
			tcp->link_abort(w->link);
			w->failed++;
			break;
		}
		w->done++;
		atomic_fetch_add(&rounds_done, 1);
	}
	return NULL;
}

static void work_all(void)
{
	pthread_t threads[LANES];

	/* As the workers believe it to be at first. */
	memset(tcp_server.store, 0, sizeof tcp_server.store);
	for (size_t i = 0; i < LANES; i++)
		threads[i] = thread_start(work, &workers[i]);
	for (size_t i = 0; i < LANES; i++)
		thread_end(threads[i]);
}

static void all_lanes_share_a_pair_of_connections(void **state)
{
	(void)state;
	connect_all(TCP_GOOD, 0, 0);
	work_all();
	assert_int_equal(tcp_server.n_lanes, 2);
	for (size_t i = 0; i < LANES; i++) {
		assert_int_equal(workers[i].wrong, 0);
		assert_int_equal(workers[i].done, ROUNDS);
	}
	close_all();
}

static void spinning_leaders_do_the_same(void **state)
{
	(void)state;
	connect_all(TCP_GOOD, 0, 20 * NS_PER_US);
	work_all();
	for (size_t i = 0; i < LANES; i++) {
		assert_int_equal(workers[i].wrong, 0);
		assert_int_equal(workers[i].done, ROUNDS);
	}
	close_all();
}

/* Who goes away without its answers leaves the others somebody to lead. */
static void impatient_lanes_hold_up_nobody(void **state)
{
	(void)state;
	connect_all(TCP_GOOD, 0, 0);
	for (size_t i = 0; i < LANES; i++)
		workers[i].impatient = i % 2;
	work_all();
	for (size_t i = 0; i < LANES; i++) {
		assert_int_equal(workers[i].wrong, 0);
		assert_int_equal(workers[i].done, ROUNDS);
	}
	close_all();
}

/* Threads with one request and threads with many share the connections, and
 * settle each other's transfers. */
static void loops_and_waiting_threads_meet(void **state)
{
	(void)state;
	for (unsigned loops = 1; loops <= LANES; loops += LANES - 1) {
		connect_all(TCP_GOOD, 0, 0);
		for (size_t i = 0; i < LANES; i++)
			workers[i].loops = loops == LANES || i % 2;
		work_all();
		for (size_t i = 0; i < LANES; i++) {
			assert_int_equal(workers[i].wrong, 0);
			assert_int_equal(workers[i].done, ROUNDS);
		}
		close_all();
	}
}

/* The socket takes a part of a large WRITE only, and the server answers nothing
 * before it has all of it. */
static void a_loop_waits_for_room_to_send(void **state)
{
	static struct watch watch;
	struct worker *w = &workers[0];
	const int small = 4096;

	(void)state;
	connect_all(TCP_GOOD, 0, 0);
	w->xfers[0] = (struct xfer){ .link = w->link,
				     .op = XFER_WRITE,
				     .bytes = REGION,
				     .buf = w->data };
	random_fill(&w->seed, w->data, REGION);
	w->channel->waker = &w->waker;
	tcp->submit(w->channel, w->xfers, 1, after_ms(LONG_MS));
	watch_all(&watch, w->xfers, 1);
	assert_int_equal(watch.n, 1);
	setsockopt(watch.sources[0].poll.fd, SOL_SOCKET, SO_SNDBUF, &small,
		   sizeof small);
	tcp->flush(&watch.sources[0]);
	assert_true(watch.sources[0].poll.events & POLLOUT);
	while (w->xfers[0].status == -EINPROGRESS) {
		if (!poll_all(w, &watch, LONG_MS))
			fail_msg("no room, and no answer");
		tcp->look(&watch.sources[0]);
		watch_all(&watch, w->xfers, 1);
	}
	assert_int_equal(w->xfers[0].status, 0);
	assert_memory_equal(tcp_server.store[0], w->data, REGION);
	close_all();
}

/* A thread with many requests sees the end of a connection, too. */
static void a_failure_ends_the_transfers_of_loops(void **state)
{
	(void)state;
	connect_all(TCP_CLOSED, 100, 0);
	for (size_t i = 0; i < LANES; i++)
		workers[i].loops = i % 2;
	work_all();
	for (size_t i = 0; i < LANES; i++) {
		assert_int_equal(workers[i].wrong, 0);
		assert_int_equal(workers[i].failed, 1);
	}
	close_all();
}

/* Whatever the server does in the middle, every transfer of every lane ends,
 * and none that is told to be good is wrong. */
static void assert_all_end(enum tcp_behaviour behaviour, uint64_t deadline_ms)
{
	connect_all(behaviour, 100, 0);
	for (size_t i = 0; i < LANES; i++)
		workers[i].deadline_ms = deadline_ms;
	work_all();
	for (size_t i = 0; i < LANES; i++) {
		assert_int_equal(workers[i].wrong, 0);
		assert_int_equal(workers[i].failed, 1);
	}
	close_all();
}

static void a_failure_ends_the_transfers_of_all_lanes(void **state)
{
	(void)state;
	assert_all_end(TCP_CLOSED, LONG_MS);
	assert_all_end(TCP_TRUNCATED, LONG_MS);
	assert_all_end(TCP_SHORT, LONG_MS);
	assert_all_end(TCP_STATUS, LONG_MS);
	assert_all_end(TCP_COOKIE, LONG_MS);
}

static void silence_ends_the_transfers_of_all_lanes(void **state)
{
	(void)state;
	assert_all_end(TCP_SILENT, 100);
	assert_all_end(TCP_DEAF, 100);
}

/* The first lane whose deadline passes is told so; the others lose their
 * connection, long before their own deadline. */
static void one_lanes_deadline_ends_the_mux(void **state)
{
	uint64_t begin_ns = clock_now_ns();
	unsigned timed_out = 0;

	(void)state;
	/* From the start: an answer that comes as the deadline passes would
	 * leave nobody to be told. */
	connect_all(TCP_SILENT, 0, 0);
	for (size_t i = 0; i < LANES; i++)
		workers[i].deadline_ms = i == 2 ? 50 : LONG_MS;
	work_all();
	assert_true(clock_now_ns() - begin_ns < LONG_MS * NS_PER_MS);
	for (size_t i = 0; i < LANES; i++) {
		assert_int_equal(workers[i].wrong, 0);
		timed_out += workers[i].timed_out > 0;
	}
	assert_int_equal(timed_out, 1);
	assert_true(workers[2].timed_out > 0);
	close_all();
}

static void *abort_soon(void *arg)
{
	while (atomic_load(&rounds_done) < 10 * LANES)
		sleep_ms(1);
	tcp->link_abort(arg);
	atomic_store(&stop_now, true);
	return NULL;
}

static void an_abort_ends_the_transfers_of_all_lanes(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		pthread_t thread;

		connect_all(TCP_GOOD, 0, 0);
		thread = thread_start(abort_soon, workers[3].link);
		work_all();
		thread_end(thread);
		for (size_t j = 0; j < LANES; j++)
			assert_int_equal(workers[j].wrong, 0);
		close_all();
	}
}

/* --- two servers --- */

#define PAIRS 3

/* A lane that has links to two servers, and writes the same to both. */
struct copier {
	struct channel *channel;
	struct link *links[2];
	struct xfer xfers[2];
	uint64_t deadline_ns;
	char data[4096];
};

static struct copier copiers[PAIRS];
static struct link_group *groups[2];

static void connect_copier(uint32_t lane)
{
	const struct channel_config config = { .buffer_bytes = REGION };
	struct copier *c = &copiers[lane];
	struct error why;

	memset(c, 0, sizeof *c);
	assert_int_equal(tcp->channel_create(&config, &c->channel, &why), 0);
	for (size_t i = 0; i < 2; i++) {
		struct link_target target = { .addr = tcp_server.addr,
					      .lane = lane,
					      .lanes = 1,
					      .timeout_ns = NS_PER_S * 20,
					      .group = &groups[i],
					      .new_token = test_token };

		assert_int_equal(tcp->link_connect(c->channel, &target,
						   after_ms(LONG_MS),
						   &c->links[i], &why),
				 0);
		c->xfers[i] = (struct xfer){ .link = c->links[i],
					     .op = XFER_WRITE,
					     .bytes = sizeof c->data,
					     .offset_bytes = lane * 4096,
					     .remote.slab = (uint32_t)i,
					     .buf = c->data };
	}
}

static void *copy_out(void *arg)
{
	struct copier *c = arg;

	tcp->submit(c->channel, c->xfers, 2, c->deadline_ns);
	tcp->wait(c->channel, c->xfers, 2, c->deadline_ns);
	return NULL;
}

/* All wait for the silent one first, and none of them for the other one: whose
 * answers have to be taken all the same, as what is queued behind them leaves
 * only then. */
static void a_silent_server_does_not_hold_up_another(void **state)
{
	pthread_t threads[PAIRS];
	uint64_t deadline_ns;

	(void)state;
	tcp_server.only_lane = 2; /* the first server's connection for WRITEs */
	tcp_server_start(TCP_SILENT, 0);
	for (uint32_t i = 0; i < PAIRS; i++)
		connect_copier(i);
	deadline_ns = after_ms(300);
	for (size_t i = 0; i < PAIRS; i++) {
		copiers[i].deadline_ns = deadline_ns;
		threads[i] = thread_start(copy_out, &copiers[i]);
	}
	for (size_t i = 0; i < PAIRS; i++)
		thread_end(threads[i]);
	for (size_t i = 0; i < PAIRS; i++) {
		assert_int_not_equal(copiers[i].xfers[0].status, 0);
		assert_int_equal(copiers[i].xfers[1].status, 0);
		for (size_t j = 0; j < 2; j++)
			tcp->link_close(copiers[i].links[j]);
		tcp->channel_destroy(copiers[i].channel);
	}
	tcp_server_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_silent_server_does_not_hold_up_another),
		cmocka_unit_test(all_lanes_share_a_pair_of_connections),
		cmocka_unit_test(spinning_leaders_do_the_same),
		cmocka_unit_test(impatient_lanes_hold_up_nobody),
		cmocka_unit_test(loops_and_waiting_threads_meet),
		cmocka_unit_test(a_loop_waits_for_room_to_send),
		cmocka_unit_test(a_failure_ends_the_transfers_of_loops),
		cmocka_unit_test(a_failure_ends_the_transfers_of_all_lanes),
		cmocka_unit_test(silence_ends_the_transfers_of_all_lanes),
		cmocka_unit_test(one_lanes_deadline_ends_the_mux),
		cmocka_unit_test(an_abort_ends_the_transfers_of_all_lanes),
	};

	return cmocka_run_group_tests_name("mux", tests, NULL, NULL);
}
