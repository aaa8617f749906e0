#include "size.h"
#include "sizeexpr.h"
#include "support.h"

#define RAM (UINT64_C(24683652) << 10) /* not a multiple of a MiB */

static void expect(const char *text, const char *wanted)
{
	uint64_t bytes = 0;
	struct error why = { "" };

	if (!sizeexpr_parse(text, RAM, &bytes, &why))
		fail_msg("%s: %s", text, why.text);
	assert_string_equal(size_format(bytes).text, wanted);
}

static void expect_wrong(const char *text, const char *wanted)
{
	uint64_t bytes = 17;
	struct error why = { "" };

	assert_false(sizeexpr_parse(text, RAM, &bytes, &why));
	assert_int_equal(bytes, 17);
	assert_string_equal(why.text, wanted);
}

static void a_plain_size_is_taken_as_it_is(void **state)
{
	(void)state;
	expect("64G", "64G");
	expect("1m", "1M");
	expect("4097", "4097");
}

static void expressions_have_values(void **state)
{
	(void)state;
	expect("ram", "24105M"); /* rounded down */
	expect("ram / 2", "12052M");
	expect("ram/2", "12052M");
	expect("min(ram, 64G)", "24105M");
	expect("min(ram / 2, 4G)", "4G");
	expect("max(1G, 3G, 2G)", "3G");
	expect("min( ram ,max(1G,2G) )", "2G");
	expect("0.5 * 3G", "1536M");
	expect("1.5G", "1536M");
	expect(" 2G + 1G * 2 ", "4G");
	expect("(2G + 1G) * 2", "6G");
	expect("8G - 4G - 2G", "2G");
	expect("8G / 2 / 2", "2G");
	expect("4097 + 0", "0"); /* an expression is rounded */
}

static void the_place_of_a_fault_is_told(void **state)
{
	(void)state;
	expect_wrong("", "it ends too early");
	expect_wrong("ram /", "it ends too early");
	expect_wrong("min(ram, 64G", "it ends too early");
	expect_wrong("ram / two", "\"two\" is not understood");
	expect_wrong("rams", "\"rams\" is not understood");
	expect_wrong("RAM", "\"RAM\" is not understood");
	expect_wrong("64X", "\"X\" is not understood");
	expect_wrong("64GB", "\"GB\" is not understood");
	expect_wrong("ram 2", "\"2\" is not understood");
	expect_wrong("(ram))", "\")\" is not understood");
	expect_wrong("(1G, 2G)", "\", 2G)\" is not understood");
	expect_wrong("min ram", "\"min ram\" is not understood");
	expect_wrong("-1G", "\"-1G\" is not understood");
	expect_wrong("inf", "\"inf\" is not understood");
	expect_wrong("1G - ram", "its value is no size");
	expect_wrong("ram * ram", "its value is no size");
	expect_wrong("ram / (1G - 1G)", "it divides by 0");
	expect_wrong("0 / 0", "it divides by 0");
}

static void depth_has_a_limit(void **state)
{
	char text[200] = "";
	uint64_t bytes;
	struct error why;

	(void)state;
	memset(text, '(', 100);
	assert_false(sizeexpr_parse(text, RAM, &bytes, &why));
	expect("((((((((ram))))))))", "24105M");
	/* next to each other is not in each other */
	expect("(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)"
	       "+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+(1)+("
	       "1)"
	       "+(1)+(1)+(1)+(1M)",
	       "1M");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_size_is_taken_as_it_is),
		cmocka_unit_test(expressions_have_values),
		cmocka_unit_test(the_place_of_a_fault_is_told),
		cmocka_unit_test(depth_has_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
