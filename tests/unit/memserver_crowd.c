/* The whole memory server with keys, while a thousand strangers begin TLS
 * handshakes: a client that has a session goes on, and takes it up again. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "memserver_client.h"
#include "net.h"
#include "support.h"
#include "wireio.h"

#define CROWD 1000
#define FLOOD 200

/* Of one address, without a session: ADMISSION_ADDRESS_MAX. */
#define NEWCOMERS 64

/* The most strangers that the server keeps, each with 69 KiB of buffers and 50
 * KiB of a handshake; and 8 MiB. */
#define MORE_BYTES (256 * (UINT64_C(119) << 10) + (UINT64_C(8) << 20))

/* A sanitizer keeps what was freed. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

static char key_file[64];
static struct tls_context *alpha, *wrong;

static void write_key(void)
{
	FILE *out;

	snprintf(key_file, sizeof key_file, "/tmp/memserver-crowd.%d",
		 (int)getpid());
	umask(077);
	out = fopen(key_file, "w");
	assert_non_null(out);
	fputs("alpha:00112233445566778899aabbccddeeff\n", out);
	fclose(out);
}

static int setup(void **state)
{
	struct psk other = { "alpha", 16, "another key....." };
	struct error why;
	char option[100];

	(void)state;
	write_key();
	snprintf(option, sizeof option, "--psk-file=%s", key_file);
	server_start((const char *const[]){ "--stock=0", "--grace=60", option,
					    NULL });
	alpha = tls_client_read(key_file, NULL, &why);
	wrong = tls_client_new(&other, &why);
	assert_non_null(alpha);
	return 0;
}

static int teardown(void **state)
{
	tls_context_free(alpha);
	tls_context_free(wrong);
	unlink(key_file);
	return server_stop(state);
}

/* --- the client with a key --- */

static struct wire_message call(struct stream *stream, struct wire_message m,
				uint16_t type)
{
	struct wire_message reply;
	struct error why;

	if (wire_call(stream, &m, type, &reply, after_ms(LONG_MS), &why))
		fail_msg("%s: %s", wire_type_name(m.type), why.text);
	return reply;
}

static void hello(struct stream *stream)
{
	struct wire_message m;

	wire_hello_fill(&m, "test");
	call(stream, m, WIRE_WELCOME);
}

static struct stream greet(void)
{
	struct stream stream = stream_plain(raw_connect(&server));
	struct error why;

	if (stream_secure(&stream, alpha, after_ms(LONG_MS), &why))
		fail_msg("%s", why.text);
	hello(&stream);
	return stream;
}

static void ping(struct stream *stream)
{
	call(stream, (struct wire_message){ .type = WIRE_PING }, WIRE_PONG);
}

/* --- the crowd --- */

static struct {
	int fd;
	struct tls *tls;
} crowd[CROWD];

/* Each sends its ClientHello, and nothing more. */
static void crowd_comes(bool from_everywhere)
{
	char from[32];
	struct error why;

	for (int i = 0; i < CROWD; i++) {
		snprintf(from, sizeof from, "127.0.1.%d",
			 from_everywhere ? 1 + i % 200 : 1);
		crowd[i].fd = raw_connect_from(&server, from);
		crowd[i].tls = tls_open(wrong, crowd[i].fd, &why);
		assert_non_null(crowd[i].tls);
		tls_handshake(crowd[i].tls, &why);
	}
}

static void crowd_goes(void)
{
	for (int i = 0; i < CROWD; i++) {
		tls_close(crowd[i].tls);
		close(crowd[i].fd);
	}
}

static void keeps_no_session_out(bool from_everywhere)
{
	struct wire_message open = { .type = WIRE_OPEN,
				     .open = { .size_bytes = SLAB,
					       .lanes = 2,
					       .transport =
						       WIRE_TRANSPORT_TCP } };
	struct wire_message resume = { .type = WIRE_RESUME }, reply;
	struct stream first = greet(), second;
	uint64_t before = daemon_status(&server, "rss_bytes");

	reply = call(&first, open, WIRE_OPENED);
	resume.resume.session = reply.opened.session;
	memcpy(resume.resume.token, reply.opened.token,
	       sizeof resume.resume.token);

	crowd_comes(from_everywhere);
	ping(&first);
	second = greet();
	call(&second, resume, WIRE_RESUMED);
	ping(&second);
	if (!SANITIZED)
		assert_in_range(daemon_status(&server, "rss_bytes"), 0,
				before + MORE_BYTES);
	crowd_goes();
	ping(&second);
	assert_int_equal(daemon_status(&server, "sessions"), 1);
	stream_close(&first);
	stream_close(&second);
}

static void handshakes_of_one_address(void **state)
{
	(void)state;
	keeps_no_session_out(false);
}

static void handshakes_from_everywhere(void **state)
{
	(void)state;
	keeps_no_session_out(true);
}

/* --- a flood from the client's own address --- */

/* A handshake whose first message the server has answered.  Where the server
 * answers so fast that the handshake is over at once, the next one is taken. */
static struct stream half_greet(void)
{
	struct stream stream;
	struct error why;
	int rc;

	while (stream = stream_plain(raw_connect(&server)),
	       stream.tls = tls_open(alpha, stream.fd, &why),
	       (rc = tls_handshake(stream.tls, &why)) == 0)
		stream_close(&stream);
	assert_int_equal(rc, -EAGAIN);
	assert_int_equal(net_wait(stream.fd, POLLIN, after_ms(LONG_MS)), 0);
	return stream;
}

/* So many connections come that they take each place of the address, and more
 * than once. */
static void flood(const struct tls_context *key)
{
	uint64_t refused = daemon_status(&server, "connections_refused");
	struct error why;

	for (unsigned i = 0; i < FLOOD; i++) {
		crowd[i].fd = raw_connect(&server);
		crowd[i].tls = key ? tls_open(key, crowd[i].fd, &why) : NULL;
		if (key)
			tls_handshake(crowd[i].tls, &why);
	}
	while (daemon_status(&server, "connections_refused") <
	       refused + FLOOD - NEWCOMERS)
		;
}

static void flood_goes(void)
{
	for (unsigned i = 0; i < FLOOD; i++) {
		tls_close(crowd[i].tls);
		close(crowd[i].fd);
	}
}

static void goes_on_with_its_handshake(const struct tls_context *key)
{
	struct stream client;
	uint64_t began_ns;
	struct error why;
	int rc;

	/* A handshake may take 5 clients, in which a busy machine has to bring
	 * the flood. */
	while (began_ns = clock_now_ns(), client = half_greet(), flood(key),
	       clock_now_ns() - began_ns > 4 * NS_PER_S) {
		flood_goes();
		stream_close(&client);
	}
	while ((rc = tls_handshake(client.tls, &why)) == -EAGAIN)
		assert_int_equal(net_wait(client.fd, tls_events(client.tls),
					  after_ms(LONG_MS)),
				 0);
	assert_int_equal(rc, 0);
	hello(&client);
	flood_goes();
	stream_close(&client);
}

static void a_flood_ends_no_handshake(void **state)
{
	(void)state;
	goes_on_with_its_handshake(NULL);
	goes_on_with_its_handshake(wrong);
}

/* --- who is told why it goes --- */

/* A silent connection, and so many that have proved a key that it has to go. */
static int too_many(struct stream clients[NEWCOMERS])
{
	int silent = raw_connect(&server);

	for (int i = 0; i < NEWCOMERS; i++)
		clients[i] = greet();
	return silent;
}

static void close_all(struct stream clients[NEWCOMERS], int silent)
{
	for (int i = 0; i < NEWCOMERS; i++)
		stream_close(&clients[i]);
	close(silent);
}

static void only_a_key_is_told_the_limit(void **state)
{
	struct stream clients[NEWCOMERS];
	struct wire_message m;
	struct error why;
	uint64_t began_ns;
	int silent;

	(void)state;
	/* They stay for 5 seconds, in which a busy machine has to make them. */
	while (began_ns = clock_now_ns(), silent = too_many(clients),
	       clock_now_ns() - began_ns > 2 * NS_PER_S)
		close_all(clients, silent);
	assert_true(is_closed(silent));
	close(silent);
	silent = raw_connect(&server);
	assert_int_equal(wire_recv(&clients[0], &m, after_ms(LONG_MS), &why),
			 0);
	assert_int_equal(error_of(&m), WIRE_E_LIMIT);
	assert_int_equal(m.cookie, 0);
	assert_non_null(strstr(m.error.text, "the limit of 64 "));
	close_all(clients, silent);
}

int main(int argc, char **argv)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(handshakes_of_one_address),
		TEST(handshakes_from_everywhere),
		TEST(a_flood_ends_no_handshake),
		TEST(only_a_key_is_told_the_limit),
	};

	return RUN_DAEMON_TESTS(argc, argv, tests);
}
