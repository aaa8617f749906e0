/* The whole memory server, over TCP: sessions that outlive their connection,
 * and how it ends while clients have slabs. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "answer.h"
#include "clock.h"
#include "ctlsock.h"
#include "memserver_client.h"

static void start(const char *grace)
{
	server_start((const char *const[]){ "--stock=1", "--zone=rack-7", grace,
					    NULL });
}

static int setup(void **state)
{
	(void)state;
	start("--grace=60");
	return 0;
}

static int setup_short(void **state)
{
	(void)state;
	start("--grace=1");
	return 0;
}

static void assert_told(const char *command, const char *key,
			const char *expected)
{
	struct error why;
	struct json_object *answer =
		answer_parse(daemon_ask(&server, command), &why);
	char value[64] = "nothing";

	answer_text(answer, key, value, sizeof value);
	assert_string_equal(value, expected);
	answer_put(answer);
}

static bool is_told(const char *key, const char *expected)
{
	struct error why;
	struct json_object *answer =
		answer_parse(daemon_ask(&server, "status"), &why);
	bool told = answer_is(answer, key, expected);

	answer_put(answer);
	return told;
}

static void await_told(const char *key, const char *expected)
{
	uint64_t deadline_ns = clock_now_ns() + 5 * NS_PER_S;

	while (!is_told(key, expected) && clock_left_ns(deadline_ns))
		usleep(10000);
	assert_told("status", key, expected);
}

/* --- resume --- */

static void a_lost_client_finds_its_bytes(void **state)
{
	struct client c, again;
	struct wire_message m;
	uint32_t slab;
	int lane;

	(void)state;
	client_open(&c, &server);
	assert_string_equal(c.welcome.zone, "rack-7");
	assert_int_equal(c.opened.grace_ms, 60000);
	assert_told("status", "sessions.0.state", "connected");
	lane = lane_open(&c);
	assert_true(client_alloc(&c, &slab));
	assert_int_equal(lane_write(lane, slab, 0, data, SLAB), 0);
	client_lose(&c);
	assert_true(is_closed(lane));
	close(lane);
	await_told("sessions.0.state", "disconnected");
	assert_int_equal(daemon_status(&server, "slabs_used"), 1);
	assert_int_equal(daemon_status(&server, "sessions.0.slabs"), 1);
	assert_in_range(daemon_status(&server, "sessions.0.state_s"), 0, 60);

	m = client_resume(&again, &c);
	assert_int_equal(m.type, WIRE_RESUMED);
	assert_int_equal(m.resumed.session, c.session);
	assert_int_equal(m.resumed.slabs, 1);
	assert_memory_equal(again.welcome.incarnation, c.welcome.incarnation,
			    WIRE_INCARNATION_BYTES);
	assert_told("status", "sessions.0.state", "connected");
	lane = lane_open(&again);
	assert_int_equal(lane_read(lane, slab, 0, back, SLAB), 0);
	assert_memory_equal(back, data, SLAB);
	client_close_lane(&again, lane);
	assert_true(daemon_becomes(&server, "slabs_used", 0));
}

/* As when the network swallowed the end of the old connection.  What the old
 * lane still brings is not written. */
static void a_client_takes_its_session_over(void **state)
{
	struct client old, c;
	struct wire_message unused;
	uint32_t slab;
	int lane, late;

	(void)state;
	client_open(&old, &server);
	lane = lane_open(&old);
	late = lane_open(&old);
	unused = client_token(&old);
	assert_true(client_alloc(&old, &slab));
	assert_int_equal(lane_write(lane, slab, 0, data, SLAB), 0);
	memset(back, 0xee, SLAB);
	assert_true(lane_request(late, WIRE_WRITE, slab, 0, SLAB, 1));
	assert_true(send_bytes(late, back, SLAB / 2));

	assert_int_equal(client_resume(&c, &old).type, WIRE_RESUMED);
	assert_true(is_closed(old.fd));
	assert_true(is_closed(lane));
	send_bytes(late, back, SLAB / 2);
	assert_true(is_closed(late));
	assert_int_equal(lane_join(&server, &unused.token), -1);
	close(lane);
	close(late);
	client_lose(&old);
	lane = lane_open(&c);
	assert_int_equal(lane_read(lane, slab, SLAB / 2, back, SLAB / 2), 0);
	assert_memory_equal(back, data + SLAB / 2, SLAB / 2);
	/* nor has the old connection's end ended the session */
	assert_int_equal(daemon_status(&server, "sessions"), 1);
	client_close_lane(&c, lane);
}

static void a_wrong_token_disturbs_nobody(void **state)
{
	struct client c, other;
	struct wire_message m;
	uint32_t slab;
	int lane;

	(void)state;
	lane = client_open_slab(&c, &server, &slab);
	c.opened.token[15] ^= 0x80;
	m = client_resume(&other, &c);
	assert_int_equal(error_of(&m), WIRE_E_NO_SESSION);
	assert_true(is_closed(other.fd));
	client_lose(&other);
	c.opened.token[15] ^= 0x80;
	c.opened.session++;
	m = client_resume(&other, &c);
	assert_int_equal(error_of(&m), WIRE_E_NO_SESSION);
	client_lose(&other);
	assert_int_equal(lane_read(lane, slab, 0, back, PAGE), 0);
	assert_int_equal(
		client_ask(&c, (struct wire_message){ .type = WIRE_PING }).type,
		WIRE_PONG);
	client_close_lane(&c, lane);
}

static void the_time_is_over(void **state)
{
	struct client c, again;
	struct wire_message m;
	uint32_t slab;

	(void)state;
	client_open(&c, &server);
	assert_int_equal(c.opened.grace_ms, 1000);
	assert_true(client_alloc(&c, &slab));
	client_lose(&c);
	assert_true(daemon_becomes(&server, "sessions", 0));
	assert_true(daemon_becomes(&server, "slabs_used", 0));
	m = client_resume(&again, &c);
	assert_int_equal(error_of(&m), WIRE_E_NO_SESSION);
	client_lose(&again);
}

/* --- the end, and drain --- */

static void leaves_when_the_last_slab_is_back(void **state)
{
	struct wire_message alloc = { .type = WIRE_ALLOC, .alloc.label = 99 };
	struct wire_message ping = { .type = WIRE_PING };
	struct wire_message m;
	struct client c, idle, late;
	uint32_t slab;
	int lane;

	(void)state;
	client_open(&c, &server);
	client_open(&idle, &server);
	lane = lane_open(&c);
	assert_true(client_alloc(&c, &slab));
	assert_int_equal(lane_write(lane, slab, 0, data, SLAB), 0);
	assert_int_equal(kill(server.pid, SIGTERM), 0);
	client_await_release(&c);
	assert_int_equal(c.release_slabs, WIRE_RELEASE_ALL);
	client_await_release(&idle);
	assert_told("status", "state", "leaving");
	assert_told("status", "sessions.0.release_slabs", "all");

	m = client_ask(&c, alloc);
	assert_int_equal(error_of(&m), WIRE_E_NO_MEMORY);
	m = client_ask(&c, ping);
	assert_int_equal(m.pong.free_bytes, 0);
	assert_int_equal(m.pong.release_slabs, WIRE_RELEASE_ALL);
	client_open(&late, &server);
	assert_int_equal(late.welcome.free_bytes, 0);
	client_await_release(&late);
	assert_int_equal(late.release_slabs, WIRE_RELEASE_ALL);
	/* what is there can still be read */
	assert_int_equal(lane_read(lane, slab, 0, back, SLAB), 0);
	assert_memory_equal(back, data, SLAB);
	/* that it was told to end is not taken back */
	assert_non_null(strstr(daemon_ask(&server, "undrain"), "error"));

	m = client_free(&c, slab);
	assert_int_equal(m.type, WIRE_FREED);
	assert_int_equal(m.freed.free_bytes, 0);
	daemon_await_end(&server);
	client_close_lane(&c, lane);
	client_close(&idle);
	client_close(&late);
}

static void waits_for_who_is_disconnected(void **state)
{
	struct client c;
	uint32_t slab;

	(void)state;
	client_open(&c, &server);
	assert_true(client_alloc(&c, &slab));
	client_lose(&c);
	await_told("sessions.0.state", "disconnected");
	assert_int_equal(kill(server.pid, SIGTERM), 0);
	await_told("state", "leaving");
	daemon_await_end(&server);
}

static void drains_and_takes_it_back(void **state)
{
	struct client c;
	uint32_t slab;

	(void)state;
	client_open(&c, &server);
	assert_true(client_alloc(&c, &slab));
	assert_told("drain", "state", "draining");
	client_await_release(&c);
	assert_int_equal(c.release_slabs, WIRE_RELEASE_ALL);
	assert_told("drain", "slabs", "1");
	assert_told("drain", "sessions", "1");
	assert_false(client_alloc(&c, &slab));
	assert_told("undrain", "state", "serving");
	client_await_release(&c);
	assert_int_equal(c.release_slabs, 0);
	assert_true(client_alloc(&c, &slab));
	assert_non_null(strstr(daemon_ask(&server, "nonsense"), "error"));
	client_close(&c);
	assert_true(daemon_becomes(&server, "slabs_used", 0));
}

int main(int argc, char **argv)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, server_stop)
#define ENDS(f) cmocka_unit_test_setup(f, setup_short)
	const struct CMUnitTest tests[] = {
		TEST(a_lost_client_finds_its_bytes),
		TEST(a_client_takes_its_session_over),
		TEST(a_wrong_token_disturbs_nobody),
		cmocka_unit_test_setup_teardown(the_time_is_over, setup_short,
						server_stop),
		ENDS(leaves_when_the_last_slab_is_back),
		ENDS(waits_for_who_is_disconnected),
		TEST(drains_and_takes_it_back),
	};

	return RUN_DAEMON_TESTS(argc, argv, tests);
}
