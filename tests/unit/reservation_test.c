/* What is reserved in a pool: keys, values, and how it is shared out among
 * servers. */
#include "reservation.h"
#include "shares.h"
#include "support.h"

#include <errno.h>
#include <stdlib.h>

#define MIB (UINT64_C(1) << 20)

static struct pool blue(void)
{
	struct pool pool = { .name = "" };

	assert_true(pool_set_url(&pool, "etcd://e1/blue"));
	return pool;
}

static void keys(void **state)
{
	struct pool pool = blue();

	(void)state;
	assert_string_equal(
		reservation_server_prefix(&pool, "10.0.0.1:10909").text,
		"/rswap/1/blue/reserved/10.0.0.1:10909/");
	assert_string_equal(reservation_identity_prefix(&pool, "a/b").text,
			    "/rswap/1/blue/reserving/a/b/");
	assert_string_equal(quota_key(&pool, "a").text,
			    "/rswap/1/blue/tenants/a");
	assert_string_equal(settings_key(&pool).text, "/rswap/1/blue/settings");
}

static void ids(void **state)
{
	char a[RESERVATION_ID_BYTES], b[RESERVATION_ID_BYTES];

	(void)state;
	reservation_id_draw(a);
	reservation_id_draw(b);
	assert_true(reservation_id_ok(a));
	assert_true(reservation_id_ok(b));
	assert_string_not_equal(a, b);
	assert_false(reservation_id_ok(""));
	assert_false(reservation_id_ok(a + 1));
	a[7] = 'G';
	assert_false(reservation_id_ok(a));
}

static char *write_reservation(const struct reservation *r)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	assert_non_null(out);
	reservation_write(r, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void a_reservation_comes_back(void **state)
{
	const struct reservation r = { .identity = "alpha",
				       .machine = "node-7",
				       .bytes = 48 * MIB };
	struct reservation back;
	char *text = write_reservation(&r);
	struct error why;

	(void)state;
	assert_string_equal(text, "{\"identity\":\"alpha\",\"machine\":\"node-"
				  "7\",\"bytes\":50331648}");
	assert_int_equal(reservation_parse(text, &back, &why), 0);
	assert_memory_equal(&r, &back, sizeof r);
	free(text);
}

static void assert_no_reservation(const char *value, const char *words)
{
	struct reservation r;
	struct error why = { "" };

	if (reservation_parse(value, &r, &why) != -EINVAL)
		fail_msg("%s is taken", value);
	assert_contains(why.text, words);
}

static void what_is_no_reservation(void **state)
{
	struct reservation r;
	struct error why;

	(void)state;
	assert_no_reservation("", "its whole value is not that of a reserv");
	assert_no_reservation("[]", "whole value");
	assert_no_reservation("{\"bytes\":1}", "its identity");
	assert_no_reservation("{\"identity\":\"a b\",\"bytes\":1}",
			      "its identity");
	assert_no_reservation("{\"identity\":7,\"bytes\":1}", "its identity");
	assert_no_reservation("{\"identity\":\"a\"}", "its bytes");
	assert_no_reservation("{\"identity\":\"a\",\"bytes\":0}", "its bytes");
	assert_no_reservation("{\"identity\":\"a\",\"bytes\":-1}", "its bytes");
	assert_no_reservation("{\"identity\":\"a\",\"bytes\":\"1\"}",
			      "its bytes");
	assert_no_reservation(
		"{\"identity\":\"a\",\"bytes\":1,\"machine\":\"\\u0007\"}",
		"its machine");
	/* a later version has more */
	assert_int_equal(reservation_parse("{\"identity\":\"a\",\"bytes\":1,"
					   "\"new\":{\"x\":[1]}}",
					   &r, &why),
			 0);
}

static void quotas_and_settings(void **state)
{
	struct pool_settings settings;
	struct error why = { "" };
	uint64_t bytes;

	(void)state;
	assert_int_equal(quota_parse("{\"reserve_bytes\":0}", &bytes, &why), 0);
	assert_int_equal(bytes, 0);
	assert_int_equal(quota_parse("{\"reserve_bytes\":7}", &bytes, &why), 0);
	assert_int_equal(bytes, 7);
	assert_int_equal(quota_parse("{}", &bytes, &why), -EINVAL);
	assert_contains(why.text, "its reserve_bytes is not that of a quota");
	assert_int_equal(quota_parse("{\"reserve_bytes\":1.5}", &bytes, &why),
			 -EINVAL);
	assert_int_equal(quota_parse("7", &bytes, &why), -EINVAL);
	assert_contains(why.text, "its whole value");

	assert_int_equal(settings_parse("{\"overcommit_permille\":1500}",
					&settings, &why),
			 0);
	assert_int_equal(settings.overcommit_permille, 1500);
	assert_int_equal(
		settings_parse("{\"overcommit_permille\":99}", &settings, &why),
		-EINVAL);
	assert_contains(why.text, "its overcommit_permille");
	assert_int_equal(settings.overcommit_permille, 1000);
	assert_int_equal(settings_parse("{\"overcommit_permille\":100001}",
					&settings, &why),
			 -EINVAL);
	assert_int_equal(settings_parse("{}", &settings, &why), -EINVAL);
}

static void factors(void **state)
{
	static const struct {
		const char *text;
		uint32_t permille; /* 0: it is none */
	} cases[] = {
		{ "1", 1000 },	   { "1.5", 1500 },   { "0.1", 100 },
		{ "2.125", 2125 }, { "100", 100000 }, { "1.05", 1050 },
		{ "", 0 },	   { "0", 0 },	      { "0.099", 0 },
		{ "100.001", 0 },  { "1.", 0 },	      { ".5", 0 },
		{ "-1", 0 },	   { "1.2345", 0 },   { "1,5", 0 },
		{ "1.5x", 0 },	   { "1e2", 0 },      { "9999", 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		uint32_t permille = 0;
		bool ok = overcommit_parse(cases[i].text, &permille);

		if (ok != !!cases[i].permille ||
		    (ok && permille != cases[i].permille))
			fail_msg("%s is %s, %u", cases[i].text,
				 ok ? "taken" : "refused", permille);
	}
}

/* --- shares --- */

static void what_is_left_of_a_server(void **state)
{
	(void)state;
	assert_int_equal(shares_left(64 * MIB, 1000, 0, 0, MIB), 64);
	assert_int_equal(shares_left(64 * MIB, 1000, 10 * MIB, 20 * MIB, MIB),
			 34);
	assert_int_equal(shares_left(64 * MIB, 1500, 0, 64 * MIB, MIB), 32);
	assert_int_equal(shares_left(64 * MIB, 500, 0, 0, MIB), 32);
	/* less than a slab is none, and no more than all is taken */
	assert_int_equal(shares_left(64 * MIB - 1, 1000, 0, 63 * MIB, MIB), 0);
	assert_int_equal(shares_left(64 * MIB, 1000, 0, 65 * MIB, MIB), 0);
	assert_int_equal(shares_left(64 * MIB, 1000, 65 * MIB, 0, MIB), 0);
	/* what somebody wrote into etcd does not overflow */
	assert_int_equal(shares_left(INT64_MAX, 100000, 0, 0, 1), UINT64_MAX);
}

/* All WANTED are given, each server within its bounds. */
static void assert_planned(const uint64_t *left, unsigned n, uint64_t most,
			   uint64_t wanted, uint64_t *shares)
{
	uint64_t given = 0;

	assert_true(shares_room(left, n, most) >= wanted);
	shares_plan(left, n, most, wanted, shares);
	for (unsigned i = 0; i < n; i++) {
		assert_true(shares[i] <= left[i] && shares[i] <= most);
		given += shares[i];
	}
	assert_int_equal(given, wanted);
}

static void shares_in_proportion(void **state)
{
	const uint64_t left[] = { 30, 0, 10, 100 };
	uint64_t shares[4];

	(void)state;
	assert_int_equal(shares_room(left, 4, 50), 90);
	assert_planned(left, 4, 50, 45, shares);
	assert_int_equal(shares[0], 15);
	assert_int_equal(shares[1], 0);
	assert_int_equal(shares[2], 5);
	assert_int_equal(shares[3], 25);
	assert_planned(left, 4, 50, 90, shares);
	assert_planned(left, 4, 50, 0, shares);
}

static void every_slab_is_given(void **state)
{
	uint64_t left[5], shares[5];

	(void)state;
	for (unsigned draw = 0; draw < 2000; draw++) {
		for (unsigned i = 0; i < 5; i++)
			left[i] = (draw * 7919 + i * i * 104729) % (17 + i);
		for (uint64_t n = 0; n <= shares_room(left, 5, 9); n++)
			assert_planned(left, 5, 9, n, shares);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys),
		cmocka_unit_test(ids),
		cmocka_unit_test(a_reservation_comes_back),
		cmocka_unit_test(what_is_no_reservation),
		cmocka_unit_test(quotas_and_settings),
		cmocka_unit_test(factors),
		cmocka_unit_test(what_is_left_of_a_server),
		cmocka_unit_test(shares_in_proportion),
		cmocka_unit_test(every_slab_is_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
