/* The loop of rswap-nbd sleeps where there is nothing to do. */
#include "nbd_clients.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>

/* The client sends until nothing more goes, and the server has no room. */
static void send_until_full(int fd)
{
	static uint8_t out[64][NBD_REQUEST_BYTES];

	for (unsigned i = 0; i < COUNT(out); i++)
		nbd_put_request(out[i], NBD_CMD_READ, PAGE);
	while (nbd_send_some(fd, out, sizeof out) == sizeof out)
		;
	nbd_settle();
}

static void a_full_client_that_goes_is_let_go(void **state)
{
	int fd = nbd_open_client();

	(void)state;
	send_until_full(fd);
	assert_int_equal(nbd.loop.n_requests, SLOTS);
	nbd_close_client(fd);
	assert_int_equal(nbd.n_clients, 1);
	nbd_answer_all();
	assert_int_equal(nbd.n_clients, 0);
}

/* --- a kernel without memory for a reply --- */

static int send_error; /* of the server's sends; 0: none */

static int setup(void **state)
{
	send_error = 0;
	return nbd_setup(state);
}

ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	if (!send_error)
		return __real_sendmsg(fd, msg, flags);
	errno = send_error;
	return -1;
}

/* It has a turn within a millisecond, and sleeps until then. */
static void assert_sends_later(void)
{
	nbd_settle();
	assert_true(nbd.loop.wake_ns <= clock_now_ns() + NS_PER_MS);
}

static void a_reply_waits_for_memory(void **state)
{
	static const int errors[] = { ENOBUFS, ENOMEM };
	int fd = nbd_open_client();

	(void)state;
	for (unsigned i = 0; i < COUNT(errors); i++) {
		nbd_request(fd, NBD_CMD_READ, PAGE, 1);
		send_error = errors[i];
		nbd_answer_all();
		assert_sends_later();
		assert_false(nbd_is_closed(fd));
		send_error = 0;
		nbd_pass(1);
		assert_int_equal(nbd_drain(fd), NBD_SIMPLE_BYTES + PAGE);
		assert_true(nbd.loop.wake_ns == UINT64_MAX);
	}
	nbd_close_client(fd);
}

static void an_answer_to_an_option_waits_for_memory(void **state)
{
	uint8_t option[NBD_OPTION_BYTES];
	int fd = nbd_dial();

	(void)state;
	nbd_drain(fd);
	nbd_put_option(option, NBD_OPT_STRUCTURED_REPLY);
	send_error = ENOBUFS;
	nbd_send_all(fd, option, sizeof option);
	assert_sends_later();
	send_error = 0;
	nbd_pass(1);
	assert_int_equal(nbd_drain(fd), NBD_OPTION_REPLY_BYTES);
	nbd_close_client(fd);
}

/* Others wait for its slots, but it is not the client that does not go on. */
static void a_client_whose_replies_wait_for_memory_is_not_closed(void **state)
{
	int fd = nbd_open_client(), other = nbd_open_client();

	(void)state;
	nbd_request(fd, NBD_CMD_READ, NBD_REQUEST_MAX, 2);
	send_error = ENOBUFS;
	nbd_answer_all();
	nbd_request(other, NBD_CMD_READ, NBD_REQUEST_MAX, 1);
	assert_true(slots_others_wait(&nbd.slots, NULL));
	nbd_pass(60);
	assert_string_equal(nbd.last_line, "");
	send_error = 0;
	nbd_pass(1);
	assert_int_equal(nbd_drain(fd),
			 2 * (NBD_SIMPLE_BYTES + NBD_REQUEST_MAX));
	nbd_answer_all();
	nbd_drain(other);
	nbd_close_client(other);
	nbd_close_client(fd);
}

static void a_client_that_goes_meanwhile_is_let_go(void **state)
{
	int fd = nbd_open_client();

	(void)state;
	nbd_request(fd, NBD_CMD_READ, PAGE, 1);
	send_error = ENOBUFS;
	nbd_answer_all();
	nbd_close_client(fd);
	assert_int_equal(nbd.n_clients, 0);
	send_error = 0;
}

static void options_without_end_are_not_read(void **state)
{
	static uint8_t options[64][NBD_OPTION_BYTES];
	int fd = nbd_dial();

	(void)state;
	for (unsigned i = 0; i < COUNT(options); i++)
		nbd_put_option(options[i], NBD_OPT_LIST);
	while (nbd_send_some(fd, options, sizeof options) == sizeof options)
		;
	nbd_settle();
	nbd_close_client(fd);
}

static void options_in_one_piece_are_all_answered(void **state)
{
	static uint8_t options[100][NBD_OPTION_BYTES];
	int fd = nbd_dial();

	(void)state;
	nbd_drain(fd);
	for (unsigned i = 0; i < COUNT(options); i++)
		nbd_put_option(options[i], NBD_OPT_STRUCTURED_REPLY);
	nbd_send_all(fd, options, sizeof options);
	assert_int_equal(nbd_drain(fd),
			 COUNT(options) * NBD_OPTION_REPLY_BYTES);
	nbd_close_client(fd);
}

static void a_client_that_cannot_be_accepted_waits(void **state)
{
	struct listener listener;
	int fd = nbd_listen(&listener);
	uint32_t n_sources = nbd.loop.n_sources;
	struct rlimit few, usual;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &usual);
	few = (struct rlimit){ (rlim_t)fd + 1, usual.rlim_max };
	setrlimit(RLIMIT_NOFILE, &few);
	nbd_settle();
	assert_contains(nbd.last_line, "cannot accept a client");
	nbd.last_line[0] = '\0';
	nbd_pass(3);
	assert_string_equal(nbd.last_line, "");
	assert_int_equal(nbd.loop.n_sources, n_sources);
	setrlimit(RLIMIT_NOFILE, &usual);
	nbd_pass(1);
	assert_int_equal(nbd.loop.n_sources, n_sources + 1);
	nbd_close_client(fd);
	nbd_unlisten(&listener);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, nbd_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_full_client_that_goes_is_let_go),
		TEST(a_reply_waits_for_memory),
		TEST(an_answer_to_an_option_waits_for_memory),
		TEST(a_client_whose_replies_wait_for_memory_is_not_closed),
		TEST(a_client_that_goes_meanwhile_is_let_go),
		TEST(options_without_end_are_not_read),
		TEST(options_in_one_piece_are_all_answered),
		TEST(a_client_that_cannot_be_accepted_waits),
	};

	return cmocka_run_group_tests_name("nbd_quiet", tests, NULL, NULL);
}
