/* What /proc/swaps says of a device. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "blockdev.h"
#include "swapinfo.h"

#define HEADING "Filename\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
#define DISK	"/dev/sda2    partition\t1024\t\t24\t\t-2\n"

static bool understood;

/* The devices that are there: this machine may have others. */
uint64_t __wrap_blockdev_path_size_bytes(const char *path);
uint64_t __wrap_blockdev_path_size_bytes(const char *path)
{
	static const struct {
		const char *name;
		uint64_t bytes;
	} devices[] = {
		{ "sda2", 1 << 20 },
		{ "nbd10", 4 << 20 },
		{ "nbd11", 0 },
		{ "zram0", 4 << 20 },
	};

	for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
		if (!strcmp(blockdev_name(path), devices[i].name))
			return devices[i].bytes;
	}
	return 0;
}

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

/* Pages that come back find no place on zram, which is memory, nor on a device
 * that is gone or has lost its size. */
static void test_no_place(void **state)
{
	static const char *const none[] = {
		"/dev/zram0                partition\t4096\t\t96\t\t110\n",
		"/zram0                    partition\t4096\t\t96\t\t110\n",
		"/dev/ublkb0\\040(deleted)  partition\t4096\t\t96\t\t110\n",
		"/dev/nbd11                partition\t4096\t\t96\t\t110\n",
	};
	char text[400];

	(void)state;
	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
		snprintf(text, sizeof text, HEADING DISK "%s", none[i]);
		assert_int_equal(scan(text, "/dev/nbd0").other_free_bytes,
				 1000 * 1024);
		assert_true(understood);
	}
	/* a file is neither, whatever its name */
	assert_int_equal(
		scan(HEADING "/zram0  file\t4096\t\t96\t\t-2\n", "/dev/nbd0")
			.other_free_bytes,
		4000 * 1024);
	/* swapon ran in a mount namespace that is gone */
	assert_int_equal(scan(HEADING "/sda2  partition\t1024\t\t24\t\t-2\n",
			      "/dev/nbd0")
				 .other_free_bytes,
			 1000 * 1024);
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
		cmocka_unit_test(test_no_place),
		cmocka_unit_test(test_path_without_mount),
		cmocka_unit_test(test_priorities),
		cmocka_unit_test(test_deleted),
		cmocka_unit_test(test_escaped_file),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_not_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
