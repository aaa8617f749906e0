#include "support.h"
#include "words.h"

static void ages_are_in_words(void **state)
{
	(void)state;
	assert_string_equal(words_ago(0).text, "0.0 s ago");
	assert_string_equal(words_ago(412).text, "0.4 s ago");
	assert_string_equal(words_ago(10000).text, "10 s ago");
	assert_string_equal(words_ago(59999).text, "59 s ago");
	assert_string_equal(words_ago(60000).text, "1 min ago");
	assert_string_equal(words_ago(200000).text, "3 min 20 s ago");
	assert_string_equal(words_ago(7500000).text, "2 h 5 min ago");
	assert_string_equal(words_ago(86400000).text, "1 day ago");
	assert_string_equal(words_ago(UINT64_C(277200000)).text,
			    "3 days 5 h ago");
}

static void spans_are_in_words(void **state)
{
	(void)state;
	assert_string_equal(words_span(0).text, "0 s");
	assert_string_equal(words_span(3600).text, "1 h");
	assert_string_equal(words_span(3661).text, "1 h 1 min");
}

static void sizes_are_rounded(void **state)
{
	(void)state;
	assert_string_equal(words_bytes(0).text, "0 B");
	assert_string_equal(words_bytes(1023).text, "1023 B");
	assert_string_equal(words_bytes(UINT64_C(64) << 30).text, "64 GiB");
	assert_string_equal(words_bytes(UINT64_C(3) << 29).text, "1.5 GiB");
	assert_string_equal(words_bytes(UINT64_MAX).text, "16384 PiB");
}

static void latencies_have_two_digits_or_three(void **state)
{
	(void)state;
	assert_string_equal(words_latency(0).text, "0 us");
	assert_string_equal(words_latency(23.4).text, "23 us");
	assert_string_equal(words_latency(999.4).text, "999 us");
	assert_string_equal(words_latency(999.6).text, "1.0 ms");
	assert_string_equal(words_latency(9949).text, "9.9 ms");
	assert_string_equal(words_latency(9960).text, "10 ms");
	assert_string_equal(words_latency(999600).text, "1.0 s");
	assert_string_equal(words_latency(2500000).text, "2.5 s");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ages_are_in_words),
		cmocka_unit_test(spans_are_in_words),
		cmocka_unit_test(sizes_are_rounded),
		cmocka_unit_test(latencies_have_two_digits_or_three),
	};

	return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
