/* plugin/service/config.c. */
#include "clock.h"
#include "concurrency.h"
#include "service/config.h"
#include "support.h"
#include "times.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct config config;

static int clear_config(void **state)
{
	(void)state;
	config = (struct config){ 0 };
	assert_int_equal(chdir("/tmp"), 0);
	return 0;
}

static int end_config(void **state)
{
	(void)state;
	config_free(&config);
	return 0;
}

static void take(const char *key, const char *value)
{
	config.why[0] = '\0';
	assert_int_equal(config_key(&config, key, value), 0);
	assert_string_equal(config.why, "");
}

/* A value that must be refused by one message that names key and value, and
 * contains ALLOWED. */
static void refuse(const char *key, const char *value, const char *allowed)
{
	char named[64];

	assert_int_equal(config_key(&config, key, value), -1);
	snprintf(named, sizeof named, "%s=%s", key, value);
	assert_contains(config.why, named);
	assert_contains(config.why, allowed);
	assert_null(strchr(config.why, '\n'));
	config.why[0] = '\0';
}

static void every_key_is_taken(void **state)
{
	(void)state;
	take("server", "10.0.0.1");
	take("server", "[::1]:7000");
	take("size", "64G");
	take("transport", "tcp");
	take("lanes", "8");
	take("spin", "15");
	take("timeout", "5");
	take("control", "rswap.sock");
	take("strict", "true");
	assert_int_equal(config_complete(&config), 0);
	assert_int_equal(config.engine.n_servers, 2);
	assert_string_equal(config.engine.servers[0].host, "10.0.0.1");
	assert_int_equal(config.engine.servers[0].port, WIRE_DEFAULT_PORT);
	assert_string_equal(config.engine.servers[1].host, "::1");
	assert_int_equal(config.engine.servers[1].port, 7000);
	assert_int_equal(config.engine.size_bytes, UINT64_C(64) << 30);
	assert_ptr_equal(config.engine.transport, &transport_tcp);
	assert_int_equal(config.engine.lanes, 8);
	assert_int_equal(config.engine.spin_ns, 15000);
	assert_int_equal(config.engine.timeout_ns, UINT64_C(5000000000));
	assert_string_equal(config.control_path, "/tmp/rswap.sock");
	assert_true(config.strict);
}

static void two_keys_are_enough(void **state)
{
	(void)state;
	take("server", "memory1");
	take("size", "4096");
	assert_int_equal(config_complete(&config), 0);
	assert_string_equal(config.why, "");
	assert_null(config.engine.transport);
	assert_true(config.requests == 16 || config.requests == 32);
	assert_int_equal(config.engine.lanes,
			 concurrency_lanes(config.requests));
	assert_int_equal(config.engine.timeout_ns, TIMES_TIMEOUT_S * NS_PER_S);
	assert_null(config.control_path);
	assert_false(config.strict);
}

static void a_pool_takes_the_place_of_servers(void **state)
{
	(void)state;
	take("pool", "etcd://e1,[::1]:7000/blue");
	take("pool-ca", "ca.pem");
	take("pool-login", "/etc/login");
	take("size", "4096");
	assert_int_equal(config_complete(&config), 0);
	assert_int_equal(config.engine.n_servers, 0);
	assert_int_equal(config.engine.servers_max, 16);
	assert_string_equal(config.pool.name, "blue");
	assert_int_equal(config.pool.etcd.n_endpoints, 2);
	assert_string_equal(config.pool.etcd.ca, "/tmp/ca.pem");
	assert_string_equal(config.pool.etcd.login, "/etc/login");
	/* or stands beside them */
	take("server", "memory1");
	take("servers-max", "255");
	assert_int_equal(config_complete(&config), 0);
	assert_int_equal(config.engine.n_servers, 1);
	assert_int_equal(config.engine.servers_max, 255);
}

static void incomplete(const char *what)
{
	config.why[0] = '\0';
	assert_int_equal(config_complete(&config), -1);
	assert_contains(config.why, what);
}

static void what_goes_with_a_pool_only(void **state)
{
	(void)state;
	refuse("pool", "etcd://e1", "etcd://HOST[:PORT]");
	refuse("pool", "http://e1/blue", "etcd://HOST[:PORT]");
	refuse("servers-max", "256", "a number from 1 to 255");
	take("size", "4096");
	incomplete("server is missing");
	take("server", "memory1");
	assert_int_equal(config_complete(&config), 0);
	assert_int_equal(config.engine.servers_max, 0);
	take("servers-max", "1");
	incomplete("servers-max is given without pool");
	take("pool", "etcd://e1/blue");
	assert_int_equal(config_complete(&config), 0);
	assert_int_equal(config.pool_reserve_bytes, 0);
	take("server", "memory2");
	incomplete("servers-max=1 is less than the 2 servers");
	take("servers-max", "2");
	take("replicas", "3");
	incomplete("servers-max=2 is too few: replicas needs 3 servers");
	take("servers-max", "3");
	assert_int_equal(config_complete(&config), 0);
	take("pool-reserve", "64M");
	assert_int_equal(config.pool_reserve_bytes, 64 << 20);
	assert_false(config.engine.is_reserved);
	take("pool-reserve", "all");
	assert_true(config.pool_reserve_bytes == CONFIG_RESERVE_ALL);
	assert_true(config.engine.is_reserved);
	take("pool-reserve", "no");
	assert_int_equal(config.pool_reserve_bytes, 0);
	assert_false(config.engine.is_reserved);
	refuse("pool-reserve", "some", "no, all, or a size from 1M to 1024T");
	refuse("pool-reserve", "4K", "no, all, or a size from 1M to 1024T");
	take("pool-cert", "/cert");
	incomplete("pool-cert is given without pool-key");
	take("pool-key", "/key");
	incomplete("pool-cert=/cert: allowed only with pool-ca=FILE");
}

static void lanes_follow_from_the_requests_of_the_front_end(void **state)
{
	(void)state;
	take("server", "memory1");
	take("size", "4096");
	take("lanes", "auto");
	config.requests = 96;
	assert_int_equal(config_complete(&config), 0);
	assert_int_equal(config.engine.lanes, 127);
	/* and lanes that are given stay */
	take("lanes", "3");
	assert_int_equal(config_complete(&config), 0);
	assert_int_equal(config.engine.lanes, 3);
	assert_int_equal(config.requests, 96);
}

static void the_limits_themselves_are_allowed(void **state)
{
	static const struct {
		const char *key, *value;
	} good[] = {
		{ "size", "1024T" },
		{ "lanes", "1" },
		{ "lanes", "256" },
		{ "lanes", "auto" },
		{ "spin", "0" },
		{ "spin", "1000" },
		{ "spin", "auto" },
		{ "timeout", "1" },
		{ "timeout", "600" },
		{ "transport", "auto" },
		{ "transport", "rdma" },
		{ "strict", "false" },
		{ "control", "/run/x.sock" },
		{ "server", "h:65535" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++)
		take(good[i].key, good[i].value);
}

static void a_wrong_value_is_told_with_what_is_allowed(void **state)
{
	static const struct {
		const char *key, *value, *allowed;
	} bad[] = {
		{ "server", "", "HOST[:PORT]" },
		{ "server", "host:", "HOST[:PORT]" },
		{ "server", "host:0", "1 to 65535" },
		{ "server", "host:65536", "1 to 65535" },
		{ "server", "[::1", "HOST[:PORT]" },
		{ "size", "", "multiple of 4096" },
		{ "size", "0", "multiple of 4096" },
		{ "size", "4097", "multiple of 4096" },
		{ "size", "-4096", "multiple of 4096" },
		{ "size", "64GB", "multiple of 4096" },
		{ "size", "1025T", "to 1024T" },
		{ "size", "99999999999999999999", "to 1024T" },
		{ "transport", "", "auto|rdma|tcp" },
		{ "transport", "TCP", "auto|rdma|tcp" },
		{ "transport", "roce", "auto|rdma|tcp" },
		{ "lanes", "", "1 to 256" },
		{ "lanes", "0", "1 to 256" },
		{ "lanes", "257", "1 to 256" },
		{ "lanes", "4K", "1 to 256" },
		{ "spin", "", "0 to 1000" },
		{ "spin", "1001", "0 to 1000" },
		{ "spin", "AUTO", "0 to 1000" },
		{ "timeout", "0", "1 to 600" },
		{ "timeout", "601", "1 to 600" },
		{ "timeout", "30s", "1 to 600" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		refuse(bad[i].key, bad[i].value, bad[i].allowed);
}

static void a_wrong_boolean_is_told_in_one_message(void **state)
{
	(void)state;
	refuse("strict", "maybe", "boolean");
}

static void every_word_for_yes_and_no_is_taken(void **state)
{
	static const char *const words[][2] = { { "0", "1" },
						{ "false", "true" },
						{ "off", "on" } };

	(void)state;
	for (size_t i = 0; i < COUNT(words); i++) {
		take("strict", words[i][1]);
		assert_true(config.strict);
		take("strict", words[i][0]);
		assert_false(config.strict);
	}
}

static void give_servers(unsigned n)
{
	take("size", "1G");
	for (unsigned i = 0; i < n; i++)
		take("server", "memory1");
}

static void copies_and_shares_are_taken(void **state)
{
	(void)state;
	give_servers(6);
	take("redundancy", "4+2");
	take("encrypt", "off");
	take("checksum", "off");
	take("repair-rate", "2M");
	assert_int_equal(config_complete(&config), 0);
	assert_int_equal(config.engine.redundancy.data, 4);
	assert_int_equal(config.engine.redundancy.parity, 2);
	assert_false(config.engine.checksum);
	assert_int_equal(config.engine.repair_bytes_per_s, 2 << 20);
	assert_int_equal(config.engine.repair_after_ns,
			 TIMES_REPAIR_AFTER_S * NS_PER_S);
	take("repair-after", "3600");
	assert_int_equal(config.engine.repair_after_ns, 3600 * NS_PER_S);
	take("repair-rate", "0");
	assert_int_equal(config.engine.repair_bytes_per_s, 0);
	refuse("repair-rate", "4K", "from 1M");
	refuse("repair-after", "0", "1 to 3600");
	refuse("repair-after", "3601", "1 to 3600");
	refuse("repair-after", "1m", "1 to 3600");
	refuse("replicas", "0", "1 to 4");
	refuse("replicas", "5", "1 to 4");
	refuse("redundancy", "4", "K+M");
	refuse("redundancy", "9+2", "K from 2 to 8");
	refuse("checksum", "maybe", "a boolean");
}

static void each_copy_wants_a_server(void **state)
{
	(void)state;
	give_servers(2);
	take("replicas", "2");
	assert_int_equal(config_complete(&config), 0);
	take("replicas", "3");
	assert_int_equal(config_complete(&config), -1);
	assert_contains(config.why, "replicas needs 3 servers");
	assert_contains(config.why, "2 are given");
}

/* A shard has a byte for the number of its server, and the fallback is one. */
static void more_servers_than_can_be_numbered_are_refused(void **state)
{
	(void)state;
	give_servers(256);
	assert_int_equal(config_complete(&config), 0);
	take("fallback", "spill");
	assert_int_equal(config_complete(&config), -1);
	assert_contains(config.why, "257 servers");
	assert_contains(config.why, "256 are allowed");
	config.given[KEY_FALLBACK] = false;
	take("server", "memory1");
	assert_int_equal(config_complete(&config), -1);
	assert_contains(config.why, "257 servers");
}

static void copies_and_shares_exclude_each_other(void **state)
{
	(void)state;
	give_servers(3);
	take("replicas", "2");
	take("redundancy", "2+1");
	assert_int_equal(config_complete(&config), -1);
	assert_contains(config.why, "replicas=2 and redundancy=2+1");
}

static void sealed_pages_are_always_checked(void **state)
{
	(void)state;
	give_servers(1);
	assert_int_equal(config_complete(&config), 0);
	assert_true(config.engine.encrypt);
	take("checksum", "off");
	assert_int_equal(config_complete(&config), -1);
	assert_contains(config.why, "checksum=off and encrypt=on");
	take("encrypt", "off");
	assert_int_equal(config_complete(&config), 0);
	assert_false(config.engine.encrypt);
	refuse("encrypt", "aes", "a boolean");
}

/* Nothing is read before the last key is there. */
static void keys_come_from_a_file(void **state)
{
	char path[64];
	FILE *file;

	(void)state;
	take("server", "a");
	take("size", "1G");
	take("identity", "alpha");
	assert_int_equal(config_complete(&config), -1);
	assert_contains(config.why, "identity=alpha is given without psk-file");
	refuse("identity", "al pha", "name of a key");
	refuse("identity", "", "name of a key");
	refuse("psk-file", "", "path");

	snprintf(path, sizeof path, "/tmp/config-test.%d", (int)getpid());
	take("psk-file", path);
	assert_int_equal(config_complete(&config), -1);
	assert_contains(config.why, path);
	assert_contains(config.why, "No such file");

	umask(077);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs("beta:00112233445566778899aabbccddeeff\n", file);
	fclose(file);
	assert_int_equal(config_complete(&config), -1);
	assert_contains(config.why, "identity=alpha: there is no key");
	take("identity", "beta");
	assert_int_equal(config_complete(&config), 0);
	assert_non_null(config.engine.tls);
	unlink(path);
}

static void a_fallback_goes_with_copies_only(void **state)
{
	(void)state;
	give_servers(3);
	take("fallback", "spill");
	take("fallback-size", "2G");
	assert_int_equal(config_complete(&config), 0);
	assert_string_equal(config.engine.fallback, "/tmp/spill");
	assert_int_equal(config.engine.fallback_bytes, UINT64_C(2) << 30);
	take("redundancy", "2+1");
	assert_int_equal(config_complete(&config), -1);
	assert_contains(config.why, "fallback=/tmp/spill and redundancy=2+1");
	config.given[KEY_REDUNDANCY] = config.given[KEY_FALLBACK] = false;
	assert_int_equal(config_complete(&config), -1);
	assert_contains(config.why, "fallback-size is given without fallback");
	refuse("fallback", "", "path");
	refuse("fallback-size", "0", "K, M, G or T");
}

static void an_empty_control_path_is_told_in_one_message(void **state)
{
	(void)state;
	refuse("control", "", "path");
}

static void an_unknown_key_is_told_with_those_that_exist(void **state)
{
	(void)state;
	for (int id = 0; id < KEYS; id++)
		refuse("sever", "10.0.0.1", keys[id].name);
	refuse("", "", "no such key");
}

static void a_refused_server_does_not_count(void **state)
{
	(void)state;
	take("server", "memory1");
	refuse("server", "memory2:0", "HOST[:PORT]");
	assert_int_equal(config.engine.n_servers, 1);
}

static void the_last_control_path_holds(void **state)
{
	(void)state;
	take("control", "/run/a");
	take("control", "/run/b");
	assert_string_equal(config.control_path, "/run/b");
}

static void a_missing_key_is_told_with_an_example(void **state)
{
	(void)state;
	take("size", "64G");
	assert_int_equal(config_complete(&config), -1);
	assert_contains(config.why, "server=HOST[:PORT]");
	config.given[KEY_SIZE] = false;
	take("server", "memory1");
	assert_int_equal(config_complete(&config), -1);
	assert_contains(config.why, "size=SIZE");
}

static void the_help_names_every_key(void **state)
{
	char line[64];

	(void)state;
	config_fill_help();
	for (int id = 0; id < KEYS; id++) {
		snprintf(line, sizeof line, "%s=%s", keys[id].name,
			 keys[id].metavar);
		assert_contains(config_help, line);
		assert_contains(config_help, keys[id].help);
		assert_contains(config_help, key_range(&keys[id]).text);
	}
}

/* Otherwise a default would be the number 0, or nothing. */
static void every_default_is_allowed(void **state)
{
	uint64_t number;

	(void)state;
	for (int id = 0; id < KEYS; id++) {
		if (keys[id].preset)
			assert_true(
				key_parse(&keys[id], keys[id].preset, &number));
	}
}

static void what_is_not_given_has_its_default(void **state)
{
	(void)state;
	give_servers(1);
	assert_int_equal(config_complete(&config), 0);
	assert_true(config.engine.checksum);
	assert_true(config.engine.encrypt);
	assert_true(config.spin_auto);
	assert_int_equal(config.engine.redundancy.copies, 1);
	assert_int_equal(config.engine.redundancy.data, 0);
	assert_int_equal(config.engine.repair_bytes_per_s, 128 << 20);
}

static void what_is_given_stays(void **state)
{
	(void)state;
	give_servers(1);
	take("encrypt", "0");
	take("checksum", "0");
	take("spin", "7");
	take("repair-rate", "0");
	assert_int_equal(config_complete(&config), 0);
	assert_false(config.engine.encrypt);
	assert_false(config.engine.checksum);
	assert_int_equal(config.engine.spin_ns, 7000);
	assert_int_equal(config.engine.repair_bytes_per_s, 0);
}

#define with_config(test)                                                      \
	cmocka_unit_test_setup_teardown(test, clear_config, end_config)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_config(every_key_is_taken),
		with_config(two_keys_are_enough),
		with_config(a_pool_takes_the_place_of_servers),
		with_config(what_goes_with_a_pool_only),
		with_config(lanes_follow_from_the_requests_of_the_front_end),
		with_config(the_limits_themselves_are_allowed),
		with_config(a_wrong_value_is_told_with_what_is_allowed),
		with_config(a_wrong_boolean_is_told_in_one_message),
		with_config(every_word_for_yes_and_no_is_taken),
		with_config(sealed_pages_are_always_checked),
		with_config(keys_come_from_a_file),
		with_config(a_fallback_goes_with_copies_only),
		with_config(copies_and_shares_are_taken),
		with_config(each_copy_wants_a_server),
		with_config(more_servers_than_can_be_numbered_are_refused),
		with_config(copies_and_shares_exclude_each_other),
		with_config(an_empty_control_path_is_told_in_one_message),
		with_config(an_unknown_key_is_told_with_those_that_exist),
		with_config(a_refused_server_does_not_count),
		with_config(the_last_control_path_holds),
		with_config(a_missing_key_is_told_with_an_example),
		with_config(the_help_names_every_key),
		with_config(every_default_is_allowed),
		with_config(what_is_not_given_has_its_default),
		with_config(what_is_given_stays),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
