/* The limits of a TCP lane, on a data thread: a client that sends requests and
 * reads no reply makes the server hold so much and no more, keeps no other lane
 * from being served, and loses nothing. */
#include <arpa/inet.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "grants/grant.h"
#include "links/tcp_link.h"
#include "links/transports.h"
#include "loops/container.h"
#include "session_server.h"
#include "support.h"

/* As docs/architecture.md says. */
#define IN_BYTES_MOST (64 << 10)
#define REPLIES_MOST  128
#define SOCKET_BYTES  (512 << 10)

#define REQUESTS      8192
#define REQUEST_BYTES sizeof(struct wire_data_request)
#define REPLY_BYTES   sizeof(struct wire_data_reply)

struct lane {
	struct session *session;
	uint32_t slab;
	int served; /* the server's end, and the client's */
	int client;
};

static struct lane unread, healthy;

static int setup_threads(void **state, unsigned threads)
{
	const struct link_ops *tcp = transport_by_bit(WIRE_TRANSPORT_TCP);
	struct error why;

	if (server_setup(state))
		return -1;
	server.links.threads = threads;
	return transports_open(&server.links, tcp, &why);
}

/* All lanes are on one thread. */
static int setup(void **state)
{
	return setup_threads(state, 1);
}

static int setup_three(void **state)
{
	return setup_threads(state, 3);
}

static int teardown(void **state)
{
	end_all_sessions();
	while (server.sessions.count)
		ev_run(server.loop, EVRUN_ONCE);
	transports_close(&server.links, 0);
	close(unread.client);
	close(healthy.client);
	return server_teardown(state);
}

/* --- lanes --- */

static uint32_t get_slab(struct session *session)
{
	unsigned before = replies;

	grant_slab(&session->owner, 1, 1);
	await_replies(before + 1);
	assert_int_equal(last_reply.type, WIRE_SLAB);
	return last_reply.slab.slab;
}

/* A lane between the sockets ENDS: the server's, and the client's. */
static struct lane add_lane(struct session *session, const int ends[2])
{
	struct peer_name peer = { "peer" };
	struct lane lane = { .session = session,
			     .served = ends[0],
			     .client = ends[1] };
	struct link_set *links = &session->links;
	struct wire_token token;

	links->ops = transport_by_bit(WIRE_TRANSPORT_TCP);
	assert_int_equal(link_set_token(links, &token), 0);
	links->slots[token.lane].state = SLOT_JOINED;
	assert_true(links->ops->adopt(links, token.lane, lane.served, &peer));
	return lane;
}

/* A session with a slab and a lane. */
static struct lane open_lane(const int ends[2])
{
	struct session *session = open_session(WIRE_TRANSPORT_TCP);
	uint32_t slab = get_slab(session);
	struct lane lane = add_lane(session, ends);

	lane.slab = slab;
	return lane;
}

static void set_buffer(int fd, int which, int bytes)
{
	assert_int_equal(
		setsockopt(fd, SOL_SOCKET, which, &bytes, sizeof bytes), 0);
}

/* Its queues can be measured exactly.  There is little room for replies. */
static struct lane open_local_lane(void)
{
	int ends[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	set_buffer(ends[0], SO_SNDBUF, 1);
	set_buffer(ends[1], SO_SNDBUF, 1 << 20);
	return open_lane(ends);
}

/* The client's end has little room for replies. */
static struct lane open_tcp_lane(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr *addr = (struct sockaddr *)&in;
	int listener = socket(AF_INET, SOCK_STREAM, 0), ends[2];
	socklen_t size = sizeof in;

	assert_int_equal(bind(listener, addr, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	net_limit_buffers(listener, SOCKET_BYTES); /* as accept.c does */
	assert_int_equal(getsockname(listener, addr, &size), 0);
	ends[1] = socket(AF_INET, SOCK_STREAM, 0);
	set_buffer(ends[1], SO_RCVBUF, 1 << 16);
	assert_int_equal(connect(ends[1], addr, size), 0);
	ends[0] = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	assert_true(ends[0] >= 0);
	close(listener);
	return open_lane(ends);
}

/* --- what a client does --- */

static void send_reads(const struct lane *lane, unsigned n, uint32_t bytes)
{
	struct wire_data_request *requests = calloc(n, sizeof *requests);

	assert_non_null(requests);
	for (unsigned i = 0; i < n; i++)
		requests[i] =
			(struct wire_data_request){ .magic = WIRE_DATA_MAGIC,
						    .op = WIRE_READ,
						    .slab = lane->slab,
						    .bytes = bytes,
						    .cookie = i };
	assert_int_equal(net_send_all(lane->client, requests,
				      n * sizeof *requests, after_ms(LONG_MS)),
			 0);
	free(requests);
}

/* The replies to N READs come, all and in order. */
static void receive_reads(const struct lane *lane, unsigned n, uint32_t bytes)
{
	struct wire_data_reply reply;
	void *payload = malloc(bytes);

	assert_non_null(payload);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(net_recv_all(lane->client, &reply,
					      sizeof reply, after_ms(LONG_MS)),
				 0);
		assert_int_equal(reply.status, 0);
		assert_int_equal(reply.cookie, i);
		assert_int_equal(reply.bytes, bytes);
		assert_int_equal(net_recv_all(lane->client, payload, bytes,
					      after_ms(LONG_MS)),
				 0);
	}
	free(payload);
}

static void assert_served(const struct lane *lane)
{
	send_reads(lane, 3, 4096);
	receive_reads(lane, 3, 4096);
	wait_until_asleep();
}

/* --- what the server holds --- */

static uint64_t queue_of(int fd, unsigned long which)
{
	int bytes = 0;

	assert_int_equal(ioctl(fd, which, &bytes), 0);
	return (uint64_t)bytes;
}

static uint64_t reads(void)
{
	return data_loops_figures(&server.links.data).reads;
}

static void a_lane_holds_so_many_requests_and_replies(void **state)
{
	const uint32_t bytes = 64;
	uint64_t before, served, taken, sent;

	(void)state;
	unread = open_local_lane();
	healthy = open_local_lane();
	assert_served(&healthy);
	before = reads();
	send_reads(&unread, REQUESTS, bytes);
	wait_until_asleep();
	served = reads() - before;
	taken = REQUESTS * REQUEST_BYTES - queue_of(unread.served, SIOCINQ);
	sent = queue_of(unread.client, SIOCINQ) / (REPLY_BYTES + bytes);
	assert_int_equal(served - sent, REPLIES_MOST);
	assert_in_range(taken - served * REQUEST_BYTES, 1, IN_BYTES_MOST);

	before += served;
	for (unsigned i = 1; i <= 20; i++) {
		assert_served(&healthy);
		assert_int_equal(reads() - before, 3 * i);
	}
	receive_reads(&unread, REQUESTS, bytes);
}

/* Twice what was asked for, if it is all needed, and a whole buffer more, of 64
 * KiB here. */
#define SOCKET_MOST (2 * SOCKET_BYTES + (64 << 10))

static void the_kernel_holds_so_many_replies(void **state)
{
	const unsigned n = 16;

	(void)state;
	unread = open_tcp_lane();
	healthy = open_tcp_lane();
	send_reads(&unread, n, SLAB);
	wait_until_asleep();
	assert_in_range(queue_of(unread.served, SIOCOUTQ), 64 << 10,
			SOCKET_MOST);
	for (int i = 0; i < 20; i++)
		assert_served(&healthy);
	receive_reads(&unread, n, SLAB);
}

static void write_much(const struct lane *lane)
{
	struct wire_data_request request = { .magic = WIRE_DATA_MAGIC,
					     .op = WIRE_WRITE,
					     .slab = lane->slab,
					     .bytes = SLAB };
	struct wire_data_reply reply;
	void *payload = calloc(1, SLAB);

	assert_non_null(payload);
	for (int i = 0; i < 64; i++) {
		assert_int_equal(net_send_all(lane->client, &request,
					      sizeof request,
					      after_ms(LONG_MS)),
				 0);
		assert_int_equal(net_send_all(lane->client, payload, SLAB,
					      after_ms(LONG_MS)),
				 0);
	}
	for (int i = 0; i < 64; i++)
		assert_int_equal(net_recv_all(lane->client, &reply,
					      sizeof reply, after_ms(LONG_MS)),
				 0);
	free(payload);
}

/* Sends until the kernels of both ends take no more. */
static void flood(const struct lane *lane)
{
	static const struct wire_data_request requests[512];

	while (send(lane->client, requests, sizeof requests,
		    MSG_DONTWAIT | MSG_NOSIGNAL) > 0 ||
	       !net_wait(lane->client, POLLOUT, after_ms(100)))
		;
}

static void the_kernel_holds_so_many_requests(void **state)
{
	(void)state;
	unread = open_tcp_lane();
	healthy = open_tcp_lane();
	/* a client with much to send gets the largest window */
	write_much(&unread);
	send_reads(&unread, 2 * REPLIES_MOST, SLAB);
	flood(&unread);
	assert_in_range(queue_of(unread.served, SIOCINQ), 64 << 10,
			SOCKET_MOST);
	assert_served(&healthy);
}

/* --- threads --- */

static struct data_loop *loop_of(const struct session *session, uint32_t slot)
{
	return container_of(session->links.slots[slot].link, struct tcp_link,
			    link)
		->loop;
}

static void a_pair_of_lanes_has_one_thread(void **state)
{
	struct session *two = open_session(WIRE_TRANSPORT_TCP);
	struct session *one = open_session(WIRE_TRANSPORT_TCP);
	int clients[6];

	(void)state;
	unread.client = healthy.client = -1;
	for (int i = 0; i < 6; i++) {
		int ends[2];

		assert_int_equal(socketpair(AF_UNIX,
					    SOCK_STREAM | SOCK_NONBLOCK, 0,
					    ends),
				 0);
		clients[i] = add_lane(i < 4 ? two : one, ends).client;
	}
	assert_ptr_equal(loop_of(two, 0), loop_of(two, 1));
	assert_ptr_equal(loop_of(two, 2), loop_of(two, 3));
	assert_ptr_equal(loop_of(one, 0), loop_of(one, 1));
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(server.links.data.loops[i].member_count, 2);
	for (int i = 0; i < 6; i++)
		close(clients[i]);
}

#define CACHE_LINE_BYTES 64u

/* Counting must not make a thread wait for a cache line that another thread
 * writes, or that the main loop does for this one: the counters are the last in
 * their loop, and have all of their lines. */
static void each_thread_counts_in_a_cache_line_of_its_own(void **state)
{
	/* The compiler takes for granted that a pointer of this type is
	 * aligned, but not that this one is. */
	void *volatile loops = server.links.data.loops;

	(void)state;
	unread.client = healthy.client = -1;
	_Static_assert(
		offsetof(struct data_loop, counters) % CACHE_LINE_BYTES == 0,
		"the counters begin within a cache line");
	_Static_assert(sizeof(struct data_loop) -
				       offsetof(struct data_loop, counters) <
			       sizeof(struct data_counters) + CACHE_LINE_BYTES,
		       "there is more behind the counters");
	_Static_assert(sizeof(struct data_loop) % CACHE_LINE_BYTES == 0,
		       "the next loop begins within a cache line");
	assert_int_equal((uintptr_t)loops % CACHE_LINE_BYTES, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_lane_holds_so_many_requests_and_replies),
		TEST(the_kernel_holds_so_many_replies),
		TEST(the_kernel_holds_so_many_requests),
		cmocka_unit_test_setup_teardown(a_pair_of_lanes_has_one_thread,
						setup_three, teardown),
		cmocka_unit_test_setup_teardown(
			each_thread_counts_in_a_cache_line_of_its_own,
			setup_three, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
