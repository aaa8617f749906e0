/* What a server takes from the keys of the reservations on it. */
#include "log.h"
#include "server/reserved.h"
#include "support.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define ID_A "0123456789abcdef0123456789abcdea"
#define ID_B "0123456789abcdef0123456789abcdeb"
#define ID_C "0123456789abcdef0123456789abcdec"

static struct pool pool;
static struct reserved reserved;
static struct quotas quotas;
static unsigned takes;
static bool can_take;

static int setup(void **state)
{
	struct error why;

	(void)state;
	can_take = true;
	assert_true(pool_set_url(&pool, "etcd://e1/blue"));
	quotas_open(&quotas, NULL, &pool);
	assert_int_equal(reserved_open(&reserved, NULL, &pool, "10.0.0.1:7",
				       &quotas, &why),
			 0);
	return 0;
}

static void ignore_line(enum log_level level, const char *line)
{
	(void)level, (void)line;
}

static int teardown(void **state)
{
	(void)state;
	reserved_close(&reserved);
	quotas_close(&quotas);
	log_to(ignore_line);
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

/* --- quotas --- */

static void tell_quota(const char *identity, const char *value)
{
	char key[512];
	const struct etcd_kv kv = { .key = key,
				    .value = (char *)(value ? value : ""),
				    .deleted = !value };

	snprintf(key, sizeof key, "/rswap/1/blue/tenants/%s", identity);
	quotas.view.ops->changed(quotas.view.arg, &kv);
}

static unsigned n_told;

static void count_told(enum log_level level, const char *line)
{
	assert_int_equal(level, LOG_LEVEL_ERROR);
	assert_contains(line, "identity zeta has reserved 16 on this server, "
			      "which is beyond its quota: 6 are held back");
	n_told++;
}

static void a_quota_bounds_the_sum_of_its_identity(void **state)
{
	(void)state;
	n_told = 0;
	log_to(count_told);
	tell_quota("zeta", "{\"reserve_bytes\":6}");
	tell_quota("zet", "{\"reserve_bytes\":0}");
	tell_quota("zetas", "{\"reserve_bytes\":0}");
	tell_quota("alpha", "{\"reserve_bytes\":7}");
	tell_id(ID_A, "{\"identity\":\"zeta\",\"bytes\":5}");
	tell_id(ID_B, "{\"identity\":\"alpha\",\"bytes\":7}");
	tell_id(ID_C, "{\"identity\":\"zeta\",\"bytes\":11}");
	assert_true(hand_over());
	assert_sum(0, "alpha", 7);
	assert_int_equal(reserved.sums[0].over_bytes, 0);
	assert_sum(1, "zeta", 16);
	assert_int_equal(reserved.sums[1].over_bytes, 10);
	assert_int_equal(n_told, 1);
	/* once */
	tell_id(ID_B, NULL);
	assert_true(hand_over());
	assert_int_equal(n_told, 1);
}

static void a_quota_that_changes_is_handed_over(void **state)
{
	(void)state;
	tell_id(ID_A, "{\"identity\":\"a\",\"bytes\":5}");
	assert_true(hand_over());
	assert_int_equal(reserved.sums[0].over_bytes, 0);
	tell_quota("a", "{\"reserve_bytes\":3}");
	can_take = false;
	assert_true(hand_over());
	can_take = true;
	assert_true(hand_over());
	assert_int_equal(reserved.sums[0].over_bytes, 2);
	assert_false(hand_over());
	/* the same again: each list tells of it */
	tell_quota("a", "{\"reserve_bytes\":3}");
	assert_false(hand_over());
	tell_quota("a", NULL);
	assert_true(hand_over());
	assert_int_equal(reserved.sums[0].over_bytes, 0);
}

static void what_is_no_quota_changes_none(void **state)
{
	char name[WIRE_NAME_BYTES + 1];

	(void)state;
	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	tell_quota("a", "{\"reserve_bytes\":3}");
	tell_quota("a", "what?");
	tell_quota("a", "{\"reserve_bytes\":-1}");
	tell_quota("b", "{}");
	tell_quota("", "{\"reserve_bytes\":0}");
	tell_quota(name, "{\"reserve_bytes\":0}");
	tell_quota("\033[2J", "{\"reserve_bytes\":0}");
	assert_int_equal(quotas.n, 1);
	assert_int_equal(quotas_of(&quotas, "a"), 3);
	assert_int_equal(quotas_of(&quotas, "b"), QUOTAS_ANY);
	assert_true(quotas.complained_of_key);
}

/* A list that fails halfway takes nothing away. */
static void what_is_not_listed_any_more_is_gone(void **state)
{
	(void)state;
	tell_quota("b", "{\"reserve_bytes\":3}");
	tell_quota("a", "{\"reserve_bytes\":0}");
	tell_quota("c", "{\"reserve_bytes\":4}");
	quotas.view.ops->begin(quotas.view.arg);
	tell_quota("a", "{\"reserve_bytes\":0}");
	assert_int_equal(quotas_of(&quotas, "b"), 3);
	quotas.view.ops->begin(quotas.view.arg);
	tell_quota("c", "{\"reserve_bytes\":5}");
	quotas.view.ops->end(quotas.view.arg);
	assert_int_equal(quotas.n, 1);
	assert_int_equal(quotas_of(&quotas, "a"), QUOTAS_ANY);
	assert_int_equal(quotas_of(&quotas, "c"), 5);
}

static void many_have_quotas(void **state)
{
	char name[32];

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "%u", i * 7 % 1000);
		tell_quota(name, "{\"reserve_bytes\":1}");
	}
	assert_int_equal(quotas.n, 1000);
	for (unsigned i = 1; i < quotas.n; i++)
		assert_true(strcmp(quotas.entries[i - 1].identity,
				   quotas.entries[i].identity) < 0);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "%u", i);
		assert_int_equal(quotas_of(&quotas, name), 1);
	}
}

/* --- etcd does not tell --- */

static int view_rc;
static bool is_current;

int __wrap_etcd_view_step(struct etcd_view *view, uint64_t deadline_ns,
			  struct error *why);
int __wrap_etcd_view_step(struct etcd_view *view, uint64_t deadline_ns,
			  struct error *why)
{
	(void)view, (void)deadline_ns;
	error_set(why, "bad luck");
	return view_rc;
}

bool __wrap_etcd_view_is_current(const struct etcd_view *view);
bool __wrap_etcd_view_is_current(const struct etcd_view *view)
{
	(void)view;
	return is_current;
}

static uint64_t passed_s;

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	int rc = __real_clock_gettime(clock, now);

	now->tv_sec += (time_t)passed_s;
	return rc;
}

static unsigned n_lines;

static void count_line(enum log_level level, const char *line)
{
	assert_int_equal(level, LOG_LEVEL_ERROR);
	assert_contains(line, "etcd does not tell what is reserved on this "
			      "server: bad luck");
	n_lines++;
}

/* Whether that is logged. */
static bool fails(int rc)
{
	struct error why;
	unsigned before = n_lines;

	view_rc = rc;
	is_current = false;
	assert_int_equal(reserved_step(&reserved, 0, &why), rc);
	return n_lines > before;
}

/* Its list, or all of it. */
static void works(bool also_its_watch)
{
	struct error why;
	unsigned before = n_lines;

	view_rc = 0;
	is_current = also_its_watch;
	assert_int_equal(reserved_step(&reserved, 0, &why), 0);
	assert_int_equal(n_lines, before);
}

static void a_refusal_is_told_once(void **state)
{
	static const int refusals[] = { -EACCES, -EREMOTEIO, -EMSGSIZE };

	(void)state;
	log_to(count_line);
	assert_false(fails(-ECANCELED));
	for (size_t i = 0; i < COUNT(refusals); i++) {
		assert_true(fails(refusals[i]));
		assert_false(fails(refusals[i]));
		/* the list alone is not all */
		works(false);
		assert_false(fails(refusals[i]));
		works(true);
	}
}

/* While the registration is well, for a quarter of a minute. */
static void what_lasts_is_told(void **state)
{
	static const int failures[] = { -EPROTO, -EIO, -ETIMEDOUT, -EAGAIN };

	(void)state;
	log_to(count_line);
	for (size_t i = 0; i < COUNT(failures); i++) {
		assert_false(fails(failures[i]));
		passed_s += 10;
		works(false);
		assert_false(fails(failures[i]));
		passed_s += 6;
		assert_true(fails(failures[i]));
		passed_s += 60;
		assert_false(fails(failures[i]));
		works(true);
		/* it begins anew */
		assert_false(fails(failures[i]));
		works(true);
	}
}

static void that_etcd_is_away_is_not_told_here(void **state)
{
	(void)state;
	log_to(count_line);
	for (int i = 0; i < 10; i++) {
		assert_false(fails(-EIO));
		passed_s += 10;
		reserved_rest(&reserved);
	}
	assert_false(fails(-EIO));
	passed_s += 16;
	assert_true(fails(-EIO));
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
		TEST(a_quota_bounds_the_sum_of_its_identity),
		TEST(a_quota_that_changes_is_handed_over),
		TEST(what_is_no_quota_changes_none),
		TEST(what_is_not_listed_any_more_is_gone),
		TEST(many_have_quotas),
		TEST(a_refusal_is_told_once),
		TEST(what_lasts_is_told),
		TEST(that_etcd_is_away_is_not_told_here),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
