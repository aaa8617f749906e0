#include "verify.h"

#include <errno.h>

#include "keeper.h"

/* Whether the pages of RUN are what they were when it was planned: then what
 * was read is what they held. */
static bool unchanged(const struct engine *engine, const struct lane_run *run)
{
	for (uint32_t i = 0; run->looks && i < run->pages; i++) {
		if (pagemap_look(&engine->pages, run->page + i) !=
		    run->looks[i])
			return false;
	}
	return true;
}

/* The first page of RUN whose bytes are not those that were written, or
 * run->pages. */
static uint32_t first_wrong(const struct engine *engine,
			    const struct lane_run *run)
{
	uint32_t i = 0;

	while (i < run->pages &&
	       engine_checksum_fits(engine, run->page + i,
				    run->buf + (uint64_t)i * PAGE_BYTES))
		i++;
	return i;
}

/* What part I of the run holds of a page is wrong: stale from here on, where
 * the page can be read without it. */
static void condemn(struct engine *engine, const struct lane_run *run,
		    uint32_t i, uint64_t page)
{
	struct slab_part *part = &run->slab->parts[i];
	uint32_t unit = slab_unit_of_page(&engine->slabs, page);

	atomic_fetch_add(&peer_of_part(engine, part)->wrong_units, 1);
	if (run->looks && pagemap_own(&engine->pages, page, 0))
		return; /* it is being overwritten */
	part_mark(part, unit, 1, true);
	if (slab_rows_of_unit(&engine->slabs, run->slab, unit) <
	    engine->redundancy.need)
		part_mark(part, unit, 1, false);
	if (run->looks)
		pagemap_disown(&engine->pages, page);
	keeper_poke(engine);
}

/* Reads a run that came out wrong again without each of the parts that it was
 * read from, by turns, until one way it is right: then that part is condemned.
 * 0 where it is right now, or why not. */
static int read_around(struct engine *engine, struct lane *lane,
		       struct lane_run *run, uint64_t deadline_ns,
		       struct obstacle *obstacle)
{
	uint32_t used = run->have, wrong = first_wrong(engine, run);
	uint64_t page = run->page + wrong;
	size_t n_runs = lane->n_runs;
	struct lane_run first = lane->runs[0];
	uint32_t banned = run->banned; /* RUN may be the first one */
	int rc = -EIO;

	/* Alone in the plan, as carry_read carries all that is in it. */
	lane->runs[0] = *run;
	lane->n_runs = 1;
	for (uint32_t i = 0; rc && i < engine->slabs.n_parts; i++) {
		int again;

		if (!(used & 1u << i))
			continue;
		lane->runs[0].banned = banned | 1u << i;
		again = carry_read(engine, lane, deadline_ns, obstacle);
		if (again == -EAGAIN)
			rc = again;
		if (again || first_wrong(engine, &lane->runs[0]) <= wrong)
			continue;
		condemn(engine, run, i, page);
		rc = 0;
	}
	lane->runs[0] = first;
	lane->n_runs = n_runs;
	return rc;
}

int verify_run(struct engine *engine, struct lane *lane, struct lane_run *run,
	       uint64_t deadline_ns, struct obstacle *obstacle)
{
	int rc = 0;

	while (!rc && unchanged(engine, run) &&
	       first_wrong(engine, run) < run->pages) {
		/* Changed between the two looks: it is no fault. */
		if (!unchanged(engine, run))
			break;
		atomic_fetch_add(&engine->counters.wrong_reads, 1);
		rc = read_around(engine, lane, run, deadline_ns, obstacle);
	}
	return unchanged(engine, run) ? rc : -EAGAIN;
}
