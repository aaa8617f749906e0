/* The token that a client of etcd gets for its password: it is sent whole, or
 * the calls say why not. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "etcd/etcd.h"
#include "support.h"

#define LONGEST 4095
#define HEADER	"{\"header\":{\"revision\":\"1\"},"

/* --- an etcd --- */

static int listener;
static atomic_size_t token_bytes; /* of the next token */
static atomic_size_t
	got_bytes; /* of the token that came with the last request */

/* A whole request, of which the head ends with an empty line. */
static void read_request(int fd, char *request, size_t room)
{
	size_t n = 0, length;
	const char *end, *header;

	do {
		ssize_t more = read(fd, request + n, room - 1 - n);

		if (more <= 0)
			return;
		n += (size_t)more;
		request[n] = '\0';
		end = strstr(request, "\r\n\r\n");
		header = strstr(request, "Content-Length: ");
		length = header ? strtoul(header + 16, NULL, 10) : 0;
	} while (!end || request + n < end + 4 + length);
}

static void respond(FILE *out, const char *request)
{
	const char *token = strstr(request, "Authorization: ");
	char body[LONGEST + 200] = HEADER "\"TTL\":\"10\"}";

	got_bytes = token ? strcspn(token + 15, "\r") : 0;
	if (strstr(request, "/v3/auth/authenticate"))
		snprintf(body, sizeof body, HEADER "\"token\":\"%0*d\"}",
			 (int)token_bytes, 0);
	fprintf(out,
		"HTTP/1.1 200 OK\r\nConnection: close\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		strlen(body), body);
}

/* Until the listener is shut down. */
static void *serve(void *arg)
{
	static char request[3 * LONGEST];
	int fd;

	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		FILE *out = fdopen(fd, "w");

		memset(request, 0, sizeof request);
		read_request(fd, request, sizeof request);
		respond(out, request);
		fclose(out);
	}
	return arg;
}

/* --- the client --- */

static char login[] = "/tmp/etcd-token-test.XXXXXX";
static struct etcd_config config = { .n_endpoints = 1, .login = login };
static pthread_t server;

static int open_server(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t bytes = sizeof at;
	int fd = mkstemp(login);

	(void)state;
	if (fd < 0 || write(fd, "me:secret\n", 10) != 10 || close(fd))
		return -1;
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&at, bytes) ||
	    listen(listener, 8) ||
	    getsockname(listener, (struct sockaddr *)&at, &bytes))
		return -1;
	strcpy(config.endpoints[0].host, "127.0.0.1");
	config.endpoints[0].port = ntohs(at.sin_port);
	return pthread_create(&server, NULL, serve, NULL);
}

static int close_server(void **state)
{
	(void)state;
	shutdown(listener, SHUT_RDWR);
	pthread_join(server, NULL);
	close(listener);
	return unlink(login);
}

static int call_with_token(size_t bytes, struct error *why)
{
	struct etcd *etcd;
	int rc;

	token_bytes = bytes;
	assert_int_equal(etcd_open(&etcd, &config, why), 0);
	rc = etcd_keep_alive(etcd, 1, after_ms(LONG_MS), why);
	etcd_close(etcd);
	return rc;
}

static void a_token_is_sent_whole(void **state)
{
	const size_t lengths[] = { 23, 1023, 1024, LONGEST };
	struct error why = { "" };

	(void)state;
	for (size_t i = 0; i < COUNT(lengths); i++) {
		assert_int_equal(call_with_token(lengths[i], &why), 0);
		assert_int_equal(got_bytes, lengths[i]);
	}
}

static void one_that_is_too_long_is_refused(void **state)
{
	struct error why = { "" };

	(void)state;
	assert_int_equal(call_with_token(LONGEST + 1, &why), -EREMOTEIO);
	assert_contains(why.text, "etcd's token has 4096 bytes");
	/* it was not sent */
	assert_int_equal(got_bytes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_token_is_sent_whole),
		cmocka_unit_test(one_that_is_too_long_is_refused),
	};

	return cmocka_run_group_tests(tests, open_server, close_server);
}
