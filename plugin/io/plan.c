#include "plan.h"

#include <errno.h>
#include <string.h>

bool plan_is_zero(const void *page)
{
	/* The first bytes decide most often; then the page against itself,
	 * shifted by those bytes, at the speed of memcmp. */
	const char *bytes = page;
	uint64_t first;

	memcpy(&first, bytes, sizeof first);
	return first == 0 &&
	       !memcmp(bytes, bytes + sizeof first, PAGE_BYTES - sizeof first);
}

/* The run that PAGE, whose bytes are at BUF, can be added to, or NULL. */
static struct lane_run *open_run(struct lane *lane, const struct slab *slab,
				 uint64_t page)
{
	struct lane_run *run;

	if (lane->n_runs == 0)
		return NULL;
	run = &lane->runs[lane->n_runs - 1];
	return run->slab == slab && run->page + run->pages == page ? run : NULL;
}

static struct lane_run *new_run(struct lane *lane, struct slab *slab,
				uint64_t page, uint8_t *buf)
{
	struct lane_run *run = &lane->runs[lane->n_runs++];

	run->slab = slab;
	run->page = page;
	run->pages = 0;
	run->buf = buf;
	run->versions = NULL;
	run->entered = run->unsure = false;
	run->sent = run->have = run->failed = run->banned = 0;
	return run;
}

static struct slab *slab_at(struct engine *engine, uint64_t page)
{
	return &engine->slabs.slabs[slab_of_page(&engine->slabs, page)];
}

/* --- reads --- */

/* Which shards of a slab do not hold PAGE: the same shards hold all pages of a
 * run. */
static uint32_t stale_shards(const struct engine *engine,
			     const struct slab *slab, uint64_t page)
{
	uint32_t chunk = slab_chunk_of_page(&engine->slabs, page), bits = 0;

	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		if (shard_is_stale(&slab->shards[i], chunk))
			bits |= 1u << i;
	}
	return bits;
}

bool plan_is_uniform(const struct engine *engine, const struct lane_run *run)
{
	uint32_t stale = stale_shards(engine, run->slab, run->page);

	for (uint32_t i = 1; i < run->pages; i++) {
		if (stale_shards(engine, run->slab, run->page + i) != stale)
			return false;
	}
	return true;
}

/* Adds a PRESENT page and enters its slab.  0, -EAGAIN with
 * OBSTACLE, or 1 where the piece has as many runs as it may. */
static int add_read(struct engine *engine, struct lane *lane, uint8_t *buf,
		    uint64_t page, struct page_version *version,
		    uint32_t *last_stale, struct obstacle *obstacle)
{
	struct slab *slab = slab_at(engine, page);
	struct lane_run *run = open_run(lane, slab, page);

	/* The slab cannot change once it is entered, so the version that counts
	 * is taken only then.  Before, the slab may have been lost and
	 * allocated anew for other pages, and the new slab does not hold this
	 * page.  The stale bits are read after the version, because the version
	 * changes where a stale bit changes. */
	if (run) {
		*version = pagemap_version(&engine->pages, page);
		if (stale_shards(engine, slab, page) != *last_stale)
			run = NULL;
	}
	if (!run) {
		if (lane->n_runs == io_max_runs(engine))
			return 1;
		if (slab_enter(slab) != SLAB_LIVE) {
			obstacle->slab = slab;
			return -EAGAIN;
		}
		run = new_run(lane, slab, page, buf);
		run->entered = true;
		run->versions = version;
		*version = pagemap_version(&engine->pages, page);
		*last_stale = stale_shards(engine, slab, page);
	}
	if (page_version_locked(*version) ||
	    page_version_state(*version) != PAGE_PRESENT)
		return -EAGAIN;
	run->pages++;
	return 0;
}

int plan_read(struct engine *engine, struct lane *lane, uint8_t *buf,
	      uint64_t page, uint64_t *n, struct obstacle *obstacle)
{
	uint32_t stale = 0;

	lane->n_runs = 0;
	for (uint64_t i = 0; i < *n; i++, buf += PAGE_BYTES) {
		struct page_version version =
			pagemap_version(&engine->pages, page + i);
		int rc;

		/* Also where the page is being written for the first time: this
		 * write may as well come after the read. */
		if (page_version_state(version) == PAGE_ABSENT) {
			memset(buf, 0, PAGE_BYTES);
			continue;
		}
		if (page_version_locked(version)) {
			obstacle->busy = true;
			obstacle->page = page + i;
			return -EAGAIN;
		}
		if (page_version_state(version) == PAGE_LOST)
			return -EIO;
		rc = add_read(engine, lane, buf, page + i, &lane->versions[i],
			      &stale, obstacle);
		if (rc < 0)
			return rc;
		if (rc > 0)
			*n = i;
	}
	return 0;
}

/* --- writes --- */

uint64_t plan_write(struct engine *engine, struct lane *lane, uint8_t *buf,
		    uint64_t page, uint64_t *n)
{
	uint64_t zeros = 0;

	lane->n_runs = lane->n_locked = 0;
	lane->attempts = 0;
	for (uint64_t i = 0; i < *n; i++, buf += PAGE_BYTES) {
		struct slab *slab = slab_at(engine, page + i);
		struct lane_run *run;

		if (plan_is_zero(buf)) {
			zeros++;
			continue;
		}
		run = open_run(lane, slab, page + i);
		if (!run && lane->n_runs == io_max_runs(engine)) {
			*n = i;
			break;
		}
		if (!run)
			run = new_run(lane, slab, page + i, buf);
		run->pages++;
	}
	return zeros;
}

int plan_lock(struct engine *engine, struct lane *lane, uint64_t deadline_ns)
{
	for (size_t r = 0; r < lane->n_runs; r++) {
		const struct lane_run *run = &lane->runs[r];

		for (uint32_t i = 0; i < run->pages; i++) {
			int rc = pagemap_lock(&engine->pages, run->page + i,
					      deadline_ns);

			if (rc)
				return rc;
			lane->locked[lane->n_locked++] = run->page + i;
		}
	}
	return 0;
}

void plan_unlock(struct engine *engine, struct lane *lane)
{
	while (lane->n_locked > 0)
		pagemap_unlock(&engine->pages, lane->locked[--lane->n_locked]);
}

int plan_enter(struct lane *lane, struct obstacle *obstacle)
{
	for (size_t i = 0; i < lane->n_runs; i++) {
		struct lane_run *run = &lane->runs[i];

		run->entered = slab_enter(run->slab) == SLAB_LIVE;
		if (!run->entered) {
			obstacle->slab = run->slab;
			return -EAGAIN;
		}
	}
	return 0;
}
