/* plugin/service/heartbeat.c: several loops, one of which hangs. */
#include "service/heartbeat.h"
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"

static int manager_fd;
static atomic_bool hangs;
static atomic_bool may_hang_turned; /* the loop that hangs later */
static atomic_bool over;

/* The service manager's socket, in the abstract namespace. */
static void start_manager(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char name[64];
	int n = snprintf(name, sizeof name, "@rswap-test-%d", (int)getpid());

	memcpy(addr.sun_path, name, (size_t)n);
	addr.sun_path[0] = '\0';
	manager_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(manager_fd, (struct sockaddr *)&addr,
			      (socklen_t)(sizeof(sa_family_t) + (size_t)n)),
			 0);
	setenv("NOTIFY_SOCKET", name, 1);
	setenv("WATCHDOG_USEC", "40000", 1);
	heartbeat_start();
}

static unsigned take_answers(void)
{
	char text[64];
	unsigned n = 0;
	ssize_t got;

	while ((got = recv(manager_fd, text, sizeof text, 0)) >= 0) {
		assert_int_equal(got, strlen("WATCHDOG=1"));
		assert_memory_equal(text, "WATCHDOG=1", (size_t)got);
		n++;
	}
	assert_int_equal(errno, EAGAIN);
	return n;
}

static void *turn(void *may_hang)
{
	while (!atomic_load(&over)) {
		if (!may_hang || !atomic_load(&hangs))
			heartbeat_turn(0);
		if (may_hang)
			atomic_store(&may_hang_turned, true);
		clock_sleep_ns(5 * NS_PER_MS);
	}
	return NULL;
}

static void await_answers(void)
{
	unsigned n = 0;

	for (int i = 0; i < 2000 && n < 3; i++) {
		clock_sleep_ns(5 * NS_PER_MS);
		n += take_answers();
	}
	assert_true(n >= 3);
}

static uint64_t age_ns(void)
{
	uint64_t oldest_ns = heartbeat_oldest_ns();

	assert_true(oldest_ns != 0);
	return clock_now_ns() - oldest_ns;
}

static void await_age(uint64_t ns)
{
	while (age_ns() < ns)
		clock_sleep_ns(50 * NS_PER_MS);
}

static void loops_are_told_apart(void **state)
{
	pthread_t threads[2];

	(void)state;
	assert_true(heartbeat_oldest_ns() == 0);
	start_manager();
	pthread_create(&threads[0], NULL, turn, NULL);
	await_answers();
	pthread_create(&threads[1], NULL, turn, &hangs);
	/* before that, it is no loop that could be missed */
	while (!atomic_load(&may_hang_turned))
		clock_sleep_ns(5 * NS_PER_MS);
	await_answers();
	atomic_store(&hangs, true);
	await_age(4 * NS_PER_S);
	take_answers();
	await_age(5 * NS_PER_S);
	assert_int_equal(take_answers(), 0);
	atomic_store(&hangs, false);
	await_answers();
	atomic_store(&over, true);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loops_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
