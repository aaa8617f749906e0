/* What etcd answers, and what it is asked. */
#include "etcd/answer.h"
#include "etcd/b64.h"
#include "etcd/request.h"
#include "support.h"

#include <errno.h>
#include <stdlib.h>

#define HEADER                                                                 \
	"\"header\":{\"cluster_id\":\"18446744073709551615\","                 \
	"\"revision\":\"41\",\"raft_term\":\"2\"}"

static struct etcd_answer answer;

static void parse(const char *text)
{
	struct error why = { "" };

	etcd_answer_free(&answer);
	if (etcd_answer_parse(text, strlen(text), &answer, &why))
		fail_msg("%s: %s", text, why.text);
}

static void assert_no_answer(const char *text)
{
	struct error why = { "" };

	etcd_answer_free(&answer);
	assert_int_equal(etcd_answer_parse(text, strlen(text), &answer, &why),
			 -EPROTO);
	assert_string_equal(why.text,
			    "what answers is not etcd's API of version 3");
}

static int empty(void **state)
{
	(void)state;
	etcd_answer_free(&answer);
	return 0;
}

static void leases(void **state)
{
	(void)state;
	parse("{" HEADER ",\"ID\":\"2324035706637693445\",\"TTL\":\"10\"}");
	assert_true(answer.cluster == UINT64_MAX);
	assert_int_equal(answer.revision, 41);
	assert_true(answer.lease == 2324035706637693445);
	assert_int_equal(answer.ttl_s, 10);
	/* a stream's; the lease is gone */
	parse("{\"result\":{" HEADER ",\"ID\":\"7\"}}");
	assert_int_equal(answer.lease, 7);
	assert_int_equal(answer.ttl_s, 0);
}

static void keys_of_a_range(void **state)
{
	(void)state;
	parse("{" HEADER ",\"kvs\":[{\"key\":\"L2E=\",\"value\":\"\"},"
	      "{\"key\":\"L2I=\",\"value\":\"eCB5\",\"lease\":\"9\","
	      "\"mod_revision\":\"40\"}],\"more\":true,\"count\":\"5\"}");
	assert_int_equal(answer.n, 2);
	assert_true(answer.more);
	assert_string_equal(answer.kvs[0].key, "/a");
	assert_string_equal(answer.kvs[0].value, "");
	assert_string_equal(answer.kvs[1].key, "/b");
	assert_string_equal(answer.kvs[1].value, "x y");
	assert_int_equal(answer.kvs[1].lease, 9);
	assert_int_equal(answer.kvs[1].mod_revision, 40);
	/* "x", NUL, "y" is nobody's value, and the others count */
	parse("{" HEADER ",\"kvs\":[{\"key\":\"L2E=\",\"value\":\"eAB5\"},"
	      "{\"key\":\"L2I=\",\"value\":\"eCB5\"}],\"count\":\"2\"}");
	assert_int_equal(answer.n, 2);
	assert_string_equal(answer.kvs[0].value, "");
	assert_string_equal(answer.kvs[1].value, "x y");
	parse("{" HEADER "}");
	assert_int_equal(answer.n, 0);
	assert_null(answer.last);
}

/* Whoever may write one key must not be able to hide the others. */
static void keys_with_a_nul_are_skipped(void **state)
{
	(void)state;
	/* "/a", NUL, "x" and "/b" */
	parse("{" HEADER ",\"kvs\":[{\"key\":\"L2EAeA==\",\"value\":\"eA==\"},"
	      "{\"key\":\"L2I=\",\"value\":\"eCB5\"}],\"count\":\"2\"}");
	assert_int_equal(answer.n, 1);
	assert_string_equal(answer.kvs[0].key, "/b");
	assert_string_equal(answer.kvs[0].value, "x y");
	assert_int_equal(answer.last_bytes, 2);
	assert_memory_equal(answer.last, "/b", 3);
	/* the next page begins behind all of it */
	parse("{" HEADER ",\"kvs\":[{\"key\":\"L2EAeA==\"}],\"more\":true}");
	assert_int_equal(answer.n, 0);
	assert_null(answer.kvs);
	assert_int_equal(answer.last_bytes, 4);
	assert_memory_equal(answer.last, "/a\0x", 5);
	/* "/a", NUL; the lone NUL; and the end of one */
	parse("{\"result\":{" HEADER ",\"events\":["
	      "{\"kv\":{\"key\":\"L2EA\",\"value\":\"eA==\"}},"
	      "{\"kv\":{\"key\":\"AA==\",\"value\":\"eA==\"}},"
	      "{\"type\":\"DELETE\",\"kv\":{\"key\":\"L2EA\"}},"
	      "{\"type\":\"DELETE\",\"kv\":{\"key\":\"L2I=\"}}]}}");
	assert_int_equal(answer.n, 1);
	assert_string_equal(answer.kvs[0].key, "/b");
	assert_true(answer.kvs[0].deleted);
}

static void a_transaction(void **state)
{
	(void)state;
	parse("{" HEADER ",\"succeeded\":true,\"responses\":[{\"response_put\":"
	      "{\"header\":{\"revision\":\"41\"}}}]}");
	assert_true(answer.succeeded);
	assert_int_equal(answer.n, 0);
	parse("{" HEADER ",\"responses\":[{\"response_range\":{\"kvs\":[{"
	      "\"key\":\"L2E=\",\"value\":\"eA==\"}]}}]}");
	assert_false(answer.succeeded);
	assert_int_equal(answer.n, 1);
	assert_string_equal(answer.kvs[0].value, "x");
}

static void lines_of_a_watch(void **state)
{
	(void)state;
	parse("{\"result\":{" HEADER ",\"created\":true}}");
	assert_true(answer.created);
	parse("{\"result\":{" HEADER ",\"events\":["
	      "{\"kv\":{\"key\":\"L2E=\",\"value\":\"eA==\"}},"
	      "{\"type\":\"DELETE\",\"kv\":{\"key\":\"L2E=\"}}]}}");
	assert_int_equal(answer.n, 2);
	assert_false(answer.kvs[0].deleted);
	assert_true(answer.kvs[1].deleted);
	assert_string_equal(answer.kvs[1].value, "");
	parse("{\"result\":{" HEADER ",\"canceled\":true,"
	      "\"compact_revision\":\"40\"}}");
	assert_true(answer.canceled);
	assert_int_equal(answer.compact_revision, 40);
}

static void errors(void **state)
{
	(void)state;
	parse("{\"error\":\"no \\n such\",\"message\":\"m\",\"code\":5}");
	assert_int_equal(answer.code, ETCD_NOT_FOUND);
	assert_string_equal(answer.message, "no ? such");
	parse("{\"code\":16,\"message\":\"old\"}"); /* etcd 3.6 */
	assert_int_equal(answer.code, ETCD_TOKEN);
	assert_string_equal(answer.message, "old");
	parse("{\"error\":{\"grpc_code\":14,\"http_code\":503,"
	      "\"message\":\"no leader\"}}");
	assert_int_equal(answer.code, ETCD_UNAVAILABLE);
	assert_string_equal(answer.message, "no leader");
	parse("{\"error\":\"\",\"code\":100000}");
	assert_int_not_equal(answer.code, ETCD_OK);
	assert_string_equal(answer.message, "an error without a word");
}

static void what_is_no_answer(void **state)
{
	static const char *const texts[] = {
		"",
		"x",
		"Not Found",
		"[]",
		"{}",
		"7",
		"{\"result\":{}}",
		"{\"header\":7}",
		"{" HEADER,
		"{" HEADER ",\"kvs\":[7]}",
		"{" HEADER ",\"kvs\":[{\"value\":\"eA==\"}]}",
		"{" HEADER ",\"kvs\":[{\"key\":\"L2\",\"value\":\"*\"}]}",
		"{\"result\":{" HEADER ",\"events\":[{\"type\":\"DELETE\"}]}}",
		"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{"
		"\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{"
		"}}}}}}}}}}}}}}}}}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++)
		assert_no_answer(texts[i]);
}

static void assert_asks(char *body, const char *expected)
{
	assert_non_null(body);
	assert_string_equal(body, expected);
	free(body);
}

static void requests(void **state)
{
	struct etcd_page page = { .prefix = "/a/", .limit = 10 };

	(void)state;
	/* "/a/" to "/a0" */
	assert_asks(etcd_request_range(&page),
		    "{\"key\":\"L2Ev\",\"range_end\":\"L2Ew\",\"limit\":10}");
	/* behind "/a/1" is "/a/1" and a NUL */
	page.after = "/a/1";
	page.after_bytes = 4;
	page.revision = 7;
	assert_asks(etcd_request_range(&page),
		    "{\"key\":\"L2EvMQA=\",\"range_end\":\"L2Ew\","
		    "\"limit\":10,\"revision\":7}");
	/* "/a/", NUL, "1" and a NUL */
	page.after = "/a/\0"
		     "1";
	page.after_bytes = 5;
	page.keys_only = true;
	assert_asks(etcd_request_range(&page),
		    "{\"key\":\"L2EvADEA\",\"range_end\":\"L2Ew\","
		    "\"limit\":10,\"revision\":7,\"keys_only\":true}");
	assert_asks(etcd_request_put("/a", "", 9),
		    "{\"key\":\"L2E=\",\"value\":\"\",\"lease\":9}");
	assert_asks(etcd_request_put_if("/a", 8, "/b", "x", 9),
		    "{\"compare\":[{\"key\":\"L2E=\",\"target\":\"LEASE\","
		    "\"result\":\"EQUAL\",\"lease\":8}],\"success\":[{"
		    "\"request_put\":{\"key\":\"L2I=\",\"value\":\"eA==\","
		    "\"lease\":9}}],\"failure\":[{\"request_range\":{"
		    "\"key\":\"L2E=\"}}]}");
	assert_asks(etcd_request_grant(10), "{\"TTL\":10}");
	assert_asks(etcd_request_lease(10), "{\"ID\":10}");
	assert_asks(etcd_request_authenticate("me", "\""),
		    "{\"name\":\"me\",\"password\":\"\\\"\"}");
	assert_asks(etcd_request_watch("/a/", 42),
		    "{\"create_request\":{\"key\":\"L2Ev\","
		    "\"range_end\":\"L2Ew\",\"start_revision\":42}}");
}

static void base64(void **state)
{
	char bytes[] = { 0, 1, (char)0xff, 'x' };
	char *text = b64_encode(bytes, sizeof bytes), *back;
	size_t n;

	(void)state;
	assert_string_equal(text, "AAH/eA==");
	back = b64_decode(text, strlen(text), &n);
	assert_int_equal(n, sizeof bytes);
	assert_memory_equal(back, bytes, n);
	free(text);
	free(back);
	assert_null(b64_decode("*", 1, &n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(leases, empty),
		cmocka_unit_test_teardown(keys_of_a_range, empty),
		cmocka_unit_test_teardown(keys_with_a_nul_are_skipped, empty),
		cmocka_unit_test_teardown(a_transaction, empty),
		cmocka_unit_test_teardown(lines_of_a_watch, empty),
		cmocka_unit_test_teardown(errors, empty),
		cmocka_unit_test_teardown(what_is_no_answer, empty),
		cmocka_unit_test(requests),
		cmocka_unit_test(base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
