/* Memory that is there before it is used. */
#include "pages.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it_is_there),
		cmocka_unit_test(too_much_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
