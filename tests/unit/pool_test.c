/* Names of pools, and what a memory server says of itself in one. */
#include "member.h"
#include "members.h"
#include "order.h"
#include "pool.h"
#include "support.h"

#include <errno.h>
#include <stdlib.h>

static struct pool pool;

static void a_pool(void **state)
{
	(void)state;
	assert_true(
		pool_set_url(&pool, "etcd://e1,10.0.0.2:23,[::1]:7/blue-2_x"));
	assert_string_equal(pool.name, "blue-2_x");
	assert_int_equal(pool.etcd.n_endpoints, 3);
	assert_string_equal(pool.etcd.endpoints[0].host, "e1");
	assert_int_equal(pool.etcd.endpoints[0].port, 2379);
	assert_string_equal(pool.etcd.endpoints[1].host, "10.0.0.2");
	assert_int_equal(pool.etcd.endpoints[1].port, 23);
	assert_string_equal(pool.etcd.endpoints[2].host, "::1");
	assert_string_equal(pool_servers_prefix(&pool).text,
			    "/rswap/1/blue-2_x/servers/");
	assert_string_equal(pool_orders_prefix(&pool).text,
			    "/rswap/1/blue-2_x/orders/");
	assert_true(pool_set_url(&pool, "etcd://1,2,3,4,5,6,7,8/x"));
	assert_int_equal(pool.etcd.n_endpoints, ETCD_ENDPOINTS_MAX);
}

static void what_is_no_pool(void **state)
{
	static const char *const urls[] = {
		"",
		"e1/x",
		"http://e1/x",
		"etcd://",
		"etcd://e1",
		"etcd:///x",
		"etcd://e1/",
		"etcd://e1/X",
		"etcd://e1/x/y",
		"etcd://e1/x y",
		"etcd://,/x",
		"etcd://e1,/x",
		"etcd://,e1/x",
		"etcd://e1,,e2/x",
		"etcd://e1:0/x",
		"etcd://e1:65536/x",
		"etcd://1,2,3,4,5,6,7,8,9/x",
		"etcd://e1/"
		"01234567890123456789012345678901234567890123456789012345678901"
		"23",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(urls); i++) {
		if (pool_set_url(&pool, urls[i]))
			fail_msg("%s is taken", urls[i]);
	}
}

static void assert_wrong_files(const char *ca, const char *cert,
			       const char *key, const char *words)
{
	struct error why = { "" };

	assert_true(pool_set_url(&pool, "etcd://e1/x"));
	pool.etcd.ca = ca;
	pool.etcd.cert = cert;
	pool.etcd.key = key;
	assert_int_equal(pool_check_files(&pool, "--", &why), !words);
	if (words)
		assert_contains(why.text, words);
}

static void files_go_together(void **state)
{
	(void)state;
	assert_wrong_files(NULL, NULL, NULL, NULL);
	assert_wrong_files("a", NULL, NULL, NULL);
	assert_wrong_files("a", "c", "k", NULL);
	assert_wrong_files("a", "c", NULL,
			   "--pool-cert is given without --pool-key");
	assert_wrong_files("a", NULL, "k",
			   "--pool-key is given without --pool-cert");
	assert_wrong_files(NULL, "c", "k",
			   "--pool-cert=c: allowed only with --pool-ca=FILE");
}

/* --- members --- */

static struct member full(void)
{
	struct member m = { .transports =
				    WIRE_TRANSPORT_TCP | WIRE_TRANSPORT_RDMA,
			    .zone = "rack-7",
			    .incarnation = { 0, 1, 0xfe, 0xff },
			    .state = "serving",
			    .slab_bytes = 2 << 20,
			    .memory_bytes = 1ull << 40,
			    .free_bytes = 1ull << 39,
			    .held_slabs = 9,
			    .unreserved_bytes = 1ull << 38,
			    .sessions = 7,
			    .load_permille = 1000,
			    .version = "0.1.0" };
	struct error why;

	assert_true(net_name_parse("[fe80::1]:10909", 0, &m.address, &why));
	return m;
}

static char *write_member(const struct member *m)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	assert_non_null(out);
	member_write(m, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void a_member_comes_back(void **state)
{
	struct member m = full(), back;
	char *text = write_member(&m);
	struct error why;

	(void)state;
	assert_int_equal(member_parse("[fe80::1]:10909", text, &back, &why), 0);
	assert_memory_equal(&m, &back, sizeof m);
	/* another key's value */
	assert_int_equal(member_parse("10.0.0.1:10909", text, &back, &why),
			 -EINVAL);
	assert_contains(why.text, "its address");
	free(text);
}

/* TEXT with FROM replaced by TO. */
static char *with(const char *text, const char *from, const char *to)
{
	const char *at = strstr(text, from);
	char *new;

	assert_non_null(at);
	assert_true(asprintf(&new, "%.*s%s%s", (int)(at - text), text, to,
			     at + strlen(from)) > 0);
	return new;
}

static void assert_refused(const char *from, const char *to, const char *words)
{
	struct member m = full(), back;
	char *text = write_member(&m), *wrong = with(text, from, to);
	struct error why = { "" };

	if (member_parse("[fe80::1]:10909", wrong, &back, &why) != -EINVAL)
		fail_msg("%s is taken", wrong);
	assert_contains(why.text, words);
	free(wrong);
	free(text);
}

static void what_is_no_member(void **state)
{
	(void)state;
	assert_refused("{", "", "whole value");
	assert_refused("{", "[", "whole value");
	assert_refused("\"address\"", "\"addres\"", "its address");
	assert_refused("\"address\":\"", "\"address\":\"x", "its address");
	assert_refused("[\"tcp\",\"rdma\"]", "[]", "its transports");
	assert_refused("[\"tcp\",\"rdma\"]", "[\"ip\",7]", "its transports");
	assert_refused("[\"tcp\",\"rdma\"]", "7", "its transports");
	assert_refused("rack-7", "rack 7", "its zone");
	assert_refused("rack-7", "r23456789012345678901234567890123",
		       "its zone");
	assert_refused("\"0001feff", "\"0001fef", "its incarnation");
	assert_refused("\"0001feff", "\"0001fefg", "its incarnation");
	assert_refused("\"serving\"", "\"\"", "its state");
	assert_refused("\"serving\"", "7", "its state");
	assert_refused("2097152", "0", "its slab_bytes");
	assert_refused("1099511627776", "-1", "its memory_bytes");
	assert_refused("549755813888", "1099511627777", "its free_bytes");
	assert_refused("\"held_slabs\":9", "\"held_slabs\":-1",
		       "its held_slabs");
	assert_refused("\"held_slabs\":9", "\"held_slabs\":4294967295",
		       "its held_slabs");
	assert_refused("274877906944", "\"1\"", "its unreserved_bytes");
	assert_refused("\"sessions\":7", "\"sessions\":4294967296",
		       "its sessions");
	assert_refused("1000", "1001", "its load_permille");
}

static void a_later_version_has_more(void **state)
{
	struct member m = full(), back;
	char *text = write_member(&m);
	char *more = with(text, "{", "{\"new\":{\"x\":[1]},");
	struct error why;

	(void)state;
	assert_int_equal(member_parse("[fe80::1]:10909", more, &back, &why), 0);
	assert_memory_equal(&m, &back, sizeof m);
	free(more);
	free(text);
}

/* Not 0, which would say that it is empty. */
static void an_earlier_version_does_not_tell_what_is_held(void **state)
{
	struct member m = full(), back;
	char *text;
	struct error why;

	(void)state;
	m.held_slabs = MEMBER_HELD_UNKNOWN;
	text = write_member(&m);
	assert_null(strstr(text, "held_slabs"));
	assert_int_equal(member_parse("[fe80::1]:10909", text, &back, &why), 0);
	assert_memory_equal(&m, &back, sizeof m);
	free(text);
}

/* --- orders --- */

static void an_order_comes_back(void **state)
{
	const struct order orders[] = {
		{ .kind = ORDER_DRAIN, .incarnation = { 0, 1, 0xfe, 0xff } },
		{ .kind = ORDER_SERVE, .incarnation = { 9 } },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(orders); i++) {
		struct order back;
		struct error why;
		char text[256] = "";
		FILE *out = fmemopen(text, sizeof text, "w");

		assert_non_null(out);
		order_write(&orders[i], out);
		assert_int_equal(fclose(out), 0);
		assert_int_equal(order_parse(text, &back, &why), 0);
		assert_int_equal(back.kind, orders[i].kind);
		assert_memory_equal(back.incarnation, orders[i].incarnation,
				    sizeof back.incarnation);
	}
}

#define DIGITS "0001feff000000000000000000000000"

static void what_is_no_order(void **state)
{
	static const struct {
		const char *value, *words;
	} wrong[] = {
		{ "", "no JSON object" },
		{ "drain", "no JSON object" },
		{ "[]", "no JSON object" },
		{ "{}", "neither drain nor serve" },
		{ "{\"order\":7}", "neither drain nor serve" },
		{ "{\"order\":\"leave\"}", "neither drain nor serve" },
		{ "{\"order\":\"drain-it-all-and-now\"}",
		  "neither drain nor serve" },
		{ "{\"order\":\"drain\"}", "its incarnation" },
		{ "{\"order\":\"drain\",\"incarnation\":\"" DIGITS "0\"}",
		  "its incarnation" },
	};
	struct order order;
	struct error why;

	(void)state;
	for (size_t i = 0; i < COUNT(wrong); i++) {
		assert_int_equal(order_parse(wrong[i].value, &order, &why),
				 -EINVAL);
		assert_contains(why.text, wrong[i].words);
	}
	assert_int_equal(order_parse("{\"new\":[7],\"order\":\"serve\","
				     "\"incarnation\":\"" DIGITS "\"}",
				     &order, &why),
			 0);
	assert_int_equal(order.kind, ORDER_SERVE);
}

/* --- what a watch tells --- */

static void tell(struct members *members, const char *key)
{
	/* as long as it has to be, so that a read behind its end is seen */
	char *copy = strdup(key);
	const struct etcd_kv kv = { .key = copy,
				    .value = (char *)"{}",
				    .lease = 7 };

	assert_non_null(copy);
	members->view.ops->changed(members, &kv);
	free(copy);
}

static void only_keys_of_servers_count(void **state)
{
	struct members members;

	(void)state;
	assert_true(pool_set_url(&pool, "etcd://e1/blue"));
	members_open(&members, NULL, &pool);
	tell(&members, "");
	tell(&members, "a");
	tell(&members, "/rswap/1/blue/servers/");
	tell(&members, "/rswap/1/blue/servers");
	tell(&members, "/rswap/1/green/servers/10.0.0.1:10909");
	tell(&members, "/rswap/1/blue/servers/\033[2J:1");
	tell(&members, "/rswap/1/blue/servers/h 1:1");
	assert_int_equal(members.n, 0);
	tell(&members, "/rswap/1/blue/servers/10.0.0.1:10909");
	assert_int_equal(members.n, 1);
	assert_string_equal(members.entries[0].address.text, "10.0.0.1:10909");
	assert_int_equal(members.entries[0].lease, 7);
	assert_ptr_equal(members_find(&members, "10.0.0.1:10909"),
			 &members.entries[0]);
	assert_null(members_find(&members, "10.0.0.1:1090"));
	free(members.entries);
}

/* Without it an etcd that hangs, and keeps its connections, is noticed by the
 * next list only. */
static void a_watch_is_not_believed_for_ever(void **state)
{
	struct members members;

	(void)state;
	assert_true(pool_set_url(&pool, "etcd://e1/blue"));
	members_open(&members, NULL, &pool);
	/* by then some server has put its key again */
	assert_in_range(members.view.quiet_ns, MEMBER_UNCHANGED_NS + 1,
			2 * MEMBER_UNCHANGED_NS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pool),
		cmocka_unit_test(what_is_no_pool),
		cmocka_unit_test(files_go_together),
		cmocka_unit_test(a_member_comes_back),
		cmocka_unit_test(what_is_no_member),
		cmocka_unit_test(a_later_version_has_more),
		cmocka_unit_test(an_earlier_version_does_not_tell_what_is_held),
		cmocka_unit_test(an_order_comes_back),
		cmocka_unit_test(what_is_no_order),
		cmocka_unit_test(only_keys_of_servers_count),
		cmocka_unit_test(a_watch_is_not_believed_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
