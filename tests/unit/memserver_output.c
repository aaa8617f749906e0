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

static struct peer_name peer(const char *format, unsigned a, unsigned b)
{
	struct peer_name text;
	const char *hash = strchr(format, '#');

	snprintf(text.text, sizeof text.text, "%.*s%x%.*s%u",
		 (int)(hash - format), format, a, (int)strcspn(hash + 1, "#"),
		 hash + 1, b);
	return text;
}

static void one_peer_hides_no_other(void **state)
{
	struct peer_name good = { "10.0.0.2:5" };

	(void)state;
	for (unsigned i = 0; i < FLOOD; i++) {
		/* each connection has another port */
		struct peer_name bad = { "" };

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
	struct peer_name good = { "[2001:db8:0:2::1]:5" };

	(void)state;
	for (unsigned i = 0; i < FLOOD; i++) {
		struct peer_name bad = peer("[2001:db8:0:1::#]:#", i, 7);

		output_peer(&bad, "is bad");
	}
	assert_true(lines_with("is bad") < FLOOD / 2);
	output_peer(&good, "has a problem");
	assert_int_equal(lines_with("has a problem"), 1);
}

/* As many as there are link-local addresses: a machine each. */
static void neighbours_are_told_apart(void **state)
{
	struct peer_name good = { "[fe80::2%eth0]:5" };
	struct peer_name bad = { "[fe80::1%eth0]:5" };

	(void)state;
	for (unsigned i = 0; i < FLOOD; i++)
		output_peer(&bad, "is bad");
	output_peer(&good, "has a problem");
	assert_int_equal(lines_with("has a problem"), 1);
}

/* An identity is one peer, wherever it comes from, and two behind one address
 * are two. */
static void an_identity_is_one_peer(void **state)
{
	struct peer_name good = peer_name("good", "10.99.0.1:5");
	struct peer_name host = peer_name("", "10.99.0.1:6");

	(void)state;
	for (unsigned i = 0; i < FLOOD; i++) {
		char address[32];
		struct peer_name bad;

		snprintf(address, sizeof address, "10.%u.%u.1:7", 99 + (i >> 8),
			 i & 255);
		bad = peer_name("b@d", address);
		output_peer(&bad, "is bad");
	}
	output_peer(&good, "has a problem");
	output_peer(&host, "has another");
	/* a limit a second, and the flood takes less than ten */
	assert_in_range(lines_with("b@d@10."), 10, 100);
	assert_int_equal(lines_with("good@10.99.0.1:5: has a problem"), 1);
	assert_int_equal(lines_with("10.99.0.1:6: has another"), 1);
}

static void strangers_fill_no_table_of_identities(void **state)
{
	struct peer_name known = peer_name("known", "10.98.0.1:5");

	(void)state;
	for (unsigned i = 0; i < FLOOD; i++) {
		char address[32];
		struct peer_name stranger;

		snprintf(address, sizeof address, "10.%u.%u.2:7",
			 120 + (i >> 8), i & 255);
		stranger = peer_name("", address);
		output_peer(&stranger, "is strange");
	}
	output_peer(&known, "has a problem");
	assert_true(lines_with("is strange") < FLOOD / 2);
	assert_int_equal(lines_with("known@"), 1);
}

static void names_have_two_parts(void **state)
{
	struct peer_name both = peer_name("a@b", "[fe80::1%e]:5");
	struct peer_name address = peer_name("", "10.0.0.1:5");

	(void)state;
	assert_string_equal(both.text, "a@b@[fe80::1%e]:5");
	assert_string_equal(peer_name_address(&both), "[fe80::1%e]:5");
	assert_int_equal(peer_name_identity(&both), 3);
	assert_string_equal(address.text, "10.0.0.1:5");
	assert_string_equal(peer_name_address(&address), "10.0.0.1:5");
	assert_int_equal(peer_name_identity(&address), 0);
}

/* From more addresses than there are places: the lines are few, and those of a
 * peer that was there before get through. */
static void many_addresses_are_bounded(void **state)
{
	static struct peerlimit table = PEERLIMIT_INIT(2);
	struct peer_name early = { "10.77.0.2:5" };
	unsigned allowed = 0;
	uint32_t left_out;

	(void)state;
	assert_true(log_limit_allows(peerlimit_of(&table, &early), &left_out));
	for (unsigned i = 0; i < 20 * FLOOD; i++) {
		struct peer_name bad = { "" };

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
		cmocka_unit_test_setup(an_identity_is_one_peer, setup),
		cmocka_unit_test_setup(strangers_fill_no_table_of_identities,
				       setup),
		cmocka_unit_test_setup(names_have_two_parts, setup),
		cmocka_unit_test_setup(many_addresses_are_bounded, setup),
	};

	return cmocka_run_group_tests_name("output", tests, NULL, NULL);
}
