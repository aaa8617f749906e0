/* pool/etcd/range.c: a list in as many answers as it takes, whatever others
 * have put between our keys. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "etcd/cluster.h"
#include "etcd/etcd.h"
#include "support.h"

#define KEYS_MAX 3000
/* The most that the etcd here answers. */
#define ANSWER_BYTES 8000

/* --- an etcd --- */

static unsigned n_keys, calls, calls_of_one;
static size_t bytes[KEYS_MAX]; /* of the key's value */
static bool has_nul[KEYS_MAX]; /* the key has */
static bool is_huge;	       /* no answer is small enough */
static struct etcd_page asked;

char *__wrap_etcd_request_range(const struct etcd_page *page);
char *__wrap_etcd_request_range(const struct etcd_page *page)
{
	asked = *page;
	return strdup("");
}

/* The first key behind that one. */
static unsigned first_behind(const struct etcd_page *page)
{
	unsigned i = 0;

	if (!page->after)
		return 0;
	assert_int_equal(sscanf(page->after, "/a/%u", &i), 1);
	assert_int_equal(page->after_bytes,
			 strlen(page->after) + 2 * has_nul[i]);
	return i + 1;
}

static void add_key(struct etcd_answer *answer, unsigned i)
{
	struct etcd_kv *kv = &answer->kvs[answer->n];
	char key[16] = "";

	snprintf(key, sizeof key, "/a/%u", i);
	answer->last_bytes = strlen(key) + 2 * has_nul[i];
	free(answer->last);
	answer->last = malloc(sizeof key);
	assert_non_null(answer->last);
	memcpy(answer->last, key, sizeof key);
	if (has_nul[i])
		return;
	kv->key = strdup(key);
	kv->value = strdup(asked.keys_only ? "" : "x");
	answer->n++;
}

static int answer_page(struct etcd_answer *answer)
{
	unsigned i = first_behind(&asked);
	unsigned end = n_keys - i < asked.limit ? n_keys : i + asked.limit;
	size_t sum = 0;

	answer->kvs = calloc(asked.limit, sizeof *answer->kvs);
	assert_non_null(answer->kvs);
	for (; i < end; i++) {
		sum += 100 * has_nul[i] + (asked.keys_only ? 1 : bytes[i]);
		add_key(answer, i);
	}
	answer->more = end < n_keys;
	answer->revision = 7;
	if (sum <= ANSWER_BYTES && !is_huge)
		return 0;
	etcd_answer_free(answer);
	return -EMSGSIZE;
}

int __wrap_cluster_call(struct etcd *etcd, const char *path, char *body,
			uint64_t deadline_ns, struct etcd_answer *answer,
			struct error *why);
int __wrap_cluster_call(struct etcd *etcd, const char *path, char *body,
			uint64_t deadline_ns, struct etcd_answer *answer,
			struct error *why)
{
	(void)etcd;
	assert_string_equal(path, "/v3/kv/range");
	assert_int_equal(deadline_ns, 5);
	assert_int_equal(asked.revision, calls ? asked.revision : 0);
	free(body);
	calls++;
	calls_of_one += asked.limit == 1;
	*answer = (struct etcd_answer){ 0 };
	error_set(why, "too large");
	return answer_page(answer);
}

/* --- the list --- */

static unsigned next_key, empty_values;

static void take(void *arg, const struct etcd_kv *kvs, unsigned n)
{
	(void)arg;
	for (unsigned i = 0; i < n; i++) {
		char key[16];

		while (has_nul[next_key])
			next_key++;
		snprintf(key, sizeof key, "/a/%u", next_key);
		assert_string_equal(kvs[i].key, key);
		empty_values += !*kvs[i].value;
		next_key++;
	}
}

static int list(void)
{
	uint64_t revision;
	struct error why;
	int rc = etcd_range(NULL, "/a/", 5, take, NULL, &revision, &why);

	assert_true(rc || revision == 7);
	return rc;
}

static void assert_lists_all(void)
{
	assert_int_equal(list(), 0);
	while (next_key < n_keys && has_nul[next_key])
		next_key++;
	assert_int_equal(next_key, n_keys);
}

static int begin(void **state)
{
	(void)state;
	n_keys = KEYS_MAX;
	calls = calls_of_one = next_key = empty_values = 0;
	is_huge = false;
	for (unsigned i = 0; i < KEYS_MAX; i++) {
		bytes[i] = 1;
		has_nul[i] = false;
	}
	return 0;
}

static void a_thousand_at_a_time(void **state)
{
	(void)state;
	assert_lists_all();
	assert_int_equal(calls, 3);
}

/* Four fit into an answer. */
static void fewer_where_values_are_large(void **state)
{
	(void)state;
	n_keys = 100;
	for (unsigned i = 0; i < n_keys; i++)
		bytes[i] = ANSWER_BYTES / 4;
	assert_lists_all();
	assert_int_equal(empty_values, 0);
	assert_true(calls < 80);
}

static void a_value_that_is_too_large_hides_no_other_key(void **state)
{
	(void)state;
	bytes[1500] = ANSWER_BYTES + 1;
	assert_lists_all();
	assert_int_equal(empty_values, 1);
	/* and the rest is listed by thousands again */
	assert_true(calls < 40);
	assert_int_equal(calls_of_one, 2);
}

static void all_values_are_too_large(void **state)
{
	(void)state;
	n_keys = 50;
	for (unsigned i = 0; i < n_keys; i++)
		bytes[i] = ANSWER_BYTES + 1;
	assert_lists_all();
	assert_int_equal(empty_values, n_keys);
}

static void pages_of_keys_that_are_left_out(void **state)
{
	(void)state;
	for (unsigned i = 900; i < 2500; i++)
		has_nul[i] = true;
	assert_lists_all();
}

static void it_ends_where_nothing_is_small_enough(void **state)
{
	(void)state;
	is_huge = true;
	assert_int_equal(list(), -EMSGSIZE);
	assert_true(calls < 20);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, begin)
	const struct CMUnitTest tests[] = {
		TEST(a_thousand_at_a_time),
		TEST(fewer_where_values_are_large),
		TEST(a_value_that_is_too_large_hides_no_other_key),
		TEST(all_values_are_too_large),
		TEST(pages_of_keys_that_are_left_out),
		TEST(it_ends_where_nothing_is_small_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
