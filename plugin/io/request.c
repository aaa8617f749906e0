/* Requests: reads and writes of a range of the device.  This is the I/O path:
 * nothing here allocates, logs, or holds a mutex while it waits.
 *
 * A request is split into pieces of at most LANE_PAGES pages.  A plan divides
 * each piece into runs of adjacent pages in one slab (io/plan.c).  An attempt
 * enters the slabs of the piece's runs, transfers the runs (io/transfer.h), and
 * leaves the slabs.  Where an attempt meets an obstacle (a slab that changes, a
 * server that is RECOVERING, a page that is locked), the request leaves its
 * slabs and links, waits until the obstacle is gone, and makes another attempt.
 * Reads and writes are idempotent, and a server that was RECOVERING in between
 * has fenced the earlier attempt (servers/server.h).
 */
#include "request.h"

#include <errno.h>
#include <string.h>

#include "clock.h"
#include "plan.h"
#include "transfer.h"
#include "verify.h"
#include "wait.h"

static void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* --- reading --- */

static int attempt_read(struct io *io)
{
	int rc = transfer_read(io);

	for (size_t i = 0; !rc && i < io->n_runs; i++)
		rc = verify_run(io, &io->runs[i]);
	/* No server had the pages as planned.  The plan is outdated, so another
	 * server may have them. */
	if (rc == -EIO && !plan_holds(io))
		rc = -EAGAIN;
	return rc == -ESTALE ? -EAGAIN : rc;
}

/* Reads at most *N pages, and sets *N to the number of pages read. */
static int read_piece(struct io *io, char *buf, uint64_t page, uint64_t *n)
{
	uint64_t asked = *n;

	for (;;) {
		int rc;

		*n = asked;
		io->obstacle = (struct obstacle){ 0 };
		rc = plan_read(io, (uint8_t *)buf, page, n);
		if (!rc && io->n_runs > 0)
			rc = attempt_read(io);
		io_leave(io);
		if (rc == -EAGAIN)
			rc = wait_obstacle(io);
		if (rc != -EAGAIN)
			return rc;
		latency_count(&io->lane->counters->retries, 1);
	}
}

/* --- writing --- */

/* Makes the slab of every run LIVE.  This may wait, so the request has entered
 * no slab. */
static int make_live(struct io *io)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < io->n_runs; i++)
		rc = plan_make_live(io->engine, io->runs[i].slab,
				    io->deadline_ns);
	return rc;
}

/* After a write has failed for good: where a transfer was sent, its pages may
 * hold the old bytes or the new bytes.  Pages that were absent stay absent. */
static void lose_unsure_runs(struct io *io)
{
	for (size_t i = 0; i < io->n_runs; i++) {
		const struct io_run *run = &io->runs[i];

		if (run->unsure)
			engine_lose_pages(io->engine, run->page, run->pages);
	}
}

static int attempt_write(struct io *io)
{
	int rc = make_live(io);

	if (rc)
		return rc;
	rc = plan_enter(io);
	if (!rc)
		rc = transfer_write(io);
	io_leave(io);
	return rc;
}

static int write_runs(struct io *io)
{
	int rc;

	for (;;) {
		io->obstacle = (struct obstacle){ 0 };
		rc = attempt_write(io);
		if (rc == -EAGAIN)
			rc = wait_obstacle(io);
		if (rc != -EAGAIN)
			break;
		latency_count(&io->lane->counters->retries, 1);
	}
	if (rc)
		lose_unsure_runs(io);
	return rc;
}

/* The pages of the piece that are in no run are zeros, and become absent. */
static void discard_gaps(const struct io *io, uint64_t page, uint64_t n)
{
	uint64_t end = page + n;

	for (size_t i = 0; i < io->n_runs; i++) {
		const struct io_run *run = &io->runs[i];

		engine_set_pages(io->engine, page, run->page - page,
				 PAGE_ABSENT);
		page = run->page + run->pages;
	}
	engine_set_pages(io->engine, page, end - page, PAGE_ABSENT);
}

/* Writes at most *N pages, and sets *N to the number of pages written. */
static int write_piece(struct io *io, char *buf, uint64_t page, uint64_t *n)
{
	uint64_t zeros = plan_write(io, (uint8_t *)buf, page, n);
	int rc = plan_lock(io);

	if (!rc && io->n_runs > 0)
		rc = write_runs(io);
	plan_unlock(io);
	if (!rc && zeros > 0) {
		discard_gaps(io, page, *n);
		engine_count(io->engine, ENGINE_ZERO_PAGES, zeros);
	}
	return rc;
}

/* --- the front end's side --- */

static int pieces(struct io *io, enum lane_use use, char *buf, uint64_t page,
		  uint64_t n)
{
	while (n > 0) {
		uint64_t now = n < LANE_PAGES ? n : LANE_PAGES;
		int rc = use == LANE_READ ? read_piece(io, buf, page, &now)
					  : write_piece(io, buf, page, &now);

		if (rc)
			return rc;
		page += now;
		n -= now;
		buf += now * PAGE_BYTES;
	}
	return 0;
}

/* A read of absent pages or a write of zeros needs neither a lane nor a server,
 * so it also succeeds while no server is UP. */
static bool read_locally(struct engine *engine, char *buf, uint64_t page,
			 uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		if (pagemap_get(&engine->pages, page + i) != PAGE_ABSENT)
			return false;
	}
	memset(buf, 0, n * PAGE_BYTES);
	engine_count(engine, ENGINE_LOCAL_READS, 1);
	return true;
}

static bool write_locally(struct engine *engine, const char *buf, uint64_t page,
			  uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		if (!plan_is_zero(buf + i * PAGE_BYTES))
			return false;
	}
	engine_set_pages(engine, page, n, PAGE_ABSENT);
	engine_count(engine, ENGINE_ZERO_PAGES, n);
	engine_count(engine, ENGINE_LOCAL_WRITES, 1);
	return true;
}

static bool run_locally(struct engine *engine, enum lane_use use, char *buf,
			uint64_t page, uint64_t n)
{
	return use == LANE_READ ? read_locally(engine, buf, page, n)
				: write_locally(engine, buf, page, n);
}

static void count_failure(struct engine *engine, enum lane_use use)
{
	count(use == LANE_READ ? &engine->counters.read_errors
			       : &engine->counters.write_errors,
	      1);
	atomic_store_explicit(&engine->counters.last_error_ns, clock_now_ns(),
			      memory_order_relaxed);
}

static void count_request(struct lane *lane, enum lane_use use, uint64_t bytes,
			  uint64_t begin_ns)
{
	latency_add(&lane->counters->requests[use], clock_now_ns() - begin_ns);
	latency_count(&lane->counters->bytes[use], bytes);
}

/* DEADLINE_NS is 0 where the request comes now: one that needs no server reads
 * no clock. */
static int run_request(struct engine *engine, enum lane_use use, char *buf,
		       uint64_t bytes, uint64_t offset, uint64_t deadline_ns)
{
	uint64_t page = offset / PAGE_BYTES, n = bytes / PAGE_BYTES;
	uint64_t begin_ns;
	struct lane *lane = NULL;
	struct io io;
	int rc;

	if (run_locally(engine, use, buf, page, n))
		return 0;
	/* A request that waited too long before this call is not sent. */
	if (!deadline_ns || clock_left_ns(deadline_ns)) {
		if (!deadline_ns)
			deadline_ns = engine_deadline_ns(engine);
		lane = wait_lane(engine, use, deadline_ns);
	}
	if (!lane) {
		count_failure(engine, use);
		return -EIO;
	}
	begin_ns = deadline_ns - engine->config.timeout_ns;
	io_begin(&io, engine, lane, deadline_ns);
	rc = pieces(&io, use, buf, page, n);
	count_request(io.lane, use, bytes, begin_ns);
	lane_put(&engine->lanes, io.lane, use);
	if (rc)
		count_failure(engine, use);
	return rc == 0 || rc == -ENOSPC ? rc : -EIO;
}

uint64_t engine_deadline_ns(const struct engine *engine)
{
	return clock_now_ns() + engine->config.timeout_ns;
}

int engine_read_until(struct engine *engine, void *buf, uint64_t count_bytes,
		      uint64_t offset, uint64_t deadline_ns)
{
	return run_request(engine, LANE_READ, buf, count_bytes, offset,
			   deadline_ns);
}

int engine_write_until(struct engine *engine, const void *buf,
		       uint64_t count_bytes, uint64_t offset,
		       uint64_t deadline_ns)
{
	/* Transfers have one type of buffer.  A WRITE does not change the
	 * buffer. */
	return run_request(engine, LANE_WRITE, (char *)(uintptr_t)buf,
			   count_bytes, offset, deadline_ns);
}

int engine_read(struct engine *engine, void *buf, uint64_t count_bytes,
		uint64_t offset)
{
	return engine_read_until(engine, buf, count_bytes, offset, 0);
}

int engine_write(struct engine *engine, const void *buf, uint64_t count_bytes,
		 uint64_t offset)
{
	return engine_write_until(engine, buf, count_bytes, offset, 0);
}

void engine_discard(struct engine *engine, uint64_t count_bytes,
		    uint64_t offset)
{
	engine_set_pages(engine, offset / PAGE_BYTES, count_bytes / PAGE_BYTES,
			 PAGE_ABSENT);
}

uint64_t engine_extent(const struct engine *engine, uint64_t count_bytes,
		       uint64_t offset, bool *absent)
{
	const struct pagemap *pages = &engine->pages;
	uint64_t page = offset / PAGE_BYTES, n = count_bytes / PAGE_BYTES;
	uint64_t done = 1;

	/* Each state is read once, because another thread may change it. */
	*absent = pagemap_get(pages, page) == PAGE_ABSENT;
	while (done < n &&
	       (pagemap_get(pages, page + done) == PAGE_ABSENT) == *absent)
		done++;
	return done * PAGE_BYTES;
}
