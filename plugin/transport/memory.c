#include "memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* linux/mman.h since 5.14; older headers lack it. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define HUGE_BYTES (2u << 20)

/* Where the kernel is too old to do it. */
static void touch(volatile char *p, uint64_t bytes)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);

	for (uint64_t i = 0; i < bytes; i += page_bytes)
		p[i] = 0;
}

/* The advice comes before the memory may be read or written.  After
 * mlockall(MCL_FUTURE) memory that may be accessed is populated at once, in
 * small pages. */
static int populate(char *p, uint64_t bytes)
{
	if (bytes >= HUGE_BYTES)
		madvise(p, bytes, MADV_HUGEPAGE);
	/* pages on their way */
	madvise(p, bytes, MADV_DONTDUMP);
	if (mprotect(p, bytes, PROT_READ | PROT_WRITE))
		return -1;
	if (!madvise(p, bytes, MADV_POPULATE_WRITE))
		return 0;
	if (errno != EINVAL)
		return -1;
	touch(p, bytes);
	return 0;
}

void *pages_map(uint64_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
	int error;

	if (p == MAP_FAILED)
		return NULL;
	if (!populate(p, bytes))
		return p;
	error = errno;
	munmap(p, bytes);
	errno = error;
	return NULL;
}

void *pages_map_table(const char *what, uint64_t bytes, struct error *why)
{
	void *p = pages_map(bytes);
	int error = errno;

	if (p)
		return p;
	error_set(why, "%s of %" PRIu64 " bytes: %s", what, bytes,
		  strerror(error));
	errno = error;
	return NULL;
}

void pages_unmap(void *p, uint64_t bytes)
{
	if (p)
		munmap(p, bytes);
}

static uint64_t guarded_bytes(uint64_t bytes)
{
	return bytes + (uint64_t)sysconf(_SC_PAGESIZE);
}

void *pages_guarded(void *p, uint32_t i, uint64_t bytes)
{
	return (char *)p + (i + 1) * guarded_bytes(bytes) - bytes;
}

void *pages_map_guarded(uint32_t n, uint64_t bytes)
{
	void *p = mmap(NULL, n * guarded_bytes(bytes), PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int error;

	if (p == MAP_FAILED)
		return NULL;
	for (uint32_t i = 0; i < n; i++) {
		if (!populate(pages_guarded(p, i, bytes), bytes))
			continue;
		error = errno;
		pages_unmap_guarded(p, n, bytes);
		errno = error;
		return NULL;
	}
	return p;
}

void pages_unmap_guarded(void *p, uint32_t n, uint64_t bytes)
{
	pages_unmap(p, n * guarded_bytes(bytes));
}
