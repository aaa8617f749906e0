/* The tables that ISA-L makes on other processors, and wrong ones. */
#include "pages/redundancy/redundancy.h"

#include <errno.h>

#include "other_isal.h"
#include "pages/pagemap.h"
#include "support.h"

/* other_isal.c ends the test where a call does not get its own tables. */
static void each_call_gets_its_own_tables(void **state)
{
	static const uint32_t shares[][2] = {
		{ 2, 1 }, { 3, 2 }, { 4, 2 }, { 5, 4 }, { 8, 3 },
	};

	(void)state;
	other_isal_breaks = 0;
	for (size_t i = 0; i < COUNT(shares); i++) {
		struct redundancy r;
		struct error why = { "" };
		int rc = redundancy_create_rs(&r, PAGE_BYTES, shares[i][0],
					      shares[i][1], &why);

		if (rc)
			fail_msg("%u+%u: %s", shares[i][0], shares[i][1],
				 why.text);
		redundancy_destroy(&r);
	}
}

static void one_wrong_bit_in_any_table_is_refused(void **state)
{
	struct redundancy r = { 0 };
	struct error why;
	unsigned calls;

	(void)state;
	other_isal_breaks = 0;
	other_isal_calls = 0;
	assert_int_equal(redundancy_create_rs(&r, PAGE_BYTES, 3, 2, &why), 0);
	redundancy_destroy(&r);
	calls = other_isal_calls;
	/* encoding, and each of 3 data chunks missing from 4 sets */
	assert_int_equal(calls, 1 + 3 * 4);
	for (unsigned i = 1; i <= calls; i++) {
		other_isal_calls = 0;
		other_isal_breaks = i;
		why.text[0] = '\0';
		assert_int_equal(
			redundancy_create_rs(&r, PAGE_BYTES, 3, 2, &why), -EIO);
		assert_contains(why.text, "3+2 shares: a known page does not "
					  "come back from shards ");
		assert_null(r.rs);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_call_gets_its_own_tables),
		cmocka_unit_test(one_wrong_bit_in_any_table_is_refused),
	};

	return cmocka_run_group_tests_name("redundancy_other", tests, NULL,
					   NULL);
}
