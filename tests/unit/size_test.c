#include "size.h"
#include "support.h"

static void sizes_are_powers_of_1024(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "4k", 4096 },
		{ "1K", 1024 },
		{ "512M", UINT64_C(512) << 20 },
		{ "64g", UINT64_C(64) << 30 },
		{ "2T", UINT64_C(2) << 40 },
		{ "007", 7 },
		{ "9223372036854775807", INT64_MAX },
		{ "8388607T", UINT64_C(8388607) << 40 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(good); i++) {
		uint64_t bytes = 1;

		assert_true(size_parse(good[i].text, &bytes));
		assert_int_equal(bytes, good[i].bytes);
	}
}

static void what_is_no_size_is_refused_and_changes_nothing(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"K",
		"-1",
		"+1",
		"1.5G",
		"4 K",
		"4KB",
		"4KK",
		"4Q",
		"4\n",
		" 4",
		"0x10",
		"1e9",
		"9223372036854775808",
		"8388608T",
		"18446744073709551616",
		"99999999999999999999",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		uint64_t bytes = 77;

		if (size_parse(bad[i], &bytes))
			fail_msg("\"%s\" passed as a size", bad[i]);
		assert_int_equal(bytes, 77);
	}
}

static void numbers_keep_within_their_bounds(void **state)
{
	uint64_t n = 77;

	(void)state;
	assert_false(number_parse("0", 1, 256, &n));
	assert_false(number_parse("257", 1, 256, &n));
	assert_false(number_parse("16K", 1, 1 << 20, &n));
	assert_false(number_parse("", 0, 256, &n));
	assert_false(number_parse("-1", 0, 256, &n));
	assert_false(number_parse("18446744073709551616", 0, UINT64_MAX, &n));
	assert_int_equal(n, 77);
	assert_true(number_parse("1", 1, 256, &n));
	assert_int_equal(n, 1);
	assert_true(number_parse("256", 1, 256, &n));
	assert_int_equal(n, 256);
	assert_true(number_parse("18446744073709551615", 0, UINT64_MAX, &n));
	assert_true(n == UINT64_MAX);
}

static void the_shortest_exact_form_is_shown(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} shown[] = {
		{ 0, "0" },
		{ 1, "1" },
		{ 1023, "1023" },
		{ 1024, "1K" },
		{ 4097, "4097" },
		{ UINT64_C(1536) << 20, "1536M" },
		{ UINT64_C(64) << 30, "64G" },
		{ UINT64_C(1) << 50, "1024T" },
		{ UINT64_MAX, "18446744073709551615" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(shown); i++)
		assert_string_equal(size_format(shown[i].bytes).text,
				    shown[i].text);
}

static void what_is_shown_parses_to_the_same(void **state)
{
	uint64_t seed = random_seed();

	(void)state;
	for (int i = 0; i < 10000; i++) {
		unsigned shift = 1 + (unsigned)(random_next(&seed) % 63);
		uint64_t bytes = random_next(&seed) >> shift << (shift / 2);
		uint64_t again = 0;

		bytes &= INT64_MAX;
		assert_true(size_parse(size_format(bytes).text, &again));
		assert_true(again == bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_powers_of_1024),
		cmocka_unit_test(
			what_is_no_size_is_refused_and_changes_nothing),
		cmocka_unit_test(numbers_keep_within_their_bounds),
		cmocka_unit_test(the_shortest_exact_form_is_shown),
		cmocka_unit_test(what_is_shown_parses_to_the_same),
	};

	return cmocka_run_group_tests_name("size", tests, NULL, NULL);
}
