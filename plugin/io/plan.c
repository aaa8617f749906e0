#include "plan.h"

#include <errno.h>
#include <string.h>

#include "servers/placement.h"
#include "wait.h"

bool plan_is_zero(const void *page)
{
	/* The first bytes decide in most cases.  Otherwise the page is compared
	 * with itself, shifted by these bytes, at the speed of memcmp. */
	const char *bytes = page;
	uint64_t first;

	memcpy(&first, bytes, sizeof first);
	return first == 0 &&
	       !memcmp(bytes, bytes + sizeof first, PAGE_BYTES - sizeof first);
}

/* The run that PAGE can be added to, or NULL. */
static struct io_run *open_run(struct io *io, const struct slab *slab,
			       uint64_t page)
{
	struct io_run *run;

	if (io->n_runs == 0)
		return NULL;
	run = &io->runs[io->n_runs - 1];
	return run->slab == slab && run->page + run->pages == page ? run : NULL;
}

/* Adds a run that begins with PAGE, whose bytes are at BUF.  The run has no
 * pages yet. */
static struct io_run *new_run(struct io *io, struct slab *slab, uint64_t page,
			      uint8_t *buf)
{
	struct io_run *run = &io->runs[io->n_runs++];

	run->slab = slab;
	run->page = page;
	run->pages = 0;
	run->buf = buf;
	run->versions = NULL;
	run->entered = run->unsure = false;
	run->sent = run->have = run->failed = 0;
	return run;
}

static struct slab *slab_at(struct engine *engine, uint64_t page)
{
	return &engine->slabs.slabs[slab_of_page(&engine->slabs, page)];
}

/* --- reads --- */

uint32_t plan_holders(const struct engine *engine, const struct slab *slab,
		      uint64_t page, uint32_t n)
{
	uint32_t chunk = slab_chunk_of_page(&engine->slabs, page);
	uint32_t holders = UINT32_MAX;

	for (uint32_t i = 0; i < n; i++)
		holders &= slab_holders(&engine->slabs, slab, chunk + i);
	return holders;
}

bool plan_is_unchanged(const struct io *io, const struct io_run *run)
{
	for (uint32_t i = 0; run->versions && i < run->pages; i++) {
		if (!pagemap_unchanged(&io->engine->pages, run->page + i,
				       run->versions[i], false))
			return false;
	}
	return true;
}

static bool has_same_holders(const struct engine *engine,
			     const struct io_run *run)
{
	for (uint32_t i = 0; i < run->pages; i++) {
		if (plan_holders(engine, run->slab, run->page + i, 1) !=
		    run->holders)
			return false;
	}
	return true;
}

bool plan_holds(const struct io *io)
{
	for (size_t i = 0; i < io->n_runs; i++) {
		if (!plan_is_unchanged(io, &io->runs[i]) ||
		    !has_same_holders(io->engine, &io->runs[i]))
			return false;
	}
	return true;
}

/* Adds a PRESENT page and enters its slab.  Returns 0, -EAGAIN with the
 * obstacle, or 1 where the plan has room for no more runs. */
static int add_read(struct io *io, uint8_t *buf, uint64_t page,
		    struct page_version *version)
{
	struct engine *engine = io->engine;
	struct slab *slab = slab_at(engine, page);
	struct io_run *run = open_run(io, slab, page);

	/* The version is taken only after the slab is entered, because the slab
	 * cannot change from then on.  Earlier the slab may have been lost and
	 * allocated anew, and the new slab does not hold this page.  The
	 * holders are read after the version, because a change of a stale bit
	 * changes the version. */
	if (run) {
		*version = pagemap_version(&engine->pages, page);
		if (plan_holders(engine, slab, page, 1) != run->holders)
			run = NULL;
	}
	if (!run) {
		if (io->n_runs == io_max_runs(engine))
			return 1;
		if (slab_enter(slab) != SLAB_LIVE) {
			io->obstacle.slab = slab;
			return -EAGAIN;
		}
		run = new_run(io, slab, page, buf);
		run->entered = true;
		run->versions = version;
		*version = pagemap_version(&engine->pages, page);
		run->holders = plan_holders(engine, slab, page, 1);
	}
	if (page_version_locked(*version) ||
	    page_version_state(*version) != PAGE_PRESENT)
		return -EAGAIN;
	run->pages++;
	return 0;
}

int plan_read(struct io *io, uint8_t *buf, uint64_t page, uint64_t *n)
{
	io->n_runs = 0;
	for (uint64_t i = 0; i < *n; i++, buf += PAGE_BYTES) {
		struct page_version version =
			pagemap_version(&io->engine->pages, page + i);
		int rc;

		/* Zeros are right even where another thread writes the page for
		 * the first time: the read counts as earlier than that write.
		 */
		if (page_version_state(version) == PAGE_ABSENT) {
			memset(buf, 0, PAGE_BYTES);
			continue;
		}
		if (page_version_locked(version)) {
			io->obstacle.page_locked = true;
			io->obstacle.page = page + i;
			return -EAGAIN;
		}
		if (page_version_state(version) == PAGE_LOST)
			return -EIO;
		rc = add_read(io, buf, page + i, &io->versions[i]);
		if (rc < 0)
			return rc;
		if (rc > 0)
			*n = i;
	}
	return 0;
}

/* --- writes --- */

uint64_t plan_write(struct io *io, uint8_t *buf, uint64_t page, uint64_t *n)
{
	uint64_t zeros = 0;

	io->n_runs = io->n_locked = 0;
	io->attempts = 0;
	for (uint64_t i = 0; i < *n; i++, buf += PAGE_BYTES) {
		struct slab *slab = slab_at(io->engine, page + i);
		struct io_run *run;

		if (plan_is_zero(buf)) {
			zeros++;
			continue;
		}
		run = open_run(io, slab, page + i);
		if (!run && io->n_runs == io_max_runs(io->engine)) {
			*n = i;
			break;
		}
		if (!run)
			run = new_run(io, slab, page + i, buf);
		run->pages++;
	}
	return zeros;
}

int plan_lock(struct io *io)
{
	for (size_t r = 0; r < io->n_runs; r++) {
		const struct io_run *run = &io->runs[r];

		for (uint32_t i = 0; i < run->pages; i++) {
			int rc = wait_lock(io->engine, run->page + i,
					   io->deadline_ns);

			if (rc)
				return rc;
			io->locked[io->n_locked++] = run->page + i;
		}
	}
	return 0;
}

void plan_unlock(struct io *io)
{
	while (io->n_locked > 0)
		pagemap_unlock(&io->engine->pages, io->locked[--io->n_locked]);
}

int plan_make_live(struct engine *engine, struct slab *slab,
		   uint64_t deadline_ns)
{
	struct placement p = { .slab = slab };
	int rc;

	for (;;) {
		rc = placement_step(engine, &p, deadline_ns);
		if (rc != -EAGAIN)
			return rc;
		if (p.server)
			wait_server(p.server, p.until_ns);
		else if (p.pause_ns)
			wait_pause(p.pause_ns);
		else if (wait_slab(engine, slab, deadline_ns))
			return -ETIMEDOUT;
	}
}

int plan_enter(struct io *io)
{
	for (size_t i = 0; i < io->n_runs; i++) {
		struct io_run *run = &io->runs[i];

		run->entered = slab_enter(run->slab) == SLAB_LIVE;
		if (!run->entered) {
			io->obstacle.slab = run->slab;
			return -EAGAIN;
		}
	}
	return 0;
}
