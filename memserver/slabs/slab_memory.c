#include "slab_memory.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "log.h"
#include "machine/memory.h"
#include "size.h"

#ifndef MADV_POPULATE_WRITE /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

#ifndef MADV_DONTNEED_LOCKED /* Linux 5.18 */
#define MADV_DONTNEED_LOCKED 24
#endif

/* How much is populated at a time.  A power of two, as a slab's size is. */
#define POPULATE_BYTES (8ull << 20)

/* --- memory of one slab --- */

/* The range stays locked, if the kernel can do that, so that the kernel keeps
 * it in one mapping with its neighbours.  A process has 65,530 mappings
 * (vm.max_map_count).  Slabs that are locked and unlocked in turn would use
 * them up, two for each slab. */
void slab_memory_release(struct slab *slab)
{
	struct slab_pool *pool = slab->pool;

	if (!pool->hugepages &&
	    madvise(slab->memory, pool->slab_bytes, MADV_DONTNEED_LOCKED) == 0)
		return;
	if (!pool->hugepages)
		munlock(slab->memory, pool->slab_bytes);
	/* Otherwise the next session would see the bytes of this one. */
	if (madvise(slab->memory, pool->slab_bytes, MADV_DONTNEED) < 0) {
		log_error("cannot give slab %u back (%s): zeroing it",
			  slab->number, strerror(errno));
		memset(slab->memory, 0, pool->slab_bytes);
	}
}

/* MADV_POPULATE_WRITE returns an error where a plain touch would cause a
 * signal. On a kernel too old for it, mlock(2) populates. */
static int populate_part(const struct slab_pool *pool, uint8_t *memory,
			 uint64_t bytes)
{
	bool populated = madvise(memory, bytes, MADV_POPULATE_WRITE) == 0;

	if (!populated && errno != EINVAL)
		return -errno;
	if ((!populated || !pool->hugepages) && mlock(memory, bytes) < 0)
		return -errno;
	return 0;
}

/* In parts, and asks before each part whether memory is left: other processes
 * take memory too, and the kernel does not refuse memory that it lacks, but
 * kills a process. */
static int populate(struct slab *slab, struct error *why)
{
	struct slab_pool *pool = slab->pool;
	uint64_t part_bytes = pool->slab_bytes;
	uint64_t done_bytes = 0;
	int err = 0;

	if (!pool->hugepages && part_bytes > POPULATE_BYTES)
		part_bytes = POPULATE_BYTES;
	/* Populates no part unless the whole slab fits. */
	if (!pool->hugepages && !memory_has(pool->slab_bytes, why))
		return -ENOMEM;
	while (!err && done_bytes < pool->slab_bytes) {
		if (done_bytes && !memory_has(part_bytes, why)) {
			err = -ENOMEM;
			break;
		}
		err = populate_part(pool, slab->memory + done_bytes,
				    part_bytes);
		if (err)
			error_set(why, "%s", strerror(-err));
		done_bytes += part_bytes;
	}
	if (err)
		slab_memory_release(slab);
	return err;
}

/* One line when memory runs short, and one when it is there again. */
static void tell_shortage(struct slab_pool *pool, int err,
			  const struct error *why)
{
	bool now_short = err != 0;

	if (pool->short_of_memory == now_short)
		return;
	pool->short_of_memory = now_short;
	if (now_short)
		log_error("cannot populate a slab of %s: %s; clients are "
			  "refused until that changes",
			  size_format(pool->slab_bytes).text, why->text);
	else
		log_notice("slabs can be populated again");
}

int slab_memory_populate(struct slab *slab)
{
	struct error why;
	int err = populate(slab, &why);

	tell_shortage(slab->pool, err, &why);
	return err ? -ENOMEM : 0;
}

/* --- address space of all slabs --- */

/* Aligned to slabs, so that transparent huge pages fit. */
int slab_memory_reserve(struct slab_pool *pool, struct error *why)
{
	uint64_t bytes = pool->count * pool->slab_bytes;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	uintptr_t start;

	if (pool->hugepages)
		flags |= MAP_HUGETLB; /* reserves the huge pages as well */
	else
		flags |= MAP_NORESERVE;
	pool->mapped_bytes = bytes + (pool->hugepages ? 0 : pool->slab_bytes);
	pool->mapped = mmap(NULL, pool->mapped_bytes, PROT_READ | PROT_WRITE,
			    flags, -1, 0);
	if (pool->mapped == MAP_FAILED) {
		int err = errno;

		error_set(why, "--memory=%s: cannot reserve as much %s: %s",
			  size_format(bytes).text,
			  pool->hugepages ? "huge pages" : "address space",
			  strerror(err));
		return -err;
	}
	start = (uintptr_t)pool->mapped;
	if (!pool->hugepages)
		start = (start + pool->slab_bytes - 1) &
			~(uintptr_t)(pool->slab_bytes - 1);
	pool->base = (uint8_t *)start;
	/* A core dump must not contain the pages of other machines. */
	madvise(pool->base, bytes, MADV_DONTDUMP);
	if (!pool->hugepages)
		madvise(pool->base, bytes, MADV_HUGEPAGE);
	return 0;
}

void slab_memory_unreserve(struct slab_pool *pool)
{
	munmap(pool->mapped, pool->mapped_bytes);
}
