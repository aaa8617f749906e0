#include "net.h"
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PORT 10909

static void names_are_taken_apart(void **state)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
	} good[] = {
		{ "memory1", "memory1", PORT },
		{ "memory1.example.com:1", "memory1.example.com", 1 },
		{ "10.0.0.1", "10.0.0.1", PORT },
		{ "10.0.0.1:65535", "10.0.0.1", 65535 },
		{ "10.0.0.1:0", "10.0.0.1", 0 },
		{ "fe80::1%eth0", "fe80::1%eth0", PORT },
		{ "::1", "::1", PORT },
		{ "[::1]", "::1", PORT },
		{ "[::1]:7000", "::1", 7000 },
		{ "[10.0.0.1]:7000", "10.0.0.1", 7000 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		struct net_name name;
		struct error why;

		assert_true(net_name_parse(good[i].text, PORT, &name, &why));
		assert_string_equal(name.host, good[i].host);
		assert_int_equal(name.port, good[i].port);
	}
}

static void wrong_names_are_refused_with_a_reason(void **state)
{
	static const struct {
		const char *text, *told;
	} bad[] = {
		{ "", "HOST[:PORT]" },
		{ ":1", "HOST[:PORT]" },
		{ "[]:1", "HOST[:PORT]" },
		{ "[::1", "[ADDRESS]:PORT" },
		{ "[::1]7", "[ADDRESS]:PORT" },
		{ "host:", "port \"\"" },
		{ "[::1]:", "port \"\"" },
		{ "host:65536", "port \"65536\"" },
		{ "host:-1", "port \"-1\"" },
		{ "host:ssh", "port \"ssh\"" },
		{ "host:1 ", "port \"1 \"" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct net_name name;
		struct error why = { "" };

		if (net_name_parse(bad[i].text, PORT, &name, &why))
			fail_msg("\"%s\" passed as a name", bad[i].text);
		assert_contains(why.text, bad[i].told);
	}
}

static void a_host_of_more_than_253_bytes_is_refused(void **state)
{
	struct net_name name;
	struct error why;
	char text[255];

	(void)state;
	memset(text, 'a', sizeof text);
	text[254] = '\0';
	assert_false(net_name_parse(text, PORT, &name, &why));
	text[253] = '\0';
	assert_true(net_name_parse(text, PORT, &name, &why));
	assert_string_equal(name.host, text);
	assert_non_null(net_name_format(&name).text);
}

static void a_name_is_shown_as_it_can_be_written(void **state)
{
	static const char *const shown[] = { "memory1:10909", "10.0.0.1:1",
					     "[::1]:7000" };

	(void)state;
	for (size_t i = 0; i < COUNT(shown); i++) {
		struct net_name name;
		struct error why;

		assert_true(net_name_parse(shown[i], PORT, &name, &why));
		assert_string_equal(net_name_format(&name).text, shown[i]);
	}
}

static void an_address_keeps_its_port(void **state)
{
	static const char *const shown[] = { "127.0.0.1:7000", "[::1]:7000" };

	(void)state;
	for (size_t i = 0; i < COUNT(shown); i++) {
		struct net_name name;
		struct net_addrs addrs;
		struct net_addr addr;
		struct error why;

		assert_true(net_name_parse(shown[i], PORT, &name, &why));
		assert_int_equal(net_resolve(&name, &addrs, &why), 0);
		assert_int_equal(addrs.n, 1);
		addr = addrs.addr[0];
		assert_string_equal(net_addr_format(&addr).text, shown[i]);
		assert_int_equal(net_addr_port(&addr), 7000);
		net_addr_set_port(&addr, 9);
		assert_int_equal(net_addr_port(&addr), 9);
	}
}

/* --- Unix sockets --- */

static char dir[] = "/tmp/rswap-net-test.XXXXXX";
static char path[sizeof dir + 8];

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof path, "%s/x.sock", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static void tells_loopback_addresses(void **state)
{
	static const struct {
		const char *host;
		bool loopback;
	} cases[] = {
		{ "127.0.0.1", true },
		{ "127.9.9.9", true },
		{ "128.0.0.1", false },
		{ "0.0.0.0", false },
		{ "10.0.0.127", false },
		{ "::1", true },
		{ "::", false },
		{ "::2", false },
		{ "::ffff:127.0.0.1", true },
		{ "::ffff:10.0.0.1", false },
		{ "fe80::1", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct net_name name = { .port = 1 };
		struct net_addrs addrs;
		struct error why;

		strcpy(name.host, cases[i].host);
		assert_int_equal(net_resolve(&name, &addrs, &why), 0);
		assert_int_equal(net_addr_is_loopback(&addrs.addr[0]),
				 cases[i].loopback);
	}
}

static void a_unix_socket_is_private_and_takes_connections(void **state)
{
	struct error why;
	struct stat st;
	int listener = net_listen_unix(path, &why), fd;

	(void)state;
	assert_true(listener >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	fd = net_connect_unix(path, &why);
	assert_true(fd >= 0);
	assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
	close(fd);
	close(listener);
	unlink(path);
}

static void a_stale_unix_socket_is_replaced(void **state)
{
	struct error why;
	int fd = net_listen_unix(path, &why);

	(void)state;
	close(fd);
	assert_int_equal(net_connect_unix(path, &why), -ECONNREFUSED);
	fd = net_listen_unix(path, &why);
	assert_true(fd >= 0);
	close(fd);
	unlink(path);
}

static void a_unix_socket_in_use_is_left_alone(void **state)
{
	struct error why;
	int first = net_listen_unix(path, &why), fd;

	(void)state;
	assert_int_equal(net_listen_unix(path, &why), -EADDRINUSE);
	assert_contains(why.text, path);
	assert_contains(why.text, "in use");
	fd = net_connect_unix(path, &why);
	assert_true(fd >= 0);
	close(fd);
	close(first);
	unlink(path);
}

static void a_file_is_not_taken_for_a_stale_socket(void **state)
{
	struct error why;
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	(void)state;
	close(fd);
	assert_int_equal(net_listen_unix(path, &why), -EEXIST);
	assert_contains(why.text, "not a socket");
	assert_int_equal(unlink(path), 0);
}

static void a_path_that_is_too_long_is_named(void **state)
{
	char too_long[120];
	struct error why;

	(void)state;
	memset(too_long, 'a', sizeof too_long - 1);
	too_long[sizeof too_long - 1] = '\0';
	assert_int_equal(net_connect_unix(too_long, &why), -ENAMETOOLONG);
	assert_int_equal(net_listen_unix(too_long, &why), -ENAMETOOLONG);
	assert_contains(why.text, "longer than 107 bytes");
}

/* --- bytes --- */

static void receiving_ends_at_the_deadline(void **state)
{
	uint64_t begin_ns = clock_now_ns();
	char buf[2];
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(write(fd[1], "x", 1), 1);
	assert_int_equal(net_recv_all(fd[0], buf, 2, after_ms(50)), -ETIMEDOUT);
	assert_true(clock_now_ns() - begin_ns >= 50 * NS_PER_MS);
	assert_true(clock_now_ns() - begin_ns < LONG_MS * NS_PER_MS);
	close(fd[0]);
	close(fd[1]);
}

static void sending_ends_at_the_deadline(void **state)
{
	static const char much[1 << 22];
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(net_send_all(fd[0], much, sizeof much, after_ms(50)),
			 -ETIMEDOUT);
	close(fd[0]);
	close(fd[1]);
}

static void a_peer_that_closes_ends_both_ways(void **state)
{
	char buf[2];
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	assert_int_equal(write(fd[1], "x", 1), 1);
	close(fd[1]);
	assert_int_equal(net_recv_all(fd[0], buf, 2, after_ms(LONG_MS)),
			 -ECONNRESET);
	assert_int_equal(net_send_all(fd[0], buf, 2, after_ms(LONG_MS)),
			 -EPIPE);
	close(fd[0]);
}

struct drip {
	int fd;
	const char *bytes;
	size_t n;
};

static void *send_in_pieces(void *arg)
{
	struct drip *drip = arg;

	for (size_t i = 0; i < drip->n; i += 100) {
		net_send_all(drip->fd, drip->bytes + i, 100, after_ms(LONG_MS));
		sleep_ms(1);
	}
	return NULL;
}

static void pieces_come_together(void **state)
{
	static char sent[2000], got[sizeof sent];
	struct drip drip = { .bytes = sent, .n = sizeof sent };
	uint64_t seed = 1;
	pthread_t thread;
	int fd[2];

	(void)state;
	random_fill(&seed, sent, sizeof sent);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	drip.fd = fd[1];
	thread = thread_start(send_in_pieces, &drip);
	assert_int_equal(
		net_recv_all(fd[0], got, sizeof got, after_ms(LONG_MS)), 0);
	thread_end(thread);
	assert_memory_equal(got, sent, sizeof sent);
	close(fd[0]);
	close(fd[1]);
}

static void a_port_without_listener_is_named(void **state)
{
	struct net_name name = { "127.0.0.1", 0 };
	struct net_addrs addrs;
	struct net_addr bound;
	struct error why;
	int fd;

	(void)state;
	assert_int_equal(net_resolve(&name, &addrs, &why), 0);
	fd = net_listen(&addrs.addr[0], &why);
	assert_true(fd >= 0);
	assert_true(net_local_addr(fd, &bound));
	close(fd);
	assert_int_equal(net_connect(&bound, after_ms(LONG_MS), &why),
			 -ECONNREFUSED);
	assert_contains(why.text, net_addr_format(&bound).text);
}

/* --- the addresses of a name, in turn --- */

/* Two of this machine's, with one port: who listens at which is said by FDS,
 * -1: nobody. */
static struct net_addrs two_addresses(int fds[2], bool first, bool second)
{
	static const char *const hosts[] = { "127.0.0.1", "127.0.0.2" };
	const bool wanted[] = { first, second };
	struct net_addrs two = { .n = 2 };
	struct error why;
	uint16_t port = 0;

	for (int i = 0; i < 2; i++) {
		struct net_name name = { .port = port };
		struct net_addrs one;

		strcpy(name.host, hosts[i]);
		assert_int_equal(net_resolve(&name, &one, &why), 0);
		fds[i] = net_listen(&one.addr[0], &why);
		assert_true(fds[i] >= 0);
		assert_true(net_local_addr(fds[i], &two.addr[i]));
		port = net_addr_port(&two.addr[i]);
		if (!wanted[i]) {
			close(fds[i]);
			fds[i] = -1;
		}
	}
	return two;
}

static void the_address_that_answers_is_used(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		int fds[2], fd;
		struct net_addrs two = two_addresses(fds, i == 0, i == 1);
		struct net_addr used;
		struct error why;

		fd = net_connect_any(&two, after_ms(LONG_MS), &used, &why);
		assert_true(fd >= 0);
		assert_true(net_addr_equal(&used, &two.addr[i]));
		close(fd);
		close(fds[i]);
	}
}

static void all_that_failed_are_named(void **state)
{
	int fds[2];
	struct net_addrs two = two_addresses(fds, false, false);
	struct error why;

	(void)state;
	assert_int_equal(net_connect_any(&two, after_ms(LONG_MS), NULL, &why),
			 -ECONNREFUSED);
	for (int i = 0; i < 2; i++)
		assert_contains(why.text, net_addr_format(&two.addr[i]).text);
}

/* As an address of no machine does: a listener whose queue is full. */
static void a_silent_address_leaves_time_for_the_next(void **state)
{
	int fds[2], fd, filler[64];
	struct net_addrs two = two_addresses(fds, true, true);
	struct net_addr used;
	struct error why;
	int n = 0;

	(void)state;
	assert_int_equal(listen(fds[0], 0), 0);
	while (n < 64) {
		filler[n] = net_connect(&two.addr[0], after_ms(100), &why);
		if (filler[n] < 0)
			break;
		n++;
	}
	assert_true(n < 64);
	fd = net_connect_any(&two, after_ms(2000), &used, &why);
	assert_true(fd >= 0);
	assert_true(net_addr_equal(&used, &two.addr[1]));
	close(fd);
	while (n > 0)
		close(filler[--n]);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_taken_apart),
		cmocka_unit_test(wrong_names_are_refused_with_a_reason),
		cmocka_unit_test(a_host_of_more_than_253_bytes_is_refused),
		cmocka_unit_test(a_name_is_shown_as_it_can_be_written),
		cmocka_unit_test(an_address_keeps_its_port),
		cmocka_unit_test(tells_loopback_addresses),
		cmocka_unit_test(
			a_unix_socket_is_private_and_takes_connections),
		cmocka_unit_test(a_stale_unix_socket_is_replaced),
		cmocka_unit_test(a_unix_socket_in_use_is_left_alone),
		cmocka_unit_test(a_file_is_not_taken_for_a_stale_socket),
		cmocka_unit_test(a_path_that_is_too_long_is_named),
		cmocka_unit_test(receiving_ends_at_the_deadline),
		cmocka_unit_test(sending_ends_at_the_deadline),
		cmocka_unit_test(a_peer_that_closes_ends_both_ways),
		cmocka_unit_test(pieces_come_together),
		cmocka_unit_test(a_port_without_listener_is_named),
		cmocka_unit_test(the_address_that_answers_is_used),
		cmocka_unit_test(all_that_failed_are_named),
		cmocka_unit_test(a_silent_address_leaves_time_for_the_next),
	};

	return cmocka_run_group_tests_name("net", tests, make_dir, remove_dir);
}
