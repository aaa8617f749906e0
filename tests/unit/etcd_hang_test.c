/* A client of servers of etcd that hang while their kernels live: they take
 * connections, and never answer. */
#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "etcd/view.h"
#include "etcd/watch.h"
#include "support.h"

#define SERVERS	 2
#define SHORT_MS 50

static int fds[SERVERS];
static struct etcd_config config;
static struct etcd *etcd;
static struct error why;

/* --- servers that hang --- */

/* Nobody accepts: the kernel answers alone. */
static int listen_there(unsigned i)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t bytes = sizeof at;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fds[i] < 0 || bind(fds[i], (struct sockaddr *)&at, bytes) ||
	    listen(fds[i], 64) ||
	    getsockname(fds[i], (struct sockaddr *)&at, &bytes))
		return -1;
	strcpy(config.endpoints[i].host, "127.0.0.1");
	config.endpoints[i].port = ntohs(at.sin_port);
	return 0;
}

static int open_servers(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SERVERS; i++) {
		if (listen_there(i))
			return -1;
	}
	return 0;
}

static int close_servers(void **state)
{
	(void)state;
	for (unsigned i = 0; i < SERVERS; i++)
		close(fds[i]);
	return 0;
}

static int open_client(unsigned servers)
{
	config.n_endpoints = servers;
	why.text[0] = '\0';
	return etcd_open(&etcd, &config, &why);
}

static int with_one(void **state)
{
	(void)state;
	return open_client(1);
}

static int with_two(void **state)
{
	(void)state;
	return open_client(2);
}

static int close_client(void **state)
{
	(void)state;
	etcd_close(etcd);
	return 0;
}

/* --- watches --- */

static void begin(unsigned which, uint64_t deadline_ns)
{
	assert_int_equal(etcd_watch(etcd, which, "/a/", 1, deadline_ns, &why),
			 0);
}

static int next(unsigned which)
{
	struct etcd_answer answer;

	why.text[0] = '\0';
	return etcd_watch_next(etcd, which, &answer, &why);
}

static void call_in_vain(void)
{
	assert_int_equal(etcd_keep_alive(etcd, 1, after_ms(SHORT_MS), &why),
			 -ETIMEDOUT);
}

static void a_call_without_an_answer_ends_the_watches(void **state)
{
	(void)state;
	begin(0, after_ms(LONG_MS));
	begin(1, after_ms(LONG_MS));
	assert_int_equal(next(0), 0);
	assert_true(etcd_watch_due_ns(etcd, 0) > 0);
	call_in_vain();
	for (unsigned which = 0; which < 2; which++) {
		assert_int_equal(etcd_watch_due_ns(etcd, which), 0);
		assert_int_equal(next(which), -EIO);
		assert_contains(why.text, "does not answer");
	}
	/* one begins anew, the other one is not there any more */
	begin(0, after_ms(LONG_MS));
	assert_int_equal(next(0), 0);
	etcd_unwatch(etcd, 1);
	call_in_vain();
	assert_int_equal(etcd_watch_due_ns(etcd, 0), 0);
	assert_true(etcd_watch_due_ns(etcd, 1) == UINT64_MAX);
}

static void pause_until_due(unsigned which)
{
	uint64_t due_ns = etcd_watch_due_ns(etcd, which);

	assert_true(due_ns <= after_ms(SHORT_MS));
	while (clock_left_ns(due_ns))
		etcd_pause(etcd, due_ns);
}

static void a_watch_that_does_not_begin_ends(void **state)
{
	struct net_text first = etcd_endpoint(etcd);

	(void)state;
	begin(1, after_ms(LONG_MS));
	begin(0, after_ms(SHORT_MS));
	pause_until_due(0);
	assert_int_equal(next(0), -ETIMEDOUT);
	assert_contains(why.text, "it does not begin the watch");
	assert_contains(why.text, first.text);
	/* the client leaves that server, with all that it has there */
	assert_int_equal(!strcmp(etcd_endpoint(etcd).text, first.text),
			 config.n_endpoints == 1);
	assert_int_equal(next(1), -EIO);
	/* it is the watch's deadline, and no call's */
	begin(0, after_ms(LONG_MS));
	assert_int_equal(next(0), 0);
}

/* --- views --- */

static void begin_list(void *arg)
{
	(void)arg;
}

static void changed(void *arg, const struct etcd_kv *kv)
{
	(void)arg, (void)kv;
}

static const struct etcd_view_ops ops = { begin_list, begin_list, changed };

/* That has listed all. */
static struct etcd_view listed(void)
{
	return (struct etcd_view){ .etcd = etcd,
				   .prefix = "/a/",
				   .ops = &ops,
				   .listed = true,
				   .revision = 1,
				   .list_at_ns = UINT64_MAX,
				   .quiet_at_ns = UINT64_MAX };
}

static void a_view_tells_it_at_once(void **state)
{
	struct etcd_view view = listed();
	uint64_t deadline_ns = after_ms(LONG_MS);

	(void)state;
	assert_int_equal(etcd_view_step(&view, clock_now_ns(), &why), 0);
	assert_true(view.watching);
	call_in_vain();
	assert_int_equal(etcd_view_step(&view, deadline_ns, &why), -EIO);
	assert_contains(why.text, "does not answer");
	assert_true(clock_left_ns(deadline_ns) > 0);
	/* then it rests, and waits: no busy loop */
	deadline_ns = after_ms(SHORT_MS);
	assert_int_equal(etcd_view_step(&view, deadline_ns, &why), -EIO);
	assert_contains(why.text, "does not answer");
	assert_int_equal(clock_left_ns(deadline_ns), 0);
	assert_false(view.watching);
	/* and begins the watch again */
	deadline_ns = view.again_ns + SHORT_MS * NS_PER_MS;
	assert_int_equal(etcd_view_step(&view, deadline_ns, &why), 0);
	assert_int_equal(clock_left_ns(deadline_ns), 0);
	assert_true(view.watching);
	etcd_view_close(&view);
}

static void a_view_waits_for_its_watch_as_long_as_it_says(void **state)
{
	struct etcd_view view = listed();
	uint64_t deadline_ns = after_ms(LONG_MS);

	(void)state;
	view.call_ns = SHORT_MS * NS_PER_MS;
	assert_int_equal(etcd_view_step(&view, deadline_ns, &why), -ETIMEDOUT);
	assert_contains(why.text, "it does not begin the watch");
	assert_true(clock_left_ns(deadline_ns) > 0);
	assert_false(view.watching);
	etcd_view_close(&view);
}

int main(void)
{
#define TEST(f, setup) cmocka_unit_test_setup_teardown(f, setup, close_client)
	const struct CMUnitTest tests[] = {
		TEST(a_call_without_an_answer_ends_the_watches, with_one),
		TEST(a_call_without_an_answer_ends_the_watches, with_two),
		TEST(a_watch_that_does_not_begin_ends, with_one),
		TEST(a_watch_that_does_not_begin_ends, with_two),
		TEST(a_view_waits_for_its_watch_as_long_as_it_says, with_two),
		TEST(a_view_tells_it_at_once, with_one),
		TEST(a_view_tells_it_at_once, with_two),
	};

	return cmocka_run_group_tests(tests, open_servers, close_servers);
}
