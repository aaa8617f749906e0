/* The text format of Prometheus. */
#include <stdlib.h>
#include <string.h>

#include "promtext.h"
#include "support.h"

static char *text;
static size_t bytes;
static struct promtext p;

static void begin(void)
{
	p = (struct promtext){ .out = open_memstream(&text, &bytes) };
	assert_non_null(p.out);
}

static void expect(const char *wanted)
{
	fclose(p.out);
	assert_string_equal(text, wanted);
	free(text);
}

static void family_has_help_type_and_samples(void **state)
{
	(void)state;
	begin();
	promtext_family(&p, "rswap_bytes_total", "counter", "Bytes.");
	promtext_label(&p, "op", "read");
	promtext_label(&p, "server", "10.0.0.1:10909");
	promtext_integer(&p, UINT64_MAX);
	promtext_label(&p, "op", "write");
	promtext_integer(&p, 0);
	promtext_gauge(&p, "rswap_pages", "Pages.", 7);
	promtext_counter(&p, "rswap_x_total", "X.", 8);
	expect("# HELP rswap_bytes_total Bytes.\n"
	       "# TYPE rswap_bytes_total counter\n"
	       "rswap_bytes_total{op=\"read\",server=\"10.0.0.1:10909\"} "
	       "18446744073709551615\n"
	       "rswap_bytes_total{op=\"write\"} 0\n"
	       "# HELP rswap_pages Pages.\n"
	       "# TYPE rswap_pages gauge\n"
	       "rswap_pages 7\n"
	       "# HELP rswap_x_total X.\n"
	       "# TYPE rswap_x_total counter\n"
	       "rswap_x_total 8\n");
}

static void labels_are_escaped(void **state)
{
	(void)state;
	begin();
	p.name = "m";
	promtext_label(&p, "a", "q\" b\\ n\n \xff \x7f");
	promtext_integer(&p, 1);
	promtext_label(&p, "empty", "");
	promtext_integer(&p, 2);
	expect("m{a=\"q\\\" b\\\\ n? ? ?\"} 1\n"
	       "m{empty=\"\"} 2\n");
}

/* A label is there whole, or not at all. */
static void labels_are_bounded(void **state)
{
	char fits[PROMTEXT_LABELS_BYTES - 7], longer[PROMTEXT_LABELS_BYTES * 2];
	char quotes[PROMTEXT_LABELS_BYTES - 20], wanted[1024];

	(void)state;
	memset(fits, 'x', sizeof fits - 1);
	fits[sizeof fits - 1] = '\0';
	memset(longer, 'y', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	memset(quotes, '"', sizeof quotes - 1);
	quotes[sizeof quotes - 1] = '\0';
	begin();
	p.name = "m";
	promtext_label(&p, "b", longer);
	promtext_label(&p, "c", quotes);
	promtext_label(&p, "a", fits);
	promtext_label(&p, "d", "1");
	promtext_integer(&p, 1);
	snprintf(wanted, sizeof wanted, "m{a=\"%s\"} 1\n", fits);
	expect(wanted);
}

static void times_are_seconds(void **state)
{
	(void)state;
	begin();
	p.name = "rswap_start_time_seconds";
	promtext_seconds(&p, 1700000000000000001ull);
	promtext_seconds(&p, 1);
	promtext_seconds(&p, 0);
	expect("rswap_start_time_seconds 1700000000.000000001\n"
	       "rswap_start_time_seconds 0.000000001\n"
	       "rswap_start_time_seconds 0.000000000\n");
}

static void histogram_keeps_its_labels(void **state)
{
	(void)state;
	begin();
	promtext_family(&p, "d_seconds", "histogram", "D.");
	promtext_label(&p, "op", "read");
	promtext_bucket(&p, 4096, 1);
	promtext_bucket(&p, 17179869184ull, 5);
	promtext_bucket(&p, UINT64_MAX, 6);
	promtext_histogram_end(&p, 1500000000, 6);
	promtext_bucket(&p, UINT64_MAX, 0);
	promtext_histogram_end(&p, 0, 0);
	expect("# HELP d_seconds D.\n"
	       "# TYPE d_seconds histogram\n"
	       "d_seconds_bucket{op=\"read\",le=\"4.096e-06\"} 1\n"
	       "d_seconds_bucket{op=\"read\",le=\"17.179869184\"} 5\n"
	       "d_seconds_bucket{op=\"read\",le=\"+Inf\"} 6\n"
	       "d_seconds_sum{op=\"read\"} 1.500000000\n"
	       "d_seconds_count{op=\"read\"} 6\n"
	       "d_seconds_bucket{le=\"+Inf\"} 0\n"
	       "d_seconds_sum 0.000000000\n"
	       "d_seconds_count 0\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(family_has_help_type_and_samples),
		cmocka_unit_test(labels_are_escaped),
		cmocka_unit_test(labels_are_bounded),
		cmocka_unit_test(times_are_seconds),
		cmocka_unit_test(histogram_keeps_its_labels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
