#include "verify.h"

#include <errno.h>

#include "keeper.h"

bool verify_unchanged(const struct engine *engine, const struct lane_run *run)
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

/* The parts that RUN was decoded from: the first of those at hand. */
static uint32_t parts_used(const struct engine *engine,
			   const struct lane_run *run)
{
	uint32_t used = 0;

	for (uint32_t i = 0, n = 0; n < engine->redundancy.need; i++) {
		if (run->have & 1u << i) {
			used |= 1u << i;
			n++;
		}
	}
	return used;
}

/* Reads PAGE, the only one in the plan, without PARTS.  0 where it is right,
 * -EILSEQ where it is wrong, or why it was not read. */
static int read_without(struct engine *engine, struct lane *lane,
			const struct lane_run *page, uint32_t parts,
			uint64_t deadline_ns, struct obstacle *obstacle)
{
	int rc;

	lane->runs[0] = *page;
	lane->runs[0].banned |= parts;
	rc = carry_read(engine, lane, deadline_ns, obstacle);
	if (!rc && !engine_checksum_fits(engine, page->page, page->buf))
		rc = -EILSEQ;
	return rc;
}

/* Looks for the parts that PAGE is right without; it came out wrong from those
 * in USED.  A copy is wrong by itself, and left out from then on.  Of several
 * shares that were decoded together each one is left out by turns. */
static int find_wrong_parts(struct engine *engine, struct lane *lane,
			    const struct lane_run *page, uint32_t used,
			    uint32_t *wrong, uint64_t deadline_ns,
			    struct obstacle *obstacle)
{
	bool copies = engine->redundancy.need == 1;
	int rc = -EIO;

	for (*wrong = 0; used;) {
		uint32_t first = used & -used;
		int again;

		*wrong = copies ? *wrong | first : first;
		used &= ~first;
		again = read_without(engine, lane, page, *wrong, deadline_ns,
				     obstacle);
		if (!again)
			return 0;
		if (again == -EILSEQ && copies)
			used = parts_used(engine, &lane->runs[0]);
		if (again == -EAGAIN)
			rc = again;
	}
	return rc;
}

/* Page I of RUN came out wrong: looks for whose fault that is, and condemns it.
 *  -EAGAIN where the request is to be planned anew, without it,
 * or a server that may have it is BROKEN. */
static int read_around(struct engine *engine, struct lane *lane,
		       const struct lane_run *run, uint32_t i,
		       uint64_t deadline_ns, struct obstacle *obstacle)
{
	const struct lane_run whole = *run; /* it may be the first one */
	const struct lane_run first = lane->runs[0];
	const size_t n_runs = lane->n_runs;
	struct lane_run page = whole;
	uint32_t wrong;
	int rc;

	page.page += i;
	page.pages = 1;
	page.buf += (uint64_t)i * PAGE_BYTES;
	/* Alone in the plan, as carry_read carries all that is in it. */
	lane->n_runs = 1;
	rc = find_wrong_parts(engine, lane, &page, parts_used(engine, &whole),
			      &wrong, deadline_ns, obstacle);
	lane->runs[0] = first;
	lane->n_runs = n_runs;
	if (rc)
		return rc;
	for (uint32_t part = 0; part < engine->slabs.n_parts; part++) {
		if (wrong & 1u << part)
			condemn(engine, &whole, part, page.page);
	}
	return -EAGAIN;
}

int verify_run(struct engine *engine, struct lane *lane, struct lane_run *run,
	       uint64_t deadline_ns, struct obstacle *obstacle)
{
	uint32_t wrong = first_wrong(engine, run);
	int rc = 0;

	if (wrong == run->pages)
		return verify_unchanged(engine, run) ? 0 : -EAGAIN;
	/* Where it changed meanwhile it is no fault. */
	if (verify_unchanged(engine, run)) {
		atomic_fetch_add(&engine->counters.wrong_reads, 1);
		rc = read_around(engine, lane, run, wrong, deadline_ns,
				 obstacle);
	}
	return verify_unchanged(engine, run) ? rc : -EAGAIN;
}
