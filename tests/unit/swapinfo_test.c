/* What /proc/swaps says of a device. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "swapinfo.h"

#define HEADING "Filename\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
#define DISK	"/dev/sda2    partition\t1024\t\t24\t\t-2\n"

static bool understood;

static struct swap_usage scan(const char *text, const char *device)
{
	FILE *f = fmemopen((void *)text, strlen(text), "r");
	struct swap_usage usage;

	assert_non_null(f);
	understood = swapinfo_scan(f, device, &usage);
	fclose(f);
	return usage;
}

static void test_device_and_others(void **state)
{
	struct swap_usage usage =
		scan(HEADING DISK "/dev/nbd0    partition\t4096\t\t96\t\t100\n",
		     "/dev/nbd0");

	(void)state;
	assert_true(understood);
	assert_true(usage.active);
	assert_int_equal(usage.used_bytes, 96 * 1024);
	assert_int_equal(usage.other_free_bytes, 1000 * 1024);
}

static void test_not_there(void **state)
{
	struct swap_usage usage =
		scan(HEADING DISK "/dev/nbd10   partition\t4096\t\t96\t\t100\n",
		     "/dev/nbd1");

	(void)state;
	assert_false(usage.active);
	assert_int_equal(usage.used_bytes, 0);
	assert_int_equal(usage.other_free_bytes, 5000 * 1024);
}

/* swapon ran in a mount namespace that is gone. */
static void test_path_without_mount(void **state)
{
	struct swap_usage usage =
		scan(HEADING "/nbd0        partition\t4096\t\t96\t\t100\n",
		     "/dev/nbd0");

	(void)state;
	assert_true(usage.active);
	assert_int_equal(usage.used_bytes, 96 * 1024);
}

/* The device node was removed, or made anew, after swapon. */
static void test_deleted(void **state)
{
	struct swap_usage usage =
		scan(HEADING DISK "/dev/nbd0\\040(deleted)  partition\t4096\t\t"
				  "96\t\t100\n",
		     "/dev/nbd0");

	(void)state;
	assert_true(understood);
	assert_true(usage.active);
	assert_int_equal(usage.used_bytes, 96 * 1024);
}

/* A file's name has spaces, written as octal; it is no device. */
static void test_escaped_file(void **state)
{
	struct swap_usage usage =
		scan(HEADING "/mnt/a\\040b  file\t\t4096\t\t96\t\t-2\n",
		     "/dev/nbd0");

	(void)state;
	assert_true(understood);
	assert_false(usage.active);
	assert_int_equal(usage.other_free_bytes, 4000 * 1024);
}

static void test_nothing(void **state)
{
	(void)state;
	assert_false(scan(HEADING, "/dev/nbd0").active);
	assert_true(understood);
}

/* Nobody may conclude from these that a device is free. */
static void test_not_understood(void **state)
{
	static const char *const texts[] = {
		HEADING "/dev/nbd0\n",
		HEADING "/dev/nbd0 partition\t4096\n",
		HEADING "/dev/nbd0 partition\tmany\t\tfew\t\t100\n",
		HEADING DISK "\n/dev/nbd0\n",
		"Name Kind Of Everything\n/dev/nbd0 partition 4096 96 100\n",
		"/dev/nbd0 partition\t4096\t\t96\t\t100\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		scan(texts[i], "/dev/nbd0");
		assert_false(understood);
	}
}

static bool has_beside(const char *text, enum swap_beside beside, int priority,
		       struct swap_names *names)
{
	FILE *f = fmemopen((void *)text, strlen(text), "r");
	bool result;

	assert_non_null(f);
	result = swapinfo_scan_beside(f, beside, "/dev/nbd0", priority, names);
	fclose(f);
	return result;
}

static void test_priorities(void **state)
{
	static const char swaps[] =
		HEADING DISK "/dev/zram0   partition\t4096\t\t96\t\t110\n"
			     "/dev/nbd0    partition\t4096\t\t96\t\t110\n"
			     "/swap\\040file   file\t4096\t\t96\t\t110\n";
	struct swap_names names;

	(void)state;
	assert_true(has_beside(swaps, SWAP_EQUAL, 110, &names));
	assert_string_equal(names.text, "/dev/zram0, /swap file");
	assert_true(has_beside(swaps, SWAP_EQUAL, -2, &names));
	assert_string_equal(names.text, "/dev/sda2");
	assert_false(has_beside(swaps, SWAP_EQUAL, 100, &names));
	assert_true(has_beside(swaps, SWAP_ZRAM_ABOVE, 109, &names));
	assert_string_equal(names.text, "/dev/zram0");
	assert_false(has_beside(swaps, SWAP_ZRAM_ABOVE, 110, &names));
	assert_int_equal(scan(swaps, "/dev/nbd0").priority, 110);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_device_and_others),
		cmocka_unit_test(test_not_there),
		cmocka_unit_test(test_path_without_mount),
		cmocka_unit_test(test_priorities),
		cmocka_unit_test(test_deleted),
		cmocka_unit_test(test_escaped_file),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_not_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
