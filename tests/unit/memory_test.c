/* Memory that is there before it is used. */
#include "transport/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support.h"

/* What a kernel without MADV_POPULATE_WRITE says, or one without memory. */
static int populate_fails_with;

int __real_madvise(void *p, size_t bytes, int advice);
int __wrap_madvise(void *p, size_t bytes, int advice);

int __wrap_madvise(void *p, size_t bytes, int advice)
{
	if (advice == MADV_POPULATE_WRITE && populate_fails_with) {
		errno = populate_fails_with;
		return -1;
	}
	return __real_madvise(p, bytes, advice);
}

static size_t present_pages(void *p, uint64_t bytes)
{
	uint64_t n = bytes / (uint64_t)sysconf(_SC_PAGESIZE);
	unsigned char *present = calloc(n, 1);
	size_t found = 0;

	assert_non_null(present);
	assert_int_equal(mincore(p, bytes, present), 0);
	for (uint64_t i = 0; i < n; i++)
		found += present[i] & 1;
	free(present);
	return found;
}

static void assert_there(uint64_t bytes)
{
	char *p = pages_map(bytes);

	assert_non_null(p);
	assert_int_equal(present_pages(p, bytes),
			 bytes / (uint64_t)sysconf(_SC_PAGESIZE));
	for (uint64_t i = 0; i < bytes; i += 512)
		assert_int_equal(p[i], 0);
	p[0] = p[bytes - 1] = 1;
	pages_unmap(p, bytes);
}

static void all_of_it_is_there(void **state)
{
	(void)state;
	assert_there(4096);
	assert_there(256 << 10);
	assert_there((5 << 20) + 4096); /* huge pages, and a rest */
}

static void too_much_is_refused(void **state)
{
	(void)state;
	errno = 0;
	assert_null(pages_map(UINT64_C(1) << 60));
	assert_int_equal(errno, ENOMEM);
	pages_unmap(NULL, 4096);
}

static void an_old_kernel_is_done_without(void **state)
{
	(void)state;
	populate_fails_with = EINVAL;
	assert_there(256 << 10);
	assert_there((5 << 20) + 4096);
	populate_fails_with = 0;
}

/* Of this process. */
static unsigned long mapped_pages(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	return pages;
}

static void nothing_is_left_where_there_is_no_memory(void **state)
{
	unsigned long before = mapped_pages();

	(void)state;
	populate_fails_with = ENOMEM;
	for (int i = 0; i < 8; i++) {
		errno = 0;
		assert_null(pages_map(8 << 20));
		assert_int_equal(errno, ENOMEM);
	}
	populate_fails_with = 0;
	assert_in_range(mapped_pages(), 0, before + (8 << 20) / 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it_is_there),
		cmocka_unit_test(too_much_is_refused),
		cmocka_unit_test(an_old_kernel_is_done_without),
		cmocka_unit_test(nothing_is_left_where_there_is_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
