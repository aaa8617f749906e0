/* TLS: two ends in one process.  Who gets in, who does not and why, and what
 * becomes of bytes that were changed on the way. */
#include <errno.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stream.h"
#include "support.h"
#include "tls.h"

static const struct psk alpha = { "alpha", 16, "sixteen bytes..." };
static const struct psk beta = { "beta", 32,
				 "thirty-two bytes, of beta's...." };
static const struct psk false_alpha = { "alpha", 16, "sixteen others.." };
static const struct psk gamma_key = { "gamma", 16, "sixteen bytes..." };

static const struct psk *find_key(void *arg, const char *name)
{
	(void)arg;
	if (!strcmp(name, "alpha"))
		return &alpha;
	return strcmp(name, "beta") ? NULL : &beta;
}

static struct tls_context *server_context, *client_context;
static struct stream server, client;
static int client_rc, server_rc;
static struct error client_why, server_why;

static int setup(void **state)
{
	int fds[2];

	(void)state;
	server_context = tls_server_new(find_key, NULL, &server_why);
	if (!server_context ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0)
		return -1;
	server = stream_plain(fds[0]);
	client = stream_plain(fds[1]);
	server.tls = tls_open(server_context, server.fd, &server_why);
	return server.tls ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	stream_close(&client);
	stream_close(&server);
	tls_context_free(client_context);
	tls_context_free(server_context);
	client_context = NULL;
	return 0;
}

/* Both ends in turn, until neither goes on. */
static void shake(void)
{
	client_rc = server_rc = -EAGAIN;
	for (int i = 0; i < 20; i++) {
		if (client_rc == -EAGAIN)
			client_rc = tls_handshake(client.tls, &client_why);
		if (server_rc == -EAGAIN)
			server_rc = tls_handshake(server.tls, &server_why);
	}
}

static void connect_as(const struct psk *psk)
{
	client_context = tls_client_new(psk, &client_why);
	assert_non_null(client_context);
	client.tls = tls_open(client_context, client.fd, &client_why);
	assert_non_null(client.tls);
	shake();
}

/* --- who gets in --- */

static void lets_identities_in(void **state)
{
	char buf[8];

	(void)state;
	connect_as(&beta);
	assert_int_equal(client_rc, 0);
	assert_int_equal(server_rc, 0);
	assert_string_equal(tls_identity(server.tls), "beta");
	assert_int_equal(stream_read(&server, buf, sizeof buf), -EAGAIN);
	assert_int_equal(stream_write(&client, "ping", 4), 4);
	assert_int_equal(stream_read(&server, buf, sizeof buf), 4);
	assert_memory_equal(buf, "ping", 4);
	assert_int_equal(stream_write(&server, "pong", 4), 4);
	assert_int_equal(stream_read(&client, buf, 2), 2);
	assert_true(stream_pending(&client));
	assert_int_equal(stream_read(&client, buf, sizeof buf), 2);
	assert_false(stream_pending(&client));
	stream_end_writing(&client);
	assert_int_equal(stream_read(&server, buf, sizeof buf), 0);
}

static void keeps_others_out(const struct psk *psk, const char *says)
{
	setup(NULL);
	connect_as(psk);
	assert_int_equal(server_rc, -EPROTO);
	assert_contains(server_why.text, says);
	assert_int_equal(client_rc, -EPROTO);
	assert_contains(client_why.text, "refuses identity");
	assert_contains(client_why.text, psk->name);
	teardown(NULL);
}

static void wants_the_right_key(void **state)
{
	(void)state;
	keeps_others_out(&false_alpha, "identity alpha does not prove its key");
	keeps_others_out(&gamma_key, "identity gamma is not known here");
}

/* A client of GnuTLS with other priorities. */
static void refuse_priorities(const char *priorities, bool with_key,
			      const char *says)
{
	static const gnutls_datum_t key = { (unsigned char *)"sixteen bytes...",
					    16 };
	gnutls_psk_client_credentials_t psk;
	gnutls_certificate_credentials_t none;
	gnutls_session_t session;
	bool over = false;

	setup(NULL);
	gnutls_psk_allocate_client_credentials(&psk);
	gnutls_certificate_allocate_credentials(&none);
	gnutls_psk_set_client_credentials(psk, "alpha", &key,
					  GNUTLS_PSK_KEY_RAW);
	gnutls_init(&session,
		    GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
	assert_int_equal(gnutls_priority_set_direct(session, priorities, NULL),
			 0);
	gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, none);
	if (with_key)
		gnutls_credentials_set(session, GNUTLS_CRD_PSK, psk);
	gnutls_transport_set_int(session, client.fd);
	server_rc = -EAGAIN;
	for (int i = 0; i < 20; i++) {
		int rc = over ? 0 : gnutls_handshake(session);

		assert_true(over || rc != 0);
		over |= rc < 0 && gnutls_error_is_fatal(rc);
		if (server_rc == -EAGAIN)
			server_rc = tls_handshake(server.tls, &server_why);
	}
	assert_int_equal(server_rc, -EPROTO);
	assert_contains(server_why.text, says);
	assert_true(over);
	gnutls_deinit(session);
	gnutls_psk_free_client_credentials(psk);
	gnutls_certificate_free_credentials(none);
	teardown(NULL);
}

static void wants_tls_1_3_with_a_key(void **state)
{
	(void)state;
	refuse_priorities("NORMAL:-VERS-ALL:+VERS-TLS1.2:+ECDHE-PSK:+PSK", true,
			  "does not offer TLS 1.3");
	refuse_priorities("NORMAL", false, "no pre-shared key");
	/* no forward secrecy */
	refuse_priorities("NORMAL:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:+PSK", true,
			  "no pre-shared key");
}

static void wants_tls(void **state)
{
	static const char hello[] = "GET / HTTP/1.1\r\n\r\n";

	(void)state;
	assert_int_equal(send(client.fd, hello, sizeof hello - 1, 0),
			 sizeof hello - 1);
	assert_int_equal(tls_handshake(server.tls, &server_why), -EPROTO);
}

static void tells_the_end_of_the_other_side(void **state)
{
	(void)state;
	shutdown(client.fd, SHUT_WR);
	assert_int_equal(tls_handshake(server.tls, &server_why), -ECONNRESET);
	assert_contains(server_why.text, "closed the connection");
}

/* --- as a client, with deadlines --- */

struct machine {
	int fd;
	const char *bytes;
};

static void *answer_plainly(void *arg)
{
	struct machine *m = arg;
	char buf[512];
	struct pollfd p = { .fd = m->fd, .events = POLLIN };

	poll(&p, 1, LONG_MS);
	(void)!recv(m->fd, buf, sizeof buf, 0);
	(void)!send(m->fd, m->bytes, strlen(m->bytes), MSG_NOSIGNAL);
	return NULL;
}

static void says_that_a_server_has_no_tls(void **state)
{
	struct machine machine = { server.fd,
				   "RSWP and more of that, plainly" };
	pthread_t thread = thread_start(answer_plainly, &machine);

	(void)state;
	client_context = tls_client_new(&alpha, &client_why);
	assert_int_equal(stream_secure(&client, client_context,
				       after_ms(LONG_MS), &client_why),
			 -EPROTO);
	assert_contains(client_why.text, "does not speak TLS");
	thread_end(thread);
}

static void keeps_its_deadline(void **state)
{
	(void)state;
	client_context = tls_client_new(&alpha, &client_why);
	assert_int_equal(stream_secure(&client, client_context, after_ms(50),
				       &client_why),
			 -ETIMEDOUT);
	assert_contains(client_why.text, "TLS handshake");
	/* without a key nothing is waited for */
	assert_int_equal(stream_secure(&server, NULL, 0, &client_why), 0);
}

/* --- records --- */

static void moves_more_than_the_socket_holds(void **state)
{
	static char sent[1 << 20], got[1 << 20];
	size_t out = 0, in = 0;
	uint64_t seed = 7;
	bool waited = false;

	(void)state;
	random_fill(&seed, sent, sizeof sent);
	connect_as(&alpha);
	assert_int_equal(client_rc, 0);
	while (in < sizeof got) {
		ssize_t n = out == sizeof sent
				    ? 0
				    : stream_write(&client, sent + out,
						   sizeof sent - out);

		if (n > 0) {
			out += (size_t)n;
			continue;
		}
		assert_true(!n || n == -EAGAIN);
		waited |= n == -EAGAIN;
		n = stream_read(&server, got + in, sizeof got - in);
		assert_true(n > 0 || n == -EAGAIN);
		in += n > 0 ? (size_t)n : 0;
	}
	assert_true(waited);
	assert_memory_equal(sent, got, sizeof sent);
}

static void moves_all_or_tells_why_not(void **state)
{
	static char much[1 << 22];
	char buf[8];

	(void)state;
	connect_as(&alpha);
	assert_int_equal(stream_recv_all(&server, buf, 8, after_ms(50)),
			 -ETIMEDOUT);
	assert_int_equal(
		stream_send_all(&client, "pingpong", 8, after_ms(LONG_MS)), 0);
	assert_int_equal(stream_recv_all(&server, buf, 5, after_ms(LONG_MS)),
			 0);
	assert_int_equal(
		stream_recv_all(&server, buf + 5, 3, after_ms(LONG_MS)), 0);
	assert_memory_equal(buf, "pingpong", 8);
	/* more than the socket holds, and nobody reads */
	assert_int_equal(
		stream_send_all(&client, much, sizeof much, after_ms(50)),
		-ETIMEDOUT);
	stream_end_writing(&server);
	assert_int_equal(stream_recv_all(&client, buf, 8, after_ms(LONG_MS)),
			 -ECONNRESET);
}

/* Puts the bytes of the client's next record at the server, of which byte AT,
 * or that many from its end, is changed. */
static void finds_changed_byte(ssize_t at)
{
	unsigned char record[128];
	char buf[8];
	ssize_t n;

	connect_as(&alpha);
	assert_int_equal(server_rc, 0);
	assert_int_equal(stream_write(&client, "ping", 4), 4);
	n = recv(server.fd, record, sizeof record, 0);
	assert_true(n > 5);
	record[at < 0 ? n + at : at] ^= 0x80;
	assert_int_equal(send(client.fd, record, (size_t)n, 0), n);
	assert_int_equal(stream_read(&server, buf, sizeof buf), -EBADMSG);
	teardown(NULL);
	setup(NULL);
}

/* Its type, version and length come in front. */
static void finds_a_changed_record(void **state)
{
	(void)state;
	finds_changed_byte(0);
	finds_changed_byte(1);
	finds_changed_byte(2);
	finds_changed_byte(3);
	finds_changed_byte(6);
	finds_changed_byte(-1);
}

/* A record that comes again does not authenticate: its number has passed. */
static void finds_a_repeated_record(void **state)
{
	unsigned char record[128];
	char buf[8];
	ssize_t n;

	(void)state;
	connect_as(&alpha);
	assert_int_equal(stream_write(&client, "ping", 4), 4);
	n = recv(server.fd, record, sizeof record, MSG_PEEK);
	assert_int_equal(stream_read(&server, buf, sizeof buf), 4);
	assert_int_equal(send(client.fd, record, (size_t)n, 0), n);
	assert_int_equal(stream_read(&server, buf, sizeof buf), -EBADMSG);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(lets_identities_in),
		cmocka_unit_test(wants_the_right_key),
		cmocka_unit_test(wants_tls_1_3_with_a_key),
		TEST(wants_tls),
		TEST(tells_the_end_of_the_other_side),
		TEST(says_that_a_server_has_no_tls),
		TEST(keeps_its_deadline),
		TEST(moves_more_than_the_socket_holds),
		TEST(moves_all_or_tells_why_not),
		TEST(finds_a_changed_record),
		TEST(finds_a_repeated_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
