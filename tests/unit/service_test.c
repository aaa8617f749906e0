/* plugin/service/service.c: what is left in memory at the end, where a thread
 * does not end. */
#include "etcd_client.h"
#include "join.h"
#include "service/service.h"
#include "support.h"

static struct service service;

static bool pool_ends;
static unsigned joins, destroyed, freed;

bool __wrap_join_until(pthread_t thread, uint64_t deadline_ns);
bool __wrap_join_until(pthread_t thread, uint64_t deadline_ns)
{
	(void)thread, (void)deadline_ns;
	joins++;
	return pool_ends;
}

void __wrap_engine_destroy(struct engine *engine);
void __wrap_engine_destroy(struct engine *engine)
{
	assert_ptr_equal(engine, &service.engine);
	destroyed++;
}

void __wrap_config_free(struct config *config);
void __wrap_config_free(struct config *config)
{
	assert_ptr_equal(config, &service.config);
	freed++;
}

static int begin(void **state)
{
	service = (struct service){ .slab_bytes = 0 };
	joins = destroyed = freed = 0;
	return etcd_client_open(state);
}

/* The pool's thread waits for a file, say, which hangs. */
static void what_the_pools_thread_uses_stays(void **state)
{
	service.pool.config = &service.config;
	service.pool.etcd = etcd;
	service.pool.has_thread = true;
	pool_ends = false;
	service_stop(&service);
	assert_int_equal(joins, 1);
	assert_int_equal(destroyed, 0);
	assert_int_equal(freed, 0);
	/* nor is its client closed */
	assert_ptr_equal(service.pool.config, &service.config);
	etcd_client_close(state);
}

static void all_goes_where_it_ends(void **state)
{
	(void)state;
	service.pool.config = &service.config;
	service.pool.etcd = etcd;
	service.pool.has_thread = true;
	pool_ends = true;
	service_stop(&service);
	assert_int_equal(joins, 1);
	assert_int_equal(destroyed, 1);
	assert_int_equal(freed, 1);
	assert_null(service.pool.config);
}

static void without_a_pool_there_is_nothing_to_wait_for(void **state)
{
	service_stop(&service);
	assert_int_equal(joins, 0);
	assert_int_equal(destroyed, 1);
	assert_int_equal(freed, 1);
	etcd_client_close(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_the_pools_thread_uses_stays, begin),
		cmocka_unit_test_setup(all_goes_where_it_ends, begin),
		cmocka_unit_test_setup(
			without_a_pool_there_is_nothing_to_wait_for, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
