/* Message connections over a socket pair: bytes in any portions, garbage, a
 * peer that does not read, and TLS in front of the messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/conn.h"

static struct ev_loop *loop;
static struct conn conn;
static int peer;
static unsigned messages;
static unsigned last_type;
static enum wire_verdict verdict;
static const char *ended;

/* TLS: the server's side, or NULL; steps that were asked for; whether they are
 * not done; why a client was refused. */
static const struct psk key = { "alpha", 16, "sixteen bytes..." };
static const struct psk wrong_key = { "alpha", 16, "sixteen others.." };
static struct tls_context *tls, *client_tls;
static struct stream client;
static unsigned shakes;
static bool hold;
static char unproved[256];

static bool on_message(struct conn *c, const struct wire_message *m)
{
	(void)c;
	messages++;
	last_type = m->type;
	return true;
}

static void on_garbage(struct conn *c, enum wire_verdict v, uint32_t cookie)
{
	(void)cookie;
	verdict = v;
	conn_leave(c);
}

static void on_tls(struct conn *c)
{
	if (tls)
		assert_true(conn_start_tls(c, tls));
	else
		conn_leave(c);
}

static void on_shake(struct conn *c)
{
	shakes++;
	if (!hold)
		conn_shake(c);
}

static void on_unproved(struct conn *c, const char *why)
{
	snprintf(unproved, sizeof unproved, "%s", why);
	conn_leave(c);
}

static const char *on_timeout(struct conn *c)
{
	(void)c;
	return "timeout";
}

static void on_ended(struct conn *c, const char *why)
{
	ended = why;
	close(conn_detach(c));
	ev_break(loop, EVBREAK_ALL);
}

static const struct conn_ops ops = { .message = on_message,
				     .garbage = on_garbage,
				     .tls = on_tls,
				     .shake = on_shake,
				     .unproved = on_unproved,
				     .timeout = on_timeout,
				     .ended = on_ended };

static int setup(void **state)
{
	int fds[2];

	(void)state;
	messages = 0;
	verdict = WIRE_OK;
	ended = NULL;
	loop = ev_loop_new(EVFLAG_AUTO);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0)
		return -1;
	peer = fds[1];
	memset(&conn, 0, sizeof conn);
	conn_open(&conn, loop, fds[0], &ops);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (!ended)
		close(conn_detach(&conn));
	if (peer >= 0)
		close(peer);
	ev_loop_destroy(loop);
	return 0;
}

/* Lets the connection do what it can do now. */
static void turn(void)
{
	for (int i = 0; i < 8 && !ended; i++)
		ev_run(loop, EVRUN_NOWAIT);
}

static size_t hello(uint8_t *bytes)
{
	struct wire_message m = { .type = WIRE_HELLO };

	strcpy(m.hello.name, "test");
	return wire_encode(&m, bytes);
}

static void put(const void *bytes, size_t n)
{
	assert_int_equal(send(peer, bytes, n, MSG_NOSIGNAL), n);
}

static void takes_bytes_one_by_one(void **state)
{
	uint8_t bytes[WIRE_MESSAGE_MAX];
	size_t n = hello(bytes);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(messages, 0);
		put(bytes + i, 1);
		turn();
	}
	assert_int_equal(messages, 1);
	assert_int_equal(last_type, WIRE_HELLO);
}

static void takes_several_at_a_time(void **state)
{
	uint8_t bytes[WIRE_MESSAGE_MAX];
	size_t n = hello(bytes);

	(void)state;
	conn.whole_messages = false;
	for (int i = 0; i < 200; i++)
		put(bytes, n);
	while (messages < 200)
		ev_run(loop, EVRUN_ONCE);
	assert_int_equal(messages, 200);
}

/* A peer that says BYE and goes has said so, even where a message for it is
 * sent between the two: that fails, and what came before is taken. */
static void takes_what_came_from_a_peer_that_is_gone(void **state)
{
	struct wire_message release = { .type = WIRE_RELEASE };
	struct wire_message bye = { .type = WIRE_BYE };
	uint8_t bytes[WIRE_MESSAGE_MAX];

	(void)state;
	put(bytes, wire_encode(&bye, bytes));
	close(peer);
	peer = -1;
	assert_true(conn_send(&conn, &release));
	assert_true(conn_send(&conn, &release));
	turn();
	assert_int_equal(messages, 1);
	assert_int_equal(last_type, WIRE_BYE);
	assert_non_null(ended);
}

static void leaves_what_follows_in_the_socket(void **state)
{
	uint8_t bytes[WIRE_MESSAGE_MAX];
	char rest[8] = "";
	size_t n = hello(bytes);

	(void)state;
	put(bytes, n);
	put("follows", 7);
	ev_run(loop, EVRUN_ONCE); /* the header */
	ev_run(loop, EVRUN_ONCE); /* and the body */
	assert_int_equal(messages, 1);
	assert_int_equal(recv(conn.stream.fd, rest, sizeof rest, 0), 7);
	assert_string_equal(rest, "follows");
}

/* The end of the stream, and not a reset, tells the peer. */
static void shows_garbage_out(void **state)
{
	char byte;

	(void)state;
	put("GET / HTTP/1.1\r\nHost: example\r\n\r\n", 33);
	turn();
	assert_int_equal(verdict, WIRE_BAD_MAGIC);
	assert_int_equal(recv(peer, &byte, 1, 0), 0);
	assert_null(ended);
	put("more", 4);
	close(peer);
	peer = -1;
	ev_run(loop, 0);
	assert_non_null(ended);
}

static void says_what_is_wrong(const void *bytes, size_t n,
			       enum wire_verdict expected)
{
	setup(NULL);
	put(bytes, n);
	turn();
	assert_int_equal(verdict, expected);
	assert_int_equal(messages, 0);
	teardown(NULL);
}

static void tells_garbage_apart(void **state)
{
	uint8_t bytes[WIRE_MESSAGE_MAX];
	size_t n = hello(bytes);

	(void)state;
	bytes[4] = WIRE_VERSION + 1;
	says_what_is_wrong(bytes, n, WIRE_BAD_VERSION);
	bytes[4] = WIRE_VERSION;
	bytes[6] = 99;
	says_what_is_wrong(bytes, n, WIRE_BAD_TYPE);
	bytes[6] = WIRE_HELLO;
	bytes[8]++;
	says_what_is_wrong(bytes, n, WIRE_BAD_LENGTH);
	bytes[8]--;
	memset(bytes + 16 + 8, 'x', WIRE_NAME_BYTES);
	says_what_is_wrong(bytes, n, WIRE_BAD_FIELD);
}

static void cuts_off_who_does_not_read(void **state)
{
	struct wire_message m = { .type = WIRE_PING };
	unsigned sent = 0;

	(void)state;
	while (conn_send(&conn, &m))
		assert_true(sent++ < 1000000);
	assert_null(ended); /* not within the call */
	assert_true(conn_send(&conn, &m));
	ev_run(loop, 0);
	assert_string_equal(ended, "it does not read its replies");
}

static void keeps_its_limit(void **state)
{
	(void)state;
	conn_limit(&conn, 0.05);
	ev_run(loop, 0);
	assert_string_equal(ended, "timeout");
}

static void tells_the_end(void **state)
{
	(void)state;
	close(peer);
	peer = -1;
	ev_run(loop, 0);
	assert_non_null(ended);
}

/* --- TLS --- */

static const struct psk *find_key(void *arg, const char *name)
{
	(void)arg;
	return strcmp(name, key.name) ? NULL : &key;
}

/* Begins as a client with PSK; the server has the key of alpha. */
static void begin_tls(const struct psk *psk)
{
	struct error why;

	shakes = 0;
	hold = false;
	unproved[0] = '\0';
	tls = tls_server_new(find_key, NULL, &why);
	client_tls = tls_client_new(psk, &why);
	client = stream_plain(peer);
	client.tls = tls_open(client_tls, peer, &why);
	assert_int_equal(tls_handshake(client.tls, &why), -EAGAIN);
}

static void end_tls(void)
{
	tls_close(client.tls);
	client.tls = NULL;
	tls_context_free(client_tls);
	if (!ended)
		close(conn_detach(&conn));
	ended = "test";
	tls_context_free(tls);
	tls = NULL;
}

static int shake_hands(void)
{
	struct error why;
	int rc = -EAGAIN;

	for (int i = 0; i < 20 && rc == -EAGAIN; i++) {
		turn();
		rc = tls_handshake(client.tls, &why);
	}
	turn();
	return rc;
}

static void takes_messages_behind_a_handshake(void **state)
{
	struct wire_message m = { .type = WIRE_PONG };
	uint8_t pong[WIRE_MESSAGE_MAX];
	uint8_t bytes[8 * WIRE_MESSAGE_MAX];
	size_t n = 0;

	(void)state;
	begin_tls(&key);
	assert_int_equal(shake_hands(), 0);
	assert_string_equal(conn_identity(&conn), "alpha");
	assert_true(conn_is_proved(&conn));
	assert_int_equal(messages, 0);
	/* all of them in one record */
	for (int i = 0; i < 8; i++)
		n += hello(bytes + n);
	assert_int_equal(stream_write(&client, bytes, n), n);
	turn();
	assert_int_equal(messages, 8);
	assert_true(conn_send(&conn, &m));
	assert_int_equal(stream_read(&client, bytes, sizeof bytes),
			 wire_encode(&m, pong));
	/* and the end */
	stream_end_writing(&client);
	turn();
	assert_non_null(ended);
	end_tls();
}

/* A record that is full of messages keeps nobody else waiting. */
static void takes_a_record_in_several_turns(void **state)
{
	enum { MANY = 100, ONE_TURN = 32 };
	uint8_t bytes[MANY * WIRE_MESSAGE_MAX];
	size_t n = 0;

	(void)state;
	begin_tls(&key);
	assert_int_equal(shake_hands(), 0);
	for (int i = 0; i < MANY; i++)
		n += hello(bytes + n);
	assert_in_range(n, 1, 16384);
	assert_int_equal(stream_write(&client, bytes, n), n);
	for (unsigned before = 0; before < MANY; before = messages) {
		ev_run(loop, EVRUN_ONCE);
		assert_in_range(messages - before, 0, ONE_TURN);
	}
	assert_int_equal(messages, MANY);
	end_tls();
}

static void waits_for_its_turn(void **state)
{
	(void)state;
	begin_tls(&key);
	hold = true;
	turn();
	assert_int_equal(shakes, 1);
	hold = false;
	assert_true(conn_shake(&conn));
	assert_false(conn_is_proved(&conn));
	assert_int_equal(shake_hands(), 0);
	assert_string_equal(conn_identity(&conn), "alpha");
	end_tls();
}

static void shows_a_wrong_key_out(void **state)
{
	char byte;

	(void)state;
	begin_tls(&wrong_key);
	assert_int_equal(shake_hands(), -EPROTO);
	assert_string_equal(conn_identity(&conn), "");
	assert_non_null(strstr(unproved, "does not prove its key"));
	assert_false(conn_is_proved(&conn));
	/* what it says now is no message, and the end of the stream comes */
	put("RSWP and more", 13);
	turn();
	assert_int_equal(messages, 0);
	assert_int_equal(verdict, WIRE_OK);
	assert_int_equal(recv(peer, &byte, 1, 0), 0);
	end_tls();
}

static void leaves_in_the_middle_of_a_handshake(void **state)
{
	(void)state;
	begin_tls(&key);
	hold = true;
	turn();
	conn_leave(&conn);
	assert_true(conn_shake(&conn));
	assert_string_equal(conn_identity(&conn), "");
	assert_int_equal(shake_hands(), -ECONNRESET);
	assert_int_equal(shakes, 1);
	end_tls();
}

static void tells_a_changed_record(void **state)
{
	uint8_t bytes[2 * WIRE_MESSAGE_MAX];
	ssize_t n;

	(void)state;
	begin_tls(&key);
	assert_int_equal(shake_hands(), 0);
	n = (ssize_t)hello(bytes);
	stream_write(&client, bytes, (size_t)n);
	n = recv(conn.stream.fd, bytes, sizeof bytes, 0);
	bytes[n - 1] ^= 1;
	put(bytes, (size_t)n);
	turn();
	assert_int_equal(messages, 0);
	assert_string_equal(ended, "a TLS record does not authenticate");
	end_tls();
}

/* A peer that begins with TLS is asked about once, and hears the end. */
static void may_speak_no_tls(void **state)
{
	char byte;

	(void)state;
	put("\x16\x03\x01", 3);
	turn();
	assert_int_equal(recv(peer, &byte, 1, 0), 0);
	assert_int_equal(messages, 0);
	assert_null(ended);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(takes_bytes_one_by_one),
		TEST(takes_several_at_a_time),
		TEST(takes_what_came_from_a_peer_that_is_gone),
		TEST(leaves_what_follows_in_the_socket),
		TEST(shows_garbage_out),
		cmocka_unit_test(tells_garbage_apart),
		TEST(cuts_off_who_does_not_read),
		TEST(keeps_its_limit),
		TEST(tells_the_end),
		TEST(takes_messages_behind_a_handshake),
		TEST(takes_a_record_in_several_turns),
		TEST(waits_for_its_turn),
		TEST(shows_a_wrong_key_out),
		TEST(leaves_in_the_middle_of_a_handshake),
		TEST(tells_a_changed_record),
		TEST(may_speak_no_tls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
