/* The whole memory server against clients that are broken or mean harm: what
 * they do to themselves must not reach anybody else, nor end what others have.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "clock.h"
#include "memserver_client.h"

static int setup(void **state)
{
	(void)state;
	server_start((const char *const[]){ "--stock=0", "--grace=60", NULL });
	return 0;
}

/* --- bytes on a control connection that no client sends --- */

/* A session with a page in it, whose control connection gets the N bytes of
 * WORDS: the connection ends, the session is resumed and has its page. */
static void survives(const void *words, size_t n)
{
	struct client broken;
	struct client again;
	struct wire_message m;
	uint8_t reply[sizeof(struct wire_header) + sizeof(struct wire_error)];
	uint32_t slab;
	int lane;

	lane = client_open_slab(&broken, &server, &slab);
	assert_int_equal(lane_write(lane, slab, 0, data, PAGE), 0);
	assert_true(send_bytes(broken.fd, words, n));
	recv_bytes(broken.fd, reply, sizeof reply); /* why, if at all */
	assert_true(is_closed(broken.fd));
	assert_true(is_closed(lane));
	close(lane);
	client_lose(&broken);
	assert_int_equal(daemon_status(&server, "sessions"), 1);

	m = client_resume(&again, &broken);
	assert_int_equal(m.type, WIRE_RESUMED);
	assert_int_equal(m.resumed.slabs, 1);
	lane = lane_open(&again);
	memset(back, 0, PAGE);
	assert_int_equal(lane_read(lane, slab, 0, back, PAGE), 0);
	assert_memory_equal(back, data, PAGE);
	client_close_lane(&again, lane);
	assert_true(daemon_becomes(&server, "sessions", 0));
}

static void wrong_bytes_leave_the_session(void **state)
{
	struct wire_message m = { .type = WIRE_PING };
	uint8_t bytes[WIRE_MESSAGE_MAX];
	size_t n = wire_encode(&m, bytes);

	(void)state;
	survives("sixteen  letters", 16);
	bytes[4] = 9; /* version */
	survives(bytes, n);
	bytes[4] = WIRE_VERSION;
	bytes[6] = 99; /* type */
	survives(bytes, n);
	bytes[6] = WIRE_PING;
	bytes[11] = 0x7f; /* length */
	survives(bytes, n);
	m = (struct wire_message){ .type = WIRE_HELLO };
	survives(bytes, wire_encode(&m, bytes)); /* out of place */
}

/* --- slabs that were freed, and not let go --- */

/* Asks for all of every slab and reads nothing: what fits no socket stays in
 * the server's queue. */
static int lane_of_unread(struct client *c, uint32_t slabs[SLABS])
{
	int lane = lane_open(c);

	for (int i = 0; i < SLABS; i++)
		assert_true(client_alloc(c, &slabs[i]));
	for (int round = 0; round < 6; round++) {
		for (int i = 0; i < SLABS; i++)
			assert_true(lane_request(lane, WIRE_READ, slabs[i], 0,
						 SLAB, 1));
	}
	/* the server has them: it answers in their order */
	assert_true(daemon_becomes(&server, "reads", 6 * SLABS));
	return lane;
}

/* Bytes that the kernel holds of the server's end of LANE, sent or not. */
static unsigned long kernel_holds(int lane)
{
	FILE *sockets = fopen("/proc/net/tcp", "r");
	struct sockaddr_in in;
	socklen_t size = sizeof in;
	unsigned long held = 0, queue;
	unsigned local, remote;
	char line[512];

	assert_non_null(sockets);
	assert_int_equal(getsockname(lane, (struct sockaddr *)&in, &size), 0);
	while (fgets(line, sizeof line, sockets)) {
		if (sscanf(line, " %*u: %*x:%x %*x:%x %*x %lx", &local, &remote,
			   &queue) == 3 &&
		    local == server.port && remote == ntohs(in.sin_port))
			held = queue;
	}
	fclose(sockets);
	return held;
}

/* The kernel would take 4 MiB of each lane. */
static void unread_replies_do_not_fill_the_kernel(void **state)
{
	struct client c;
	uint32_t slabs[SLABS];
	unsigned long held = 0;
	int unread;

	(void)state;
	client_open(&c, &server);
	unread = lane_of_unread(&c, slabs);
	while (held < 1 << 18)
		held = kernel_holds(unread);
	/* it does not grow while the server does other things */
	for (int i = 0; i < 100; i++) {
		daemon_status(&server, "reads");
		assert_in_range(kernel_holds(unread), 1 << 18, 5 << 18);
	}
	client_close_lane(&c, unread);
}

static void freed_slabs_come_back(void **state)
{
	struct client hoards;
	struct client needs;
	uint32_t slabs[SLABS];
	uint32_t slab;
	int unread;
	int healthy;

	(void)state;
	client_open(&hoards, &server);
	healthy = lane_open(&hoards);
	unread = lane_of_unread(&hoards, slabs);
	for (int i = 0; i < SLABS; i++)
		assert_int_equal(client_free(&hoards, slabs[i]).type,
				 WIRE_FREED);
	assert_true(daemon_becomes(&server, "slabs_used", 0));
	assert_int_equal(daemon_status(&server, "sessions.0.slabs_held"), 0);
	/* only the lane that held them is gone */
	assert_int_equal(daemon_status(&server, "sessions.0.lanes"), 1);
	assert_true(client_alloc(&hoards, &slab));
	assert_int_equal(lane_read(healthy, slab, 0, back, PAGE), 0);
	client_open(&needs, &server);
	for (int i = 1; i < SLABS; i++)
		assert_true(client_alloc(&needs, &slab));
	close(healthy);
	close(unread);
	client_close(&needs);
	client_close(&hoards);
}

/* The same of a WRITE that never comes to its end. */
static void an_unfinished_write_ends(void **state)
{
	struct client c;
	uint32_t slab;
	int lane;

	(void)state;
	lane = client_open_slab(&c, &server, &slab);
	lane_begin_write(lane, slab, SLAB, data, PAGE);
	client_free(&c, slab);
	assert_true(is_closed(lane));
	assert_true(daemon_becomes(&server, "slabs_used", 0));
	client_close_lane(&c, lane);
}

/* --- descriptors --- */

/* The lowest number of which the daemon has no descriptor: with that as its
 * limit it can open none. */
static rlim_t first_free(void)
{
	char path[64];
	char target[64];
	rlim_t number = 0;

	do {
		snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)server.pid,
			 (int)number++);
	} while (readlink(path, target, sizeof target) >= 0);
	return number - 1;
}

static void allow_files(rlim_t files)
{
	struct rlimit limit;

	assert_int_equal(prlimit(server.pid, RLIMIT_NOFILE, NULL, &limit), 0);
	limit.rlim_cur = files;
	assert_int_equal(prlimit(server.pid, RLIMIT_NOFILE, &limit, NULL), 0);
}

/* Where the server has no descriptor left a client is told so, the status still
 * answers, and one that says nothing gives its own to one that has a session.
 */
static void serves_without_descriptors(void **state)
{
	struct client c;
	struct client again;
	struct wire_message m;
	uint32_t slab;
	int turned_away;
	int later;
	int idle;

	(void)state;
	client_open(&c, &server);
	assert_true(client_alloc(&c, &slab));
	/* the thread of the status has begun, and has its reserve */
	assert_int_equal(daemon_status(&server, "sessions"), 1);
	allow_files(first_free());
	turned_away = raw_connect(&server);
	assert_true(is_closed(turned_away));
	close(turned_away);
	assert_int_equal(daemon_status(&server, "sessions"), 1);
	allow_files(4096);
	idle = raw_connect(&server);
	/* an answer on a later connection: the server has the idle one */
	client_greet_on(&again, &server, raw_connect(&server));
	later = again.fd;
	allow_files(first_free());
	m = client_resume(&again, &c);
	assert_int_equal(m.type, WIRE_RESUMED);
	assert_turned_away(idle, "for lack of file descriptors");
	close(idle);
	close(later);
	allow_files(4096);
	client_lose(&c);
	client_close(&again);
}

/* --- connections that do not say whose they are --- */

#define CROWD 700 /* more than there are slots */

static int crowd[CROWD];

/* From one address, or from 200 of them. */
static void crowd_comes(bool from_everywhere)
{
	char from[32];

	for (int i = 0; i < CROWD; i++) {
		snprintf(from, sizeof from, "127.0.1.%d",
			 from_everywhere ? 1 + i % 200 : 1);
		crowd[i] = raw_connect_from(&server, from);
	}
}

static void crowd_goes(void)
{
	for (int i = 0; i < CROWD; i++)
		close(crowd[i]);
}

/* Of one address, without a session: ADMISSION_ADDRESS_MAX. */
#define NEWCOMERS 64

/* How long a connection may take to prove itself (control.c). */
#define PROVE_NS (5 * NS_PER_S)

static void greet_all(struct client clients[NEWCOMERS])
{
	for (int i = 0; i < NEWCOMERS; i++)
		client_greet_on(&clients[i], &server, raw_connect(&server));
}

static void lose(struct client *clients, int n)
{
	for (int i = 0; i < n; i++)
		client_lose(&clients[i]);
}

/* RESUME in place of a connection that seems alive, when the address has as
 * many connections without a session as it may.  The connection that is
 * replaced becomes one more, and not the one that resumes has to go for it. */
static void resumes_at_the_limit(void **state)
{
	struct wire_message m = { .type = WIRE_RESUME };
	struct client others[NEWCOMERS];
	uint64_t began_ns;
	struct client again;
	struct client c;

	(void)state;
	client_open(&c, &server);
	/* on a busy machine the others take their time to come */
	while (began_ns = clock_now_ns(), greet_all(others),
	       clock_now_ns() - began_ns > PROVE_NS / 2)
		lose(others, NEWCOMERS);
	again = others[0];
	m.resume.session = c.session;
	memcpy(m.resume.token, c.opened.token, sizeof m.resume.token);
	assert_int_equal(client_ask(&again, m).type, WIRE_RESUMED);
	lose(others + 1, NEWCOMERS - 1);
	client_lose(&c);
	client_close(&again);
}

/* A client joins and resumes, from a connection that was there before the
 * crowd, since OLD_NS, and from a new one. */
static void gets_in(struct client *c, const struct wire_token *token, int old,
		    uint64_t old_ns, uint32_t slab)
{
	struct client again;
	struct wire_message m;
	int lane;

	/* On a busy machine the crowd takes its time to come. */
	if (clock_now_ns() - old_ns > PROVE_NS / 2) {
		close(old);
		old = raw_connect(&server);
	}
	lane = lane_join_on(old, token);
	assert_true(lane >= 0);
	assert_int_equal(lane_read(lane, slab, 0, back, PAGE), 0);
	close(lane);
	lane = lane_open(c);
	assert_int_equal(lane_read(lane, slab, 0, back, PAGE), 0);
	close(lane);
	client_lose(c);
	m = client_resume(&again, c);
	assert_int_equal(m.type, WIRE_RESUMED);
	*c = again;
}

static void a_crowd_keeps_no_session_out(bool from_everywhere)
{
	struct client c;
	struct wire_message token;
	uint32_t slab;
	uint64_t waits_ns;
	int waits;

	client_open(&c, &server);
	assert_true(client_alloc(&c, &slab));
	token = client_token(&c);
	waits_ns = clock_now_ns();
	waits = raw_connect(&server);
	crowd_comes(from_everywhere);
	gets_in(&c, &token.token, waits, waits_ns, slab);
	crowd_goes();
	client_close(&c);
}

static void idle_connections_keep_no_session_out(void **state)
{
	(void)state;
	a_crowd_keeps_no_session_out(false);
	a_crowd_keeps_no_session_out(true);
}

/* Where nobody has a session yet, the crowd's address has a few slots only. */
static void one_address_does_not_take_all_slots(void **state)
{
	struct client c;
	int waits = raw_connect_from(&server, "127.0.0.9");

	(void)state;
	crowd_comes(false);
	client_greet_on(&c, &server, waits);
	crowd_goes();
	client_lose(&c);
}

/* The client is of the crowd's own address: the oldest goes, so there is room
 * for one that says at once whose it is. */
static void the_newest_gets_in(void **state)
{
	struct client c;

	(void)state;
	for (int i = 0; i < CROWD; i++)
		crowd[i] = raw_connect(&server);
	client_open(&c, &server);
	/* the crowd, as well, once it has said HELLO */
	for (int i = CROWD - 8; i < CROWD; i++) {
		struct client one;

		client_greet_on(&one, &server, crowd[i]);
	}
	assert_turned_away(crowd[0], "the limit of 64 without a session, of "
				     "one address, is reached");
	crowd_goes();
	client_close(&c);
}

/* Whether it has said nothing, or HELLO and no more. */
static void the_silent_are_ended(void **state)
{
	struct client greeted;
	int silent = raw_connect(&server);

	(void)state;
	client_greet_on(&greeted, &server, raw_connect(&server));
	assert_true(is_closed(silent));
	assert_true(is_closed(greeted.fd));
	close(silent);
	client_lose(&greeted);
}

int main(int argc, char **argv)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, server_stop)
	const struct CMUnitTest tests[] = {
		TEST(wrong_bytes_leave_the_session),
		TEST(serves_without_descriptors),
		TEST(resumes_at_the_limit),
		TEST(unread_replies_do_not_fill_the_kernel),
		TEST(freed_slabs_come_back),
		TEST(an_unfinished_write_ends),
		TEST(idle_connections_keep_no_session_out),
		TEST(one_address_does_not_take_all_slots),
		TEST(the_newest_gets_in),
		TEST(the_silent_are_ended),
	};

	struct rlimit limit;

	/* the daemon inherits it */
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return RUN_DAEMON_TESTS(argc, argv, tests);
}
