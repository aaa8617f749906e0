#include "attempt.h"

#include <errno.h>

#include "clock.h"
#include "repair/repair.h"

/* How long a server that broke is waited for before a write does without: long
 * enough to fence it and to build its lanes anew. */
#define RETURN_NS (200 * NS_PER_MS)

/* Whether PEER may be back at any moment: then OBSTACLE says until when.  Once
 * for a write: one that comes back and fails again is not waited for. */
static bool may_return(const struct lane *lane, struct peer *peer,
		       struct obstacle *obstacle)
{
	uint64_t until_ns = atomic_load(&peer->broken_ns) + RETURN_NS;

	if (lane->tries > 0 || peer_state(peer) != PEER_BROKEN ||
	    clock_left_ns(until_ns) == 0)
		return false;
	*obstacle = (struct obstacle){ .peer = peer, .until_ns = until_ns };
	return true;
}

/* Takes the links of all parts of a run that are up, as bits in sent.  False
 * where its pages could not be kept by these, or by more in a moment; then
 * OBSTACLE tells why. */
static bool hold_parts(struct engine *engine, struct lane *lane,
		       struct lane_run *run, struct obstacle *obstacle)
{
	uint32_t rows = 0;

	run->sent = run->have = run->failed = run->unsent = 0;
	for (uint32_t i = 0; i < engine->slabs.n_parts; i++) {
		const struct slab_part *part = &run->slab->parts[i];

		if (!part_is_live(part))
			continue;
		if (try_hold(engine, lane, part)) {
			run->sent |= 1u << i;
			rows |= 1u << part->row;
		} else if (may_return(lane, peer_of_part(engine, part),
				      obstacle)) {
			return false;
		} else if (peer_state(peer_of_part(engine, part)) !=
			   PEER_DOWN) {
			obstacle->peer = peer_of_part(engine, part);
		}
	}
	if (count_bits(rows) >= engine->redundancy.need)
		return true;
	obstacle->slab = run->slab;
	return false;
}

/* Where the shares of a run's pages are, by row: in scratch, or, for copies,
 * the pages themselves. */
static bool encode_run(struct engine *engine, struct lane *lane,
		       const struct lane_run *run, uint8_t **by_row)
{
	const struct redundancy *r = &engine->redundancy;

	for (uint32_t row = 0; row < r->parts; row++) {
		by_row[row] =
			r->direct
				? run->buf
				: try_scratch(engine, lane,
					      run->pages *
						      (uint64_t)r->unit_bytes);
		if (!by_row[row])
			return false;
	}
	if (!r->direct)
		redundancy_encode(r, run->buf, run->pages, by_row);
	return true;
}

static bool add_parts(struct engine *engine, struct lane *lane, size_t number)
{
	struct lane_run *run = &lane->runs[number];
	uint8_t *by_row[REDUNDANCY_MAX_PARTS];
	uint32_t parts = run->sent;

	if (!encode_run(engine, lane, run, by_row))
		return false;
	for (uint32_t i = 0; i < engine->slabs.n_parts; i++) {
		if (parts & 1u << i &&
		    !try_add(engine, lane, number, i, XFER_WRITE,
			     by_row[run->slab->parts[i].row]))
			return false;
	}
	return true;
}

/* The rows of the parts in BITS. */
static uint32_t rows_of(const struct lane_run *run, uint32_t bits)
{
	uint32_t rows = 0;

	for (uint32_t i = 0; i < LANE_PARTS_MAX; i++) {
		if (bits & 1u << i)
			rows |= 1u << run->slab->parts[i].row;
	}
	return rows;
}

/* Whether part I did not get what was written. */
static bool missed(const struct lane_run *run, uint32_t i)
{
#ifdef RSWAP_BREAK_ACK
	/* Acknowledges what not every copy has, and forgets which: for
	 * tests/torture/break-ack.sh, which has to notice. */
	(void)run;
	(void)i;
	return false;
#else
	return !(run->have & 1u << i);
#endif
}

/* What each part of a run that was written holds now. */
static void mark_parts(struct engine *engine, const struct lane_run *run)
{
	uint32_t unit = slab_unit_of_page(&engine->slabs, run->page);

	for (uint32_t i = 0; i < engine->slabs.n_parts; i++) {
		struct slab_part *part = &run->slab->parts[i];

		if (part_is_live(part))
			part_mark(part, unit, run->pages, missed(run, i));
	}
}

/* What was sent, and not seen to succeed, may have arrived all the same. */
static void be_unsure(struct lane_run *run)
{
	if (run->sent & ~run->unsent)
		run->unsure = true;
}

/* True where the run is written. */
static bool settle_write(struct engine *engine, struct lane_run *run)
{
	bool kept =
		count_bits(rows_of(run, run->have)) >= engine->redundancy.need;

	if (!kept) {
		be_unsure(run);
		return false;
	}
	mark_parts(engine, run);
	for (uint32_t i = 0; i < run->pages; i++)
		engine_keep_checksum(engine, run->page + i,
				     run->buf + (uint64_t)i * PAGE_BYTES);
	engine_set_pages(engine, run->page, run->pages, PAGE_PRESENT);
	run->unsure = false;
	return true;
}

/* Whether a server that failed this try may be back in a moment. */
static bool any_may_return(struct engine *engine, const struct lane *lane,
			   struct obstacle *obstacle)
{
	for (size_t i = 0; i < lane->n_runs; i++) {
		const struct lane_run *run = &lane->runs[i];

		for (uint32_t p = 0; p < engine->slabs.n_parts; p++) {
			const struct slab_part *part = &run->slab->parts[p];

			if (run->failed & 1u << p &&
			    may_return(lane, peer_of_part(engine, part),
				       obstacle))
				return true;
		}
	}
	return false;
}

int carry_write(struct engine *engine, struct lane *lane, uint64_t deadline_ns,
		struct obstacle *obstacle)
{
	uint64_t until_ns = try_until(engine, deadline_ns);
	bool kept = true, wait;
	int rc;

	try_begin(engine, lane);
	for (size_t i = 0; i < lane->n_runs; i++) {
		if (!hold_parts(engine, lane, &lane->runs[i], obstacle))
			return -EAGAIN;
	}
	for (size_t i = 0; i < lane->n_runs; i++) {
		if (!add_parts(engine, lane, i))
			return -EIO; /* carry_max_runs sees to it */
	}
	try_submit(lane, until_ns);
	try_wait_all(lane, until_ns);
	rc = try_harvest(engine, lane, 0);
	wait = rc && rc != -EREMOTEIO && any_may_return(engine, lane, obstacle);
	/* No copy is to miss a page for want of room here: once more. */
	if (lane->unsent && lane->tries == 0) {
		obstacle->lane = lane;
		wait = true;
	}
	for (size_t i = 0; i < lane->n_runs; i++) {
		struct lane_run *run = &lane->runs[i];

		if (wait && run->failed) {
			be_unsure(run);
			continue;
		}
		kept = settle_write(engine, run) && kept;
	}
	lane->tries++;
	if (wait)
		return -EAGAIN;
	if (rc)
		keeper_poke(engine);
	*obstacle = (struct obstacle){ .lane = lane->unsent ? lane : NULL };
	/* A refusal is final where nobody else could have it. */
	return kept						   ? 0
	       : rc == -EREMOTEIO && engine->redundancy.parts == 1 ? rc
								   : -EAGAIN;
}

int carry_fill(struct engine *engine, struct lane *lane, uint32_t part,
	       uint64_t deadline_ns)
{
	struct lane_run *run = &lane->runs[0];
	uint8_t *by_row[REDUNDANCY_MAX_PARTS];

	try_begin(engine, lane);
	run->sent = run->have = run->failed = run->unsent = 0;
	if (!try_hold(engine, lane, &run->slab->parts[part]))
		return -EAGAIN;
	if (!encode_run(engine, lane, run, by_row) ||
	    !try_add(engine, lane, 0, part, XFER_WRITE,
		     by_row[run->slab->parts[part].row]))
		return -ENOBUFS;
	try_submit(lane, deadline_ns);
	try_wait_all(lane, deadline_ns);
	return try_harvest(engine, lane, 0);
}
