/* How many log lines peers may cause. */
#include "output/output.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#include "log.h"
#include "output/peerlimit.h"

#define FLOOD 1000

static char lines[FLOOD * 4][128];
static unsigned line_count;

static void keep(enum log_level level, const char *line)
{
	(void)level;
	assert_true(line_count < COUNT(lines));
	snprintf(lines[line_count++], sizeof lines[0], "%s", line);
}

static int setup(void **state)
{
	(void)state;
	line_count = 0;
	log_to(keep);
	return 0;
}

static unsigned lines_with(const char *text)
{
	unsigned n = 0;

	for (unsigned i = 0; i < line_count; i++)
		n += strstr(lines[i], text) != NULL;
	return n;
}

static struct net_text peer(const char *format, unsigned a, unsigned b)
{
	struct net_text text;
	const char *hash = strchr(format, '#');

	snprintf(text.text, sizeof text.text, "%.*s%x%.*s%u",
		 (int)(hash - format), format, a, (int)strcspn(hash + 1, "#"),
		 hash + 1, b);
	return text;
}

static void one_peer_hides_no_other(void **state)
{
	struct net_text good = { "10.0.0.2:5" };

	(void)state;
	for (unsigned i = 0; i < FLOOD; i++) {
		/* each connection has another port */
		struct net_text bad = { "" };

		snprintf(bad.text, sizeof bad.text, "10.0.0.1:%u", i + 1);
		output_peer(&bad, "is bad");
		output_news(&bad, "comes again");
	}
	/* a test that is stopped for long sees more than one second */
	assert_true(lines_with("10.0.0.1:") < FLOOD / 2);
	assert_true(lines_with("comes again") < FLOOD / 2);
	output_peer(&good, "has a problem");
	output_news(&good, "has news");
	assert_int_equal(lines_with("10.0.0.2:5: has a problem"), 1);
	assert_int_equal(lines_with("has news"), 1);
}

/* A host that has one IPv6 address of a network has them all. */
static void a_network_is_one_peer(void **state)
{
	struct net_text good = { "[2001:db8:0:2::1]:5" };

	(void)state;
	for (unsigned i = 0; i < FLOOD; i++) {
		struct net_text bad = peer("[2001:db8:0:1::#]:#", i, 7);

		output_peer(&bad, "is bad");
	}
	assert_true(lines_with("is bad") < FLOOD / 2);
	output_peer(&good, "has a problem");
	assert_int_equal(lines_with("has a problem"), 1);
}

/* As many as there are link-local addresses: a machine each. */
static void neighbours_are_told_apart(void **state)
{
	struct net_text good = { "[fe80::2%eth0]:5" };
	struct net_text bad = { "[fe80::1%eth0]:5" };

	(void)state;
	for (unsigned i = 0; i < FLOOD; i++)
		output_peer(&bad, "is bad");
	output_peer(&good, "has a problem");
	assert_int_equal(lines_with("has a problem"), 1);
}

/* From more addresses than there are places: the lines are few, and those of a
 * peer that was there before get through. */
static void many_addresses_are_bounded(void **state)
{
	static struct peerlimit table = PEERLIMIT_INIT(2);
	struct net_text early = { "10.77.0.2:5" };
	unsigned allowed = 0;
	uint32_t left_out;

	(void)state;
	assert_true(log_limit_allows(peerlimit_of(&table, &early), &left_out));
	for (unsigned i = 0; i < 20 * FLOOD; i++) {
		struct net_text bad = { "" };

		snprintf(bad.text, sizeof bad.text, "10.%u.%u.%u:9", i >> 16,
			 i >> 8 & 255, i & 255);
		allowed +=
			log_limit_allows(peerlimit_of(&table, &bad), &left_out);
	}
	assert_true(allowed < 10 * FLOOD);
	assert_true(log_limit_allows(peerlimit_of(&table, &early), &left_out));
	assert_ptr_not_equal(peerlimit_of(&table, &early), &table.others);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(one_peer_hides_no_other, setup),
		cmocka_unit_test_setup(a_network_is_one_peer, setup),
		cmocka_unit_test_setup(neighbours_are_told_apart, setup),
		cmocka_unit_test_setup(many_addresses_are_bounded, setup),
	};

	return cmocka_run_group_tests_name("output", tests, NULL, NULL);
}
