/* A client of etcd whose name service is silent: no look-up holds a call, the
 * other servers, or the end for long. */
#include <errno.h>
#include <netdb.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "etcd/etcd.h"
#include "support.h"

/* Nobody listens there. */
#define PORT 1

/* More than a look-up has, for a machine that is busy. */
#define LOOK_UP_MS 3500
#define CALL_MS	   1000

static struct etcd *etcd;
static struct error why;

/* --- a name service --- */

/* It says that it is out of order after so long, as one does. */
#define SILENT_MS 12000

static atomic_bool is_silent;
static atomic_uint silent_now, asked;

int __real_getaddrinfo(const char *host, const char *port,
		       const struct addrinfo *hints, struct addrinfo **found);
int __wrap_getaddrinfo(const char *host, const char *port,
		       const struct addrinfo *hints, struct addrinfo **found);

/* Names are this machine. */
int __wrap_getaddrinfo(const char *host, const char *port,
		       const struct addrinfo *hints, struct addrinfo **found)
{
	uint64_t end_ns = after_ms(SILENT_MS);

	if (strstr(host, ".test")) {
		host = "127.0.0.1";
		atomic_fetch_add(&asked, 1);
		atomic_fetch_add(&silent_now, 1);
		while (atomic_load(&is_silent) && clock_left_ns(end_ns))
			sleep_ms(1);
		atomic_fetch_sub(&silent_now, 1);
		if (!clock_left_ns(end_ns))
			return EAI_AGAIN;
	}
	return __real_getaddrinfo(host, port, hints, found);
}

/* --- the client --- */

static void open_client(const char *first, const char *second)
{
	struct etcd_config config = { .n_endpoints = second ? 2 : 1 };

	strcpy(config.endpoints[0].host, first);
	strcpy(config.endpoints[1].host, second ? second : "");
	config.endpoints[0].port = config.endpoints[1].port = PORT;
	assert_int_equal(etcd_open(&etcd, &config, &why), 0);
}

static void assert_takes(uint64_t since_ns, unsigned most_ms)
{
	assert_in_range(clock_now_ns() - since_ns, 0, most_ms * NS_PER_MS);
}

/* A call in vain.  Whether it says that a name is not known. */
static bool call(void)
{
	uint64_t now_ns = clock_now_ns();
	int rc;

	why.text[0] = '\0';
	rc = etcd_keep_alive(etcd, 1, now_ns + CALL_MS * NS_PER_MS, &why);
	assert_true(rc == -EIO || rc == -ECANCELED);
	assert_takes(now_ns, 2 * CALL_MS);
	return strstr(why.text, "cannot look up \"");
}

static int begin(void **state)
{
	(void)state;
	atomic_store(&is_silent, false);
	atomic_store(&asked, 0);
	return 0;
}

/* No look-up is left for the next test. */
static int end(void **state)
{
	uint64_t now_ns = clock_now_ns();

	(void)state;
	etcd_close(etcd);
	assert_takes(now_ns, CALL_MS);
	atomic_store(&is_silent, false);
	while (atomic_load(&silent_now))
		sleep_ms(1);
	return 0;
}

/* --- tests --- */

static void the_beginning_does_not_wait_for_long(void **state)
{
	uint64_t now_ns = clock_now_ns();

	(void)state;
	atomic_store(&is_silent, true);
	open_client("silent.test", "other.test");
	assert_takes(now_ns, LOOK_UP_MS);
	assert_true(call());
	assert_contains(why.text, "the name service is silent");
	/* the second one has its turn after the first one */
	assert_int_equal(atomic_load(&asked), 1);
}

static void calls_go_to_the_other_servers(void **state)
{
	(void)state;
	atomic_store(&is_silent, true);
	open_client("silent.test", "127.0.0.1");
	for (int i = 0; i < 6; i++) {
		/* both were asked, in some order */
		if (!call())
			assert_contains(why.text, "127.0.0.1:1: ");
	}
	/* it is not asked again while it says nothing */
	assert_int_equal(atomic_load(&asked), 1);
}

static void await_an_address(void)
{
	uint64_t end_ns = after_ms(LONG_MS);

	while (call() && clock_left_ns(end_ns))
		sleep_ms(1);
	assert_false(call());
}

static void what_is_said_late_counts(void **state)
{
	(void)state;
	atomic_store(&is_silent, true);
	open_client("silent.test", NULL);
	assert_true(call());
	atomic_store(&is_silent, false);
	await_an_address();
	assert_int_equal(atomic_load(&asked), 1);
}

static void the_old_address_stays(void **state)
{
	(void)state;
	open_client("silent.test", NULL);
	assert_int_equal(atomic_load(&asked), 1);
	atomic_store(&is_silent, true);
	for (int i = 0; i < 8; i++)
		assert_false(call());
	/* since it failed there, once */
	assert_int_equal(atomic_load(&asked), 2);
}

static void a_canceled_call_does_not_wait(void **state)
{
	uint64_t now_ns;

	(void)state;
	open_client("silent.test", NULL);
	atomic_store(&is_silent, true);
	assert_false(call());
	assert_false(call());
	etcd_cancel(etcd);
	now_ns = clock_now_ns();
	assert_false(call());
	assert_takes(now_ns, CALL_MS / 2);
}

static void a_thread_that_stays(void **state)
{
	(void)state;
	atomic_store(&is_silent, true);
	open_client("silent.test", "other.test");
	assert_int_equal(etcd_start(etcd, &why), 0);
	assert_true(call());
	/* the one from before is still there */
	assert_in_range(atomic_load(&asked), 1, 2);
	atomic_store(&is_silent, false);
	await_an_address();
	for (int i = 0; i < 4; i++)
		assert_false(call());
}

#ifndef __SANITIZE_THREAD__ /* which does not know threads behind a fork */
/* nbdkit forks once the pool is known. */
static void a_fork_leaves_the_thread_behind(void **state)
{
	int status;
	pid_t child;

	(void)state;
	atomic_store(&is_silent, true);
	open_client("silent.test", NULL);
	child = fork();
	if (!child) {
		uint64_t end_ns = after_ms(LONG_MS);

		atomic_store(&is_silent, false);
		status = etcd_start(etcd, &why);
		while (call() && clock_left_ns(end_ns))
			sleep_ms(1);
		etcd_close(etcd);
		_exit(status || !clock_left_ns(end_ns));
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}
#endif

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(the_beginning_does_not_wait_for_long),
		TEST(calls_go_to_the_other_servers),
		TEST(what_is_said_late_counts),
		TEST(the_old_address_stays),
		TEST(a_canceled_call_does_not_wait),
		TEST(a_thread_that_stays),
#ifndef __SANITIZE_THREAD__
		TEST(a_fork_leaves_the_thread_behind),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
