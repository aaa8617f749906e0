/* What the memory server reads of the machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "machine/cgroup.h"
#include "machine/kernfile.h"
#include "machine/memory.h"

static const char meminfo[] = "MemTotal:       24560012 kB\n"
			      "MemAvailable:   23000000 kB\n"
			      "HugePages_Free:       12\n"
			      "Hugepagesize:       2048 kB\n";

static void finds_keys(void **state)
{
	uint64_t value = 0;

	(void)state;
	assert_true(kernfile_find(meminfo, "MemTotal:", &value));
	assert_int_equal(value, 24560012ull * 1024);
	assert_true(kernfile_find(meminfo, "HugePages_Free:", &value));
	assert_int_equal(value, 12);
	assert_true(kernfile_find(meminfo, "Hugepagesize:", &value));
	assert_int_equal(value, 2 << 20);
	assert_false(kernfile_find(meminfo, "Free:", &value));
	assert_false(kernfile_find("", "MemTotal:", &value));
	assert_false(kernfile_find("MemTotal: x", "MemTotal:", &value));
}

static void never_hands_out_everything(void **state)
{
	struct error why;

	(void)state;
	assert_false(memory_has(1ull << 50, &why));
	assert_non_null(strstr(why.text, " available"));
}

static void finds_its_cgroup(void **state)
{
	static const struct {
		const char *text, *path;
		bool v1;
	} good[] = {
		{ "0::/system.slice/a.service\n", "/system.slice/a.service",
		  false },
		{ "0::/\n", "/", false },
		/* hybrid: v1 has the controller */
		{ "4:memory:/x:y\n1:cpu,cpuacct:/\n0::/z\n", "/x:y", true },
		{ "0::/z\n9:name=systemd:/s\n4:cpu,memory:/x", "/x", true },
		/* hybrid: v2 has it */
		{ "9:name=systemd:/s\n3:cpumemory:/no\n0::/z\n", "/z", false },
	};
	char path[64];
	bool v1;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_true(
			cgroup_find_path(good[i].text, &v1, path, sizeof path));
		assert_string_equal(path, good[i].path);
		assert_int_equal(v1, good[i].v1);
	}
	assert_false(cgroup_find_path("", &v1, path, sizeof path));
	assert_false(cgroup_find_path("3:cpu:/\n", &v1, path, sizeof path));
	assert_false(cgroup_find_path("nonsense\n", &v1, path, sizeof path));
	assert_false(cgroup_find_path("0::/long\n", &v1, path, 5));
}

static void knows_its_size(void **state)
{
	(void)state;
	assert_true(memory_rss_bytes() > 100 << 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_keys),
		cmocka_unit_test(never_hands_out_everything),
		cmocka_unit_test(finds_its_cgroup),
		cmocka_unit_test(knows_its_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
