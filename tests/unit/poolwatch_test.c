/* plugin/service/poolwatch.c: how long etcd has to list the servers, while a
 * reservation's lease has to be kept alive by the same thread. */
#include <errno.h>

#include "etcd_client.h"
#include "helper.h"
#include "service/poolwatch.h"
#include "support.h"

static struct poolwatch watch;
static struct config config;

/* The thread's steps are the test's. */
int __wrap_helper_start(pthread_t *thread, const char *name,
			void *(*main)(void *arg), void *arg);
int __wrap_helper_start(pthread_t *thread, const char *name,
			void *(*main)(void *arg), void *arg)
{
	(void)thread, (void)name, (void)main, (void)arg;
	return 0;
}

static uint64_t had_ns; /* the last list */

/* In vain. */
int __wrap_etcd_range(struct etcd *e, const char *prefix, uint64_t deadline_ns,
		      etcd_take *take, void *arg, uint64_t *revision,
		      struct error *why);
int __wrap_etcd_range(struct etcd *e, const char *prefix, uint64_t deadline_ns,
		      etcd_take *take, void *arg, uint64_t *revision,
		      struct error *why)
{
	(void)e, (void)prefix, (void)take, (void)arg, (void)revision;
	had_ns = clock_left_ns(deadline_ns);
	error_set(why, "no answer in time");
	return -ETIMEDOUT;
}

static int begin(void **state)
{
	int rc = etcd_client_open(state);

	config = (struct config){ .pool.name = "blue" };
	watch = (struct poolwatch){ .config = &config, .etcd = etcd };
	pthread_mutex_init(&watch.lock, NULL);
	members_open(&watch.members, etcd, &config.pool);
	return rc;
}

static int end(void **state)
{
	(void)state;
	watch.has_thread = false;
	poolwatch_close(&watch);
	return 0;
}

static void start(void)
{
	struct error why = { "" };

	assert_int_equal(poolwatch_start(&watch, &why), 0);
}

/* It has SECONDS, but for the moments that have passed. */
static void assert_list_has(unsigned seconds)
{
	struct error why;

	watch.members.view.again_ns = 0;
	assert_int_equal(members_step(&watch.members, clock_now_ns(), &why),
			 -ETIMEDOUT);
	assert_in_range(had_ns, (seconds - 1) * NS_PER_S, seconds * NS_PER_S);
}

static void a_list_leaves_time_for_the_lease(void **state)
{
	(void)state;
	watch.reserve.config = &config;
	watch.reserve.ledger.etcd = etcd;
	watch.reserve.ledger.lease = 1;
	watch.reserve.kept_ns = clock_now_ns();
	pthread_mutex_init(&watch.reserve.lock, NULL);
	start();
	assert_list_has(3);
	/* a pool that is large, or far, is listed all the same */
	assert_list_has(6);
	assert_list_has(10);
	assert_list_has(10);
}

static void without_a_lease_it_has_more(void **state)
{
	(void)state;
	start();
	assert_list_has(10);
	assert_list_has(10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_list_leaves_time_for_the_lease, begin, end),
		cmocka_unit_test_setup_teardown(without_a_lease_it_has_more,
						begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
