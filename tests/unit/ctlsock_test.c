/* The control socket: a server in a thread, as both programs have it, and
 * clients that misbehave. */
#include "ctlsock.h"
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net.h"

#define MANY	  100
#define BIG_LINES 40000
#define FINE	  "{\"state\":\"fine\"}\n"

static char dir[] = "/tmp/rswap-ctlsock-test.XXXXXX";
static char path[sizeof dir + 8];
static char buffer[64 * 1024];
static struct ctlsock_server machine;
static pthread_t thread;
static atomic_uint answers;

static bool answer(const char *command, FILE *out, void *arg)
{
	(void)arg;
	atomic_fetch_add(&answers, 1);
	if (strcmp(command, "big") == 0) {
		for (int i = 0; i < BIG_LINES; i++)
			fprintf(out, "line.%d %d\n", i, i);
	} else if (strcmp(command, "status") == 0) {
		fputs(FINE, out);
	} else {
		return false;
	}
	return true;
}

static void *serve(void *arg)
{
	(void)arg;
	ctlsock_serve(&machine);
	return NULL;
}

static void listen_here(void)
{
	struct error why;

	machine = (struct ctlsock_server){ .answer = answer };
	machine.listen_fd = net_listen_unix(path, &why);
	machine.stop_fd = eventfd(0, EFD_CLOEXEC);
	assert_true(machine.listen_fd >= 0 && machine.stop_fd >= 0);
}

static void stop_listening(void)
{
	close(machine.listen_fd);
	close(machine.stop_fd);
	unlink(path);
}

static int start(void **state)
{
	(void)state;
	listen_here();
	thread = thread_start(serve, NULL);
	return 0;
}

static int start_with_buffer(void **state)
{
	(void)state;
	listen_here();
	machine.buffer = buffer;
	machine.buffer_bytes = sizeof buffer;
	thread = thread_start(serve, NULL);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	eventfd_write(machine.stop_fd, 1);
	thread_end(thread);
	stop_listening();
	return 0;
}

static const char *ask(const char *command)
{
	static char text[4 << 20];
	struct error why;

	if (ctlsock_ask(path, command, text, sizeof text, after_ms(LONG_MS),
			&why))
		fail_msg("%s: %s", command, why.text);
	return text;
}

static int connect_silently(void)
{
	struct error why;
	int fd = net_connect_unix(path, &why);

	assert_true(fd >= 0);
	return fd;
}

/* The server has not ended the connection yet. */
static bool is_open(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static void answers_one_line(void **state)
{
	(void)state;
	assert_string_equal(ask("status"), FINE);
	assert_string_equal(ask("dance"), "{\"error\":\"unknown command\"}\n");
}

static void a_silent_client_holds_up_nobody(void **state)
{
	int silent = connect_silently();

	(void)state;
	assert_string_equal(ask("status"), FINE);
	assert_true(is_open(silent));
	close(silent);
}

/* More of them than the server has places for. */
static void many_silent_clients_hold_up_nobody(void **state)
{
	int silent[MANY];

	(void)state;
	for (int i = 0; i < MANY; i++)
		silent[i] = connect_silently();
	assert_string_equal(ask("status"), FINE);
	/* the last one still has its place */
	assert_true(is_open(silent[MANY - 1]));
	for (int i = 0; i < MANY; i++)
		close(silent[i]);
}

static void a_client_that_does_not_read_holds_up_nobody(void **state)
{
	unsigned before = atomic_load(&answers);
	int deaf = connect_silently();

	(void)state;
	assert_int_equal(net_send_all(deaf, "big\n", 4, after_ms(LONG_MS)), 0);
	/* the answer has begun to come, and does not fit the socket */
	assert_int_equal(net_wait(deaf, 1 /* POLLIN */, after_ms(LONG_MS)), 0);
	assert_string_equal(ask("status"), FINE);
	assert_int_equal(atomic_load(&answers), before + 2);
	close(deaf);
}

static void a_command_may_come_in_pieces(void **state)
{
	int fd = connect_silently();
	char text[sizeof FINE] = "";

	(void)state;
	assert_int_equal(net_send_all(fd, "sta", 3, after_ms(LONG_MS)), 0);
	assert_string_equal(ask("status"), FINE);
	assert_int_equal(net_send_all(fd, "tus\n", 4, after_ms(LONG_MS)), 0);
	assert_int_equal(
		net_recv_all(fd, text, sizeof FINE - 1, after_ms(LONG_MS)), 0);
	assert_string_equal(text, FINE);
	close(fd);
}

static void what_is_no_command_ends_the_connection(void **state)
{
	static const char *const bad[] = {
		"0123456789012345678901234567890123456789012345678901234567890"
		"123456789\n",
		"sta\0tus\n",
	};
	static const size_t bytes[] = { 71, 8 };

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		int fd = connect_silently();
		char byte;

		assert_int_equal(
			net_send_all(fd, bad[i], bytes[i], after_ms(LONG_MS)),
			0);
		assert_int_equal(net_recv_all(fd, &byte, 1, after_ms(LONG_MS)),
				 -ECONNRESET);
		close(fd);
	}
}

static void a_long_answer_comes_whole(void **state)
{
	char last[32];
	const char *text = ask("big");

	(void)state;
	snprintf(last, sizeof last, "line.%d %d\n", BIG_LINES - 1,
		 BIG_LINES - 1);
	assert_true(strlen(text) > 256 * 1024);
	assert_string_equal(text + strlen(text) - strlen(last), last);
}

static void a_buffer_that_is_too_small_is_told(void **state)
{
	const char *text = ask("big");

	(void)state;
	assert_string_equal(text, "{\"error\":\"the answer is too long\"}\n");
	assert_string_equal(ask("status"), FINE);
}

/* --- without file descriptors --- */

static unsigned accepts;
int __real_accept4(int fd, struct sockaddr *addr, socklen_t *length, int flags);
int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *length, int flags);

int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *length, int flags)
{
	accepts++;
	return __real_accept4(fd, addr, length, flags);
}

static void take_all_files(void)
{
	struct rlimit limit = { 256, 256 };

	setrlimit(RLIMIT_NOFILE, &limit);
	while (dup(machine.stop_fd) >= 0)
		;
}

static bool answer_without_files(const char *command, FILE *out, void *arg)
{
	static bool taken;

	if (!taken)
		take_all_files();
	taken = true;
	if (strcmp(command, "accepts") == 0)
		fprintf(out, "%u\n", accepts);
	return answer(command, out, arg) || true;
}

/* A process of its own serves, with ANSWER. */
static pid_t serve_in_process(ctlsock_answer *how)
{
	pid_t pid;

	listen_here();
	machine.answer = how;
	pid = fork();
	if (pid == 0) {
		ctlsock_serve(&machine);
		_exit(0);
	}
	assert_true(pid > 0);
	return pid;
}

static void end_process(pid_t pid)
{
	int status;

	eventfd_write(machine.stop_fd, 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	stop_listening();
}

/* The process has not one descriptor after the first answer. */
static void a_process_without_files_answers(void **state)
{
	int silent[3];
	pid_t pid = serve_in_process(answer_without_files);

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_string_equal(ask("status"), FINE);
	/* one of these has the reserve */
	for (size_t i = 0; i < COUNT(silent); i++)
		silent[i] = connect_silently();
	/* A few for each client, and not as many as a processor makes. */
	assert_in_range(strtoul(ask("accepts"), NULL, 10), 1, 100);
	for (size_t i = 0; i < COUNT(silent); i++)
		close(silent[i]);
	end_process(pid);
}

static bool answer_with_few_files(const char *command, FILE *out, void *arg)
{
	struct rlimit limit = { 16, 16 };

	setrlimit(RLIMIT_NOFILE, &limit);
	return answer(command, out, arg);
}

/* poll refuses more entries than the process may have descriptors, also entries
 * without a descriptor. */
static void a_process_with_few_files_answers(void **state)
{
	pid_t pid = serve_in_process(answer_with_few_files);

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_string_equal(ask("status"), FINE);
	end_process(pid);
}

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof path, "%s/ctl", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

int main(void)
{
#define TEST(f)	  cmocka_unit_test_setup_teardown(f, start, stop)
#define PLUGIN(f) cmocka_unit_test_setup_teardown(f, start_with_buffer, stop)
	const struct CMUnitTest tests[] = {
		/* first: these fork, and no thread has been there yet */
		cmocka_unit_test(a_process_without_files_answers),
		cmocka_unit_test(a_process_with_few_files_answers),
		TEST(answers_one_line),
		TEST(a_silent_client_holds_up_nobody),
		TEST(many_silent_clients_hold_up_nobody),
		TEST(a_client_that_does_not_read_holds_up_nobody),
		TEST(a_command_may_come_in_pieces),
		TEST(what_is_no_command_ends_the_connection),
		TEST(a_long_answer_comes_whole),
		/* as the plugin has it */
		PLUGIN(a_silent_client_holds_up_nobody),
		PLUGIN(many_silent_clients_hold_up_nobody),
		PLUGIN(a_command_may_come_in_pieces),
		PLUGIN(a_buffer_that_is_too_small_is_told),
	};

	return cmocka_run_group_tests_name("ctlsock", tests, make_dir,
					   remove_dir);
}
