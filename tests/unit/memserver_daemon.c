/* The whole memory server, over TCP: what a session gets, what it cannot do to
 * another one, and what bad input gets. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "memserver_client.h"

static int setup(void **state)
{
	(void)state;
	server_start((const char *const[]){ "--stock=1", "--grace=1", NULL });
	return 0;
}

static bool all_zero(const uint8_t *bytes, size_t n)
{
	return bytes[0] == 0 && !memcmp(bytes, bytes + 1, n - 1);
}

static void moves_bytes(void **state)
{
	struct client c;
	uint32_t slab;
	int a, b;

	(void)state;
	client_open(&c, &server);
	assert_int_equal(c.welcome.slab_bytes, SLAB);
	assert_int_equal(c.welcome.total_bytes, SLABS * SLAB);
	assert_int_equal(c.welcome.transports, WIRE_TRANSPORT_TCP);
	a = lane_open(&c);
	b = lane_open(&c);
	assert_true(client_alloc(&c, &slab));
	assert_int_equal(lane_read(a, slab, 0, back, SLAB), 0);
	assert_true(all_zero(back, SLAB));
	assert_int_equal(lane_write(a, slab, 0, data, SLAB), 0);
	assert_int_equal(lane_read(b, slab, 0, back, SLAB), 0);
	assert_memory_equal(back, data, SLAB);
	assert_int_equal(lane_write(b, slab, 5 * PAGE, back, PAGE), 0);
	assert_int_equal(lane_read(a, slab, 5 * PAGE, data, PAGE), 0);
	assert_memory_equal(back, data, PAGE);
	close(a);
	client_close_lane(&c, b);
	assert_true(daemon_becomes(&server, "slabs_used", 0));
}

/* More requests than the server queues replies, sent before any is read. */
static void answers_a_pipeline_in_order(void **state)
{
	struct client c;
	struct wire_data_reply reply;
	uint32_t slab;
	int lane;

	(void)state;
	lane = client_open_slab(&c, &server, &slab);
	for (uint32_t i = 0; i < 256; i++) {
		assert_true(lane_request(lane, WIRE_WRITE, slab, i * PAGE, PAGE,
					 i));
		assert_true(send_bytes(lane, data + i, PAGE));
	}
	for (uint32_t i = 0; i < 256; i++) {
		assert_true(lane_reply(lane, &reply));
		assert_int_equal(reply.status, 0);
		assert_int_equal(reply.cookie, i);
	}
	for (uint32_t i = 0; i < 256; i++)
		assert_true(
			lane_request(lane, WIRE_READ, slab, i * PAGE, PAGE, i));
	for (uint32_t i = 0; i < 256; i++) {
		assert_true(lane_reply(lane, &reply));
		assert_int_equal(reply.cookie, i);
		assert_int_equal(reply.bytes, PAGE);
		assert_true(recv_bytes(lane, back, PAGE));
		assert_memory_equal(back, data + i, PAGE);
	}
	client_close_lane(&c, lane);
}

static void freed_slabs_are_gone_and_zero(void **state)
{
	uint32_t slabs[SLABS];
	struct client c;
	uint64_t full_bytes;
	uint32_t more;
	int lane;

	(void)state;
	client_open(&c, &server);
	lane = lane_open(&c);
	for (int i = 0; i < SLABS; i++) {
		assert_true(client_alloc(&c, &slabs[i]));
		assert_int_equal(lane_write(lane, slabs[i], 0, data, SLAB), 0);
	}
	assert_false(client_alloc(&c, &more));
	assert_int_equal(daemon_status(&server, "free_bytes"), 0);
	full_bytes = daemon_status(&server, "rss_bytes");
	for (int i = 0; i < SLABS; i++) {
		struct wire_message m = client_free(&c, slabs[i]);

		assert_int_equal(m.type, WIRE_FREED);
		assert_int_equal(m.freed.free_bytes, (i + 1) * SLAB);
	}
	/* all but the stock, and a little for the daemon itself */
	assert_true(daemon_falls(&server, "rss_bytes",
				 full_bytes - (SLABS - 3) * SLAB));
	for (int i = 0; i < SLABS; i++) {
		assert_true(client_alloc(&c, &slabs[i]));
		assert_int_equal(lane_read(lane, slabs[i], 0, back, SLAB), 0);
		assert_true(all_zero(back, SLAB));
	}
	client_close_lane(&c, lane);
}

static void strangers_reach_nothing(void **state)
{
	struct client mine;
	struct client other;
	struct wire_message m;
	uint32_t slab;
	int lane;

	(void)state;
	client_open(&mine, &server);
	client_open(&other, &server);
	assert_true(client_alloc(&mine, &slab));
	lane = lane_open(&other);
	assert_int_equal(lane_read(lane, slab, 0, back, PAGE), WIRE_E_NO_SLAB);
	assert_true(is_closed(lane));
	close(lane);
	lane = lane_open(&other);
	assert_int_equal(lane_write(lane, slab, 0, data, PAGE), WIRE_E_NO_SLAB);
	assert_true(is_closed(lane));
	close(lane);
	m = client_free(&other, slab);
	assert_int_equal(error_of(&m), WIRE_E_NO_SLAB);
	lane = lane_open(&mine);
	assert_int_equal(lane_read(lane, slab, 0, back, PAGE), 0);
	assert_true(all_zero(back, PAGE));
	/* and nobody beyond the end of a slab */
	assert_int_equal(lane_write(lane, slab, SLAB - PAGE, data, 2 * PAGE),
			 WIRE_E_PROTOCOL);
	close(lane);
	lane = lane_open(&mine);
	assert_int_equal(
		lane_read(lane, slab, UINT64_MAX - PAGE + 1, back, 2 * PAGE),
		WIRE_E_PROTOCOL);
	client_close_lane(&mine, lane);
	client_close(&other);
}

static void fence_closes_lanes_for_good(void **state)
{
	struct wire_message fence = { .type = WIRE_FENCE };
	struct wire_message unused;
	struct wire_message m;
	struct client c;
	uint32_t slab;
	int a, b;

	(void)state;
	client_open(&c, &server);
	a = lane_open(&c);
	b = lane_open(&c);
	unused = client_token(&c);
	assert_true(client_alloc(&c, &slab));
	/* one in the middle of a WRITE */
	assert_true(lane_request(b, WIRE_WRITE, slab, 0, SLAB, 1));
	assert_true(send_bytes(b, data, SLAB / 2));
	m = client_ask(&c, fence);
	assert_int_equal(m.type, WIRE_FENCED);
	assert_int_equal(m.fenced.lanes_closed, 2);
	assert_int_equal(lane_join(&server, &unused.token), -1);
	assert_true(is_closed(a));
	assert_true(is_closed(b));
	close(a);
	close(b);
	a = lane_open(&c);
	assert_int_equal(lane_read(a, slab, 0, back, PAGE), 0);
	m = client_ask(&c, fence);
	assert_int_equal(m.fenced.lanes_closed, 1);
	m = client_ask(&c, fence);
	assert_int_equal(m.fenced.lanes_closed, 0);
	client_close_lane(&c, a);
}

static void tokens_join_once(void **state)
{
	struct wire_message token;
	struct client c;
	int lane;

	(void)state;
	client_open(&c, &server);
	token = client_token(&c);
	token.token.token[0] ^= 0x80;
	assert_int_equal(lane_join(&server, &token.token), -1);
	token.token.token[0] ^= 0x80;
	lane = lane_join(&server, &token.token);
	assert_true(lane >= 0);
	assert_int_equal(lane_join(&server, &token.token), -1);
	client_close_lane(&c, lane);
}

/* The slab must not be anybody else's before the WRITE is over. */
static void free_waits_for_a_write(void **state)
{
	struct wire_data_reply reply;
	struct client c;
	uint32_t slab;
	int lane;

	(void)state;
	lane = client_open_slab(&c, &server, &slab);
	lane_begin_write(lane, slab, SLAB, data, PAGE);
	client_free(&c, slab);
	assert_int_equal(daemon_status(&server, "slabs_used"), 1);
	assert_int_equal(daemon_status(&server, "sessions.0.slabs"), 0);
	assert_int_equal(daemon_status(&server, "sessions.0.slabs_held"), 1);
	assert_true(send_bytes(lane, data, SLAB - PAGE));
	assert_true(lane_reply(lane, &reply));
	assert_true(daemon_becomes(&server, "slabs_used", 0));
	client_close_lane(&c, lane);
}

static void a_killed_client_gives_back(void **state)
{
	uint32_t slab;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		struct client c;

		client_open(&c, &server);
		lane_request(lane_open(&c), WIRE_WRITE, 0, 0, SLAB, 1);
		while (client_alloc(&c, &slab))
			;
		pause();
	}
	assert_true(daemon_becomes(&server, "slabs_used", SLABS));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_true(daemon_becomes(&server, "slabs_used", 0));
	assert_true(daemon_becomes(&server, "sessions", 0));
}

/* What is sent ends that connection; the answer's error code, 0 for none. */
static uint32_t answer_to(const void *bytes, size_t n)
{
	struct client c = { .fd = raw_connect(&server) };
	uint8_t reply[sizeof(struct wire_header) + sizeof(struct wire_error)];
	struct wire_header h;
	struct wire_message m = { .type = 0 };

	send_bytes(c.fd, bytes, n);
	if (recv_bytes(c.fd, reply, sizeof reply)) {
		assert_int_equal(wire_decode_header(reply, &h), WIRE_OK);
		assert_int_equal(wire_decode_body(&h, reply + sizeof h, &m),
				 WIRE_OK);
		assert_true(is_closed(c.fd));
	}
	close(c.fd);
	return error_of(&m);
}

static void garbage_ends_its_connection_only(void **state)
{
	struct wire_message hello = { .type = WIRE_HELLO };
	struct wire_message alloc = { .type = WIRE_ALLOC };
	uint8_t bytes[WIRE_MESSAGE_MAX];
	uint8_t noise[4096];
	struct client bystander;
	uint32_t slab;
	size_t n;
	int lane;

	(void)state;
	lane = client_open_slab(&bystander, &server, &slab);

	assert_int_equal(answer_to("GET / HTTP/1.1\r\n\r\n", 18), 0);
	for (size_t i = 0; i < sizeof noise; i++)
		noise[i] = (uint8_t)(i * i + 13);
	assert_int_equal(answer_to(noise, sizeof noise), 0);
	n = wire_encode(&hello, bytes);
	bytes[4] = 9; /* version */
	assert_int_equal(answer_to(bytes, n), WIRE_E_VERSION);
	bytes[4] = WIRE_VERSION;
	bytes[6] = 200; /* type */
	assert_int_equal(answer_to(bytes, n), WIRE_E_PROTOCOL);
	bytes[6] = WIRE_HELLO;
	bytes[11] = 0x7f; /* length */
	assert_int_equal(answer_to(bytes, n), WIRE_E_PROTOCOL);
	n = wire_encode(&alloc, bytes);
	assert_int_equal(answer_to(bytes, n), WIRE_E_PROTOCOL);

	assert_true(send_bytes(lane, noise, 64));
	assert_true(daemon_becomes(&server, "lanes", 0));
	close(lane);
	lane = lane_open(&bystander);
	assert_int_equal(lane_read(lane, slab, 0, back, PAGE), 0);
	client_close_lane(&bystander, lane);
}

static void serves_only_its_transports(void **state)
{
	struct wire_message m = { .type = WIRE_HELLO };
	struct client c = { .fd = raw_connect(&server) };

	(void)state;
	assert_int_equal(client_ask(&c, m).type, WIRE_WELCOME);
	m = (struct wire_message){
		.type = WIRE_OPEN,
		.open = { .lanes = 1, .transport = WIRE_TRANSPORT_RDMA },
	};
	m = client_ask(&c, m);
	assert_int_equal(error_of(&m), WIRE_E_TRANSPORT);
	assert_true(is_closed(c.fd));
	close(c.fd);
}

static void a_probe_is_no_session(void **state)
{
	uint64_t errors = daemon_status(&server, "errors");
	struct wire_message hello = { .type = WIRE_HELLO };
	struct client c = { .fd = raw_connect(&server) };

	(void)state;
	close(raw_connect(&server));
	assert_int_equal(client_ask(&c, hello).type, WIRE_WELCOME);
	close(c.fd);
	assert_int_equal(daemon_status(&server, "errors"), errors);
	assert_int_equal(daemon_status(&server, "sessions"), 0);
}

/* A client that does not read is cut off, and others are served meanwhile. */
static void a_deaf_client_is_cut_off(void **state)
{
	struct wire_message ping = { .type = WIRE_PING };
	uint8_t bytes[WIRE_MESSAGE_MAX];
	struct client deaf;
	struct client other;
	size_t n = wire_encode(&ping, bytes);
	unsigned sent = 0;

	(void)state;
	client_open(&deaf, &server);
	client_open(&other, &server);
	while (send(deaf.fd, bytes, n, MSG_NOSIGNAL) > 0) {
		if (++sent % 10000 == 0)
			client_ask(&other, ping);
		assert_true(sent < 10000000);
	}
	assert_true(daemon_becomes(&server, "sessions", 1));
	client_close(&deaf);
	client_close(&other);
}

static void reports_what_it_did(void **state)
{
	struct client c;
	uint32_t slab;
	uint64_t writes = daemon_status(&server, "writes");
	uint64_t read_bytes = daemon_status(&server, "read_bytes");
	int lane;

	(void)state;
	lane = client_open_slab(&c, &server, &slab);
	assert_int_equal(lane_write(lane, slab, 0, data, PAGE), 0);
	assert_int_equal(lane_read(lane, slab, 0, back, 3 * PAGE), 0);
	assert_int_equal(daemon_status(&server, "writes"), writes + 1);
	assert_int_equal(daemon_status(&server, "read_bytes"),
			 read_bytes + 3 * PAGE);
	assert_int_equal(daemon_status(&server, "sessions.0.slabs"), 1);
	assert_int_equal(daemon_status(&server, "sessions.0.lanes"), 1);
	assert_int_equal(daemon_status(&server, "pid"), server.pid);
	client_close_lane(&c, lane);
}

static bool ends_or_stops_it(int number)
{
	static const int does[] = { SIGTERM, SIGINT, SIGKILL, SIGSTOP,
				    SIGTSTP, SIGILL, SIGTRAP, SIGABRT,
				    SIGBUS,  SIGFPE, SIGSEGV, SIGSYS };

	for (size_t i = 0; i < sizeof does / sizeof does[0]; i++) {
		if (does[i] == number)
			return true;
	}
	return false;
}

/* The end of an ssh session, a key, and what others take for a request. */
static void no_other_signal_ends_it(void **state)
{
	struct client c;
	uint32_t slab;
	int lane;

	(void)state;
	lane = client_open_slab(&c, &server, &slab);
	assert_int_equal(lane_write(lane, slab, 0, data, PAGE), 0);
	for (int number = 1; number <= SIGRTMAX; number++) {
		if (ends_or_stops_it(number) ||
		    (number > SIGSYS && number < SIGRTMIN))
			continue; /* the C library's own */
		assert_int_equal(kill(server.pid, number), 0);
		if (daemon_status(&server, "slabs_used") != 1)
			fail_msg("signal %d changed something", number);
	}
	assert_int_equal(lane_read(lane, slab, 0, back, PAGE), 0);
	assert_memory_equal(back, data, PAGE);
	client_close_lane(&c, lane);
}

/* A second SIGTERM, with sessions in the middle of things. */
static void ends_in_order(void **state)
{
	struct daemon other;
	struct client c;
	uint32_t slab;
	int lane;

	(void)state;
	daemon_start(&other, daemon_program,
		     (const char *const[]){ "--memory=16M", "--slab-size=1M",
					    NULL });
	lane = client_open_slab(&c, &other, &slab);
	assert_true(lane_request(lane, WIRE_WRITE, slab, 0, SLAB, 1));
	/* the first one asks for the slab */
	assert_int_equal(kill(other.pid, SIGTERM), 0);
	client_await_release(&c);
	daemon_stop(&other);
	assert_true(is_closed(lane));
	assert_true(is_closed(c.fd));
	client_close_lane(&c, lane);
}

int main(int argc, char **argv)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, server_stop)
	const struct CMUnitTest tests[] = {
		TEST(moves_bytes),
		TEST(answers_a_pipeline_in_order),
		TEST(freed_slabs_are_gone_and_zero),
		TEST(strangers_reach_nothing),
		TEST(fence_closes_lanes_for_good),
		TEST(tokens_join_once),
		TEST(free_waits_for_a_write),
		TEST(a_killed_client_gives_back),
		TEST(garbage_ends_its_connection_only),
		TEST(serves_only_its_transports),
		TEST(a_probe_is_no_session),
		TEST(a_deaf_client_is_cut_off),
		TEST(reports_what_it_did),
		TEST(no_other_signal_ends_it),
		TEST(ends_in_order),
	};

	return RUN_DAEMON_TESTS(argc, argv, tests);
}
