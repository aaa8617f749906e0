/* The HTTP server: addresses, pages that do not fit, and clients that leave a
 * large answer lie. */
#include "httpd.h"
#include "support.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net.h"

#define PAGE_BYTES (16u << 20)
#define HELD	   (HTTPD_ANSWERS + 2)

static struct httpd_socket here;
static struct httpd *server;
static size_t written_bytes; /* of /big */

static bool write_big(FILE *out, void *arg)
{
	char line[1024];

	(void)arg;
	memset(line, 'x', sizeof line);
	for (size_t n = 0; n < written_bytes; n += sizeof line)
		fwrite(line, 1, sizeof line, out);
	return true;
}

static bool write_nothing(FILE *out, void *arg)
{
	(void)arg;
	fputs("half a page", out);
	return false;
}

static const struct httpd_page pages[] = {
	{ .path = "/", .type = "text/plain", .text = "here" },
	{ .path = "/big", .type = "text/plain", .write = write_big },
	{ .path = "/nothing", .type = "text/plain", .write = write_nothing },
};

static void start(size_t page_bytes)
{
	const struct httpd_config config = { .pages = pages,
					     .n_pages = COUNT(pages),
					     .page_bytes = page_bytes };
	struct net_name name;
	struct error why = { "" };

	assert_true(httpd_name_parse("0", &name));
	assert_int_equal(httpd_listen(&name, &here, &why), 0);
	server = httpd_start(&here, &config, &why);
	if (!server)
		fail_msg("%s", why.text);
}

static void stop(void)
{
	httpd_stop(server);
	httpd_close(&here);
}

static int ask(const char *path)
{
	struct error why = { "" };
	int fd = net_connect(&here.addr, after_ms(LONG_MS), &why);
	char request[128];
	int n = snprintf(request, sizeof request,
			 "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);

	if (fd < 0)
		fail_msg("%s", why.text);
	/* It may have been cut off meanwhile. */
	net_send_all(fd, request, (size_t)n, after_ms(LONG_MS));
	return fd;
}

/* How many bytes come until the end; the first ones in HEAD. */
static size_t drain(int fd, char *head, size_t size)
{
	static char part[1 << 16];
	size_t bytes = 0;
	ssize_t n;

	memset(head, 0, size);
	while ((n = recv(fd, part, sizeof part, 0)) > 0) {
		if (bytes < size - 1)
			memcpy(head + bytes, part,
			       (size_t)n < size - 1 - bytes ? (size_t)n
							    : size - 1 - bytes);
		bytes += (size_t)n;
	}
	close(fd);
	return bytes;
}

static void assert_answer(const char *path, const char *status, size_t at_least)
{
	char head[64];
	size_t bytes = drain(ask(path), head, sizeof head);

	if (strncmp(head, status, strlen(status)) != 0)
		fail_msg("%s: %s", path, head);
	assert_true(bytes >= at_least);
}

static void names_have_a_port(void **state)
{
	static const char *const wrong[] = {
		"",	    "x",     "1.2.3.4", ":1",
		"1.2.3.4:", "[::1]", "[::1]",	"[::1]x",
		"::1",	    "-1",    "65536",	"1.2.3.4:65536",
		"1 ",	    "0x10",  "[::1:1",	"a:b:1"
	};
	struct net_name name;

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		if (httpd_name_parse(wrong[i], &name))
			fail_msg("%s", wrong[i]);
	}
	assert_true(httpd_name_parse("10919", &name));
	assert_string_equal(name.host, "127.0.0.1");
	assert_int_equal(name.port, 10919);
	assert_true(httpd_name_parse("[::]:1", &name));
	assert_string_equal(name.host, "::");
	assert_int_equal(name.port, 1);
	assert_true(httpd_name_parse("store.example:65535", &name));
	assert_string_equal(name.host, "store.example");
	assert_int_equal(name.port, 65535);
}

static void pages_are_whole_or_an_error(void **state)
{
	(void)state;
	start(PAGE_BYTES);
	assert_answer("/", "HTTP/1.1 200", 4);
	assert_answer("/none", "HTTP/1.1 404", 1);
	assert_answer("/nothing", "HTTP/1.1 503", 1);
	written_bytes = PAGE_BYTES - 1024;
	assert_answer("/big", "HTTP/1.1 200", written_bytes);
	written_bytes = PAGE_BYTES;
	assert_answer("/big", "HTTP/1.1 503", 1);
	stop();
	start(0);
	assert_answer("/nothing", "HTTP/1.1 503", 1);
	assert_answer("/big", "HTTP/1.1 200", written_bytes);
	stop();
}

/* They hold all buffers, until somebody needs one. */
static void answers_that_lie_are_cut_off(void **state)
{
	int held[HELD];

	(void)state;
	start(PAGE_BYTES);
	written_bytes = PAGE_BYTES / 2;
	for (size_t i = 0; i < HELD; i++) {
		char byte;

		held[i] = ask("/big");
		assert_int_equal(net_wait(held[i], POLLIN, after_ms(LONG_MS)),
				 0);
		assert_int_equal(recv(held[i], &byte, 1, MSG_PEEK), 1);
	}
	assert_answer("/big", "HTTP/1.1 200", written_bytes);
	for (size_t i = 0; i < HELD; i++)
		close(held[i]);
	stop();
}

static void the_end_waits_for_nobody(void **state)
{
	int silent, lying;
	char head[64];

	(void)state;
	start(PAGE_BYTES);
	written_bytes = PAGE_BYTES / 2;
	silent = ask("");
	lying = ask("/big");
	assert_int_equal(net_wait(lying, POLLIN, after_ms(LONG_MS)), 0);
	stop();
	assert_true(drain(lying, head, sizeof head) < written_bytes);
	drain(silent, head, sizeof head);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_have_a_port),
		cmocka_unit_test(pages_are_whole_or_an_error),
		cmocka_unit_test(answers_that_lie_are_cut_off),
		cmocka_unit_test(the_end_waits_for_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
