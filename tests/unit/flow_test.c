#include "answer.h"
#include "flow.h"
#include "spark.h"
#include "support.h"

static void bars_stand_on_the_right(void **state)
{
	struct spark spark = { 0 };

	(void)state;
	assert_string_equal(spark_draw(&spark, 4, true).text, "    ");
	spark_add(&spark, 0);
	spark_add(&spark, 7);
	assert_string_equal(spark_draw(&spark, 4, true).text, "  \u2581\u2588");
	assert_string_equal(spark_draw(&spark, 4, false).text, "  _#");
	assert_string_equal(spark_draw(&spark, 1, false).text, "#");
	assert_string_equal(spark_draw(&spark, 0, false).text, "");
}

static void the_highest_that_is_shown_has_the_highest_bar(void **state)
{
	struct spark spark = { 0 };

	(void)state;
	for (int i = 0; i <= 7; i++)
		spark_add(&spark, i);
	assert_string_equal(spark_draw(&spark, 8, false).text, "_:-=+*##");
	for (int i = 0; i < 2; i++)
		spark_add(&spark, 0.1);
	assert_string_equal(spark_draw(&spark, 2, false).text, "##");
}

static void old_values_are_forgotten(void **state)
{
	struct spark spark = { 0 };

	(void)state;
	spark_add(&spark, 1e9);
	for (int i = 0; i < SPARK_VALUES; i++)
		spark_add(&spark, 1);
	for (int i = 0; i < 3; i++) {
		struct spark_text drawn =
			spark_draw(&spark, SPARK_VALUES + 100, false);

		assert_int_equal(strlen(drawn.text), SPARK_VALUES);
		assert_int_equal(drawn.text[0], '#');
	}
}

static const struct flow *look(const char *name, const char *counts,
			       uint64_t pid, uint64_t s)
{
	struct error why;
	struct json_object *answer = answer_parse(counts, &why);
	const struct flow *flow;

	assert_non_null(answer);
	flow = flow_look(name, answer, pid, s * 1000000000);
	answer_put(answer);
	assert_non_null(flow);
	return flow;
}

static void rates_are_by_time(void **state)
{
	const struct flow *flow;

	(void)state;
	assert_false(look("a", "{\"reads\":100}", 7, 10)->known);
	assert_false(look("b", "{\"reads\":5000}", 7, 10)->known);
	flow = look("a", "{\"reads\":200,\"write_bytes\":8192}", 7, 12);
	assert_true(flow->known);
	assert_true(flow->reads == 50 && flow->writes == 0);
	assert_true(flow->read_bytes == 0 && flow->write_bytes == 4096);
	assert_int_equal(flow->past_reads.n, 1);
}

static void a_new_process_begins_anew(void **state)
{
	(void)state;
	look("c", "{\"reads\":100}", 7, 10);
	assert_false(look("c", "{\"reads\":300}", 8, 11)->known);
	/* and what went back has no rate, rather than a huge one */
	assert_true(look("c", "{\"reads\":10}", 8, 12)->reads == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bars_stand_on_the_right),
		cmocka_unit_test(the_highest_that_is_shown_has_the_highest_bar),
		cmocka_unit_test(old_values_are_forgotten),
		cmocka_unit_test(rates_are_by_time),
		cmocka_unit_test(a_new_process_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
