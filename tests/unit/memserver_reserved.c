/* What a server takes from the keys of the reservations on it. */
#include "server/reserved.h"
#include "support.h"

#include <stdlib.h>

#define ID_A "0123456789abcdef0123456789abcdea"
#define ID_B "0123456789abcdef0123456789abcdeb"
#define ID_C "0123456789abcdef0123456789abcdec"

static struct pool pool;
static struct reserved reserved;
static unsigned takes;
static bool can_take;

static int setup(void **state)
{
	struct error why;

	(void)state;
	can_take = true;
	assert_true(pool_set_url(&pool, "etcd://e1/blue"));
	assert_int_equal(
		reserved_open(&reserved, NULL, &pool, "10.0.0.1:7", &why), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	reserved_close(&reserved);
	return 0;
}

/* VALUE NULL: the key is deleted. */
static void tell(const char *key, const char *value)
{
	/* as long as they have to be, so that a read behind the end is seen */
	char *k = strdup(key), *v = strdup(value ? value : "");
	const struct etcd_kv kv = { .key = k, .value = v, .deleted = !value };

	assert_non_null(k);
	assert_non_null(v);
	reserved.view.ops->changed(reserved.view.arg, &kv);
	free(k);
	free(v);
}

static void tell_id(const char *id, const char *value)
{
	char key[256];

	snprintf(key, sizeof key, "/rswap/1/blue/reserved/10.0.0.1:7/%s", id);
	tell(key, value);
}

static bool take(void *arg)
{
	assert_ptr_equal(arg, &reserved);
	takes++;
	return can_take;
}

/* Whether there was something to hand over. */
static bool hand_over(void)
{
	unsigned before = takes;

	reserved_hand_over(&reserved, take, &reserved);
	return takes > before;
}

static void assert_sum(unsigned i, const char *identity, uint64_t bytes)
{
	assert_true(i < reserved.n_sums);
	assert_string_equal(reserved.sums[i].name, identity);
	assert_int_equal(reserved.sums[i].bytes, bytes);
}

static void sums_for_each_identity(void **state)
{
	(void)state;
	assert_false(hand_over());
	tell_id(ID_A, "{\"identity\":\"zeta\",\"bytes\":5}");
	tell_id(ID_B, "{\"identity\":\"alpha\",\"bytes\":7}");
	tell_id(ID_C, "{\"identity\":\"zeta\",\"bytes\":11}");
	assert_true(hand_over());
	assert_int_equal(reserved.n_sums, 2);
	assert_sum(0, "alpha", 7);
	assert_sum(1, "zeta", 16);
	assert_false(hand_over());
	/* another value, and one that goes */
	tell_id(ID_A, "{\"identity\":\"zeta\",\"bytes\":6}");
	tell_id(ID_B, NULL);
	assert_true(hand_over());
	assert_int_equal(reserved.n_sums, 1);
	assert_sum(0, "zeta", 17);
}

/* The main loop has no memory for a question. */
static void what_is_not_taken_is_handed_over_again(void **state)
{
	(void)state;
	tell_id(ID_A, "{\"identity\":\"a\",\"bytes\":5}");
	can_take = false;
	assert_true(hand_over());
	assert_true(hand_over());
	can_take = true;
	assert_true(hand_over());
	assert_sum(0, "a", 5);
	assert_false(hand_over());
}

static void only_what_is_understood_counts(void **state)
{
	(void)state;
	tell("", "{\"identity\":\"a\",\"bytes\":5}");
	tell("/rswap/1/blue/reserved/10.0.0.1:7",
	     "{\"identity\":\"a\",\"bytes\":5}");
	tell("/rswap/1/blue/reserved/10.0.0.1:77/" ID_A,
	     "{\"identity\":\"a\",\"bytes\":5}");
	tell_id("", "{\"identity\":\"a\",\"bytes\":5}");
	tell_id("\033[2J", "{\"identity\":\"a\",\"bytes\":5}");
	tell_id(ID_A "0", "{\"identity\":\"a\",\"bytes\":5}");
	tell_id(ID_A, "{}");
	assert_false(hand_over());
	assert_true(reserved.complained_of_key);
	/* one that is not understood any more */
	tell_id(ID_A, "{\"identity\":\"a\",\"bytes\":5}");
	assert_true(hand_over());
	tell_id(ID_A, "5");
	assert_true(hand_over());
	assert_int_equal(reserved.n_sums, 0);
}

static void sums_do_not_overflow(void **state)
{
	(void)state;
	tell_id(ID_A, "{\"identity\":\"a\",\"bytes\":9223372036854775807}");
	tell_id(ID_B, "{\"identity\":\"a\",\"bytes\":9223372036854775807}");
	tell_id(ID_C, "{\"identity\":\"a\",\"bytes\":9223372036854775807}");
	assert_true(hand_over());
	assert_sum(0, "a", INT64_MAX);
}

static void their_number_is_bounded(void **state)
{
	char id[RESERVATION_ID_BYTES];

	(void)state;
	for (unsigned i = 0; i < RESERVED_MAX + 2; i++) {
		snprintf(id, sizeof id, "%032x", i);
		tell_id(id, "{\"identity\":\"a\",\"bytes\":1}");
	}
	assert_true(hand_over());
	assert_sum(0, "a", RESERVED_MAX);
	assert_true(reserved.complained_of_key);
}

/* A list without a reservation may be that of an etcd that lost its memory. */
static void what_is_not_listed_lingers(void **state)
{
	(void)state;
	tell_id(ID_A, "{\"identity\":\"a\",\"bytes\":5}");
	tell_id(ID_B, "{\"identity\":\"b\",\"bytes\":7}");
	hand_over();
	reserved.view.ops->begin(reserved.view.arg);
	tell_id(ID_B, "{\"identity\":\"b\",\"bytes\":7}");
	reserved.view.ops->end(reserved.view.arg);
	assert_true(hand_over());
	assert_sum(0, "a", 5);
	assert_sum(1, "b", 7);
	assert_true(reserved.entries[0].gone_ns > 0);
	assert_int_equal(reserved.entries[1].gone_ns, 0);
	/* it is put again */
	tell_id(ID_A, "{\"identity\":\"a\",\"bytes\":6}");
	assert_int_equal(reserved.entries[0].gone_ns, 0);
	assert_true(hand_over());
	assert_sum(0, "a", 6);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(sums_for_each_identity),
		TEST(what_is_not_taken_is_handed_over_again),
		TEST(only_what_is_understood_counts),
		TEST(sums_do_not_overflow),
		TEST(their_number_is_bounded),
		TEST(what_is_not_listed_lingers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
