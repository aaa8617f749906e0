/* Requests: from a range of the device to transfers and back.  This is the I/O
 * path: nothing here allocates, logs, or holds a lock while it waits.
 *
 * A request goes in pieces of at most LANE_PAGES pages, each planned as runs of
 * pages that lie next to each other in one slab.  A try of a piece enters the
 * slabs and holds the links of its runs, submits them all at once, waits, and
 * leaves.  What stood in the way (a slab in change, a server that recovers) is
 * waited for with nothing held but the lane; then the piece is planned and
 * tried again.  Both directions are idempotent, and a server that was BROKEN in
 * between has fenced the earlier try (peer.h).
 */
#include "engine.h"

#include <errno.h>
#include <string.h>

#include "clock.h"
#include "place.h"

/* --- planning --- */

static bool page_is_zero(const char *page)
{
	/* The first bytes decide most often; then the page against itself,
	 * shifted by those bytes, at the speed of memcmp. */
	uint64_t first;

	memcpy(&first, page, sizeof first);
	return first == 0 &&
	       !memcmp(page, page + sizeof first, PAGE_BYTES - sizeof first);
}

/* Adds PAGE, whose bytes are at BUF, to the plan: to the last run, where it
 * goes on there. */
static void plan_page(struct engine *engine, struct lane *lane, enum xfer_op op,
		      uint64_t page, char *buf)
{
	struct slab_table *table = &engine->slabs;
	struct slab *slab = &table->slabs[slab_of_page(table, page)];
	struct lane_run *run;

	if (lane->n_runs > 0) {
		run = &lane->runs[lane->n_runs - 1];
		if (run->slab == slab && run->page + run->pages == page) {
			run->pages++;
			run->xfer.bytes += table->geometry.unit_bytes;
			return;
		}
	}
	run = &lane->runs[lane->n_runs++];
	*run = (struct lane_run){
		.xfer = { .op = op,
			  .bytes = table->geometry.unit_bytes,
			  .offset_bytes = slab_offset_of_page(table, page),
			  .buf = buf },
		.slab = slab,
		.page = page,
		.pages = 1,
	};
}

/* Plans the PRESENT pages and zeroes the buffer of the ABSENT ones. */
static int plan_read(struct engine *engine, struct lane *lane, char *buf,
		     uint64_t page, uint64_t n)
{
	lane->n_runs = 0;
	for (uint64_t i = 0; i < n; i++, buf += PAGE_BYTES) {
		switch (pagemap_get(&engine->pages, page + i)) {
		case PAGE_ABSENT:
			memset(buf, 0, PAGE_BYTES);
			break;
		case PAGE_PRESENT:
			plan_page(engine, lane, XFER_READ, page + i, buf);
			break;
		case PAGE_LOST:
			return -EIO;
		}
	}
	return 0;
}

/* Plans the pages that are not all zeros; how many are. */
static uint64_t plan_write(struct engine *engine, struct lane *lane, char *buf,
			   uint64_t page, uint64_t n)
{
	uint64_t zeros = 0;

	lane->n_runs = 0;
	for (uint64_t i = 0; i < n; i++, buf += PAGE_BYTES) {
		if (page_is_zero(buf))
			zeros++;
		else
			plan_page(engine, lane, XFER_WRITE, page + i, buf);
	}
	return zeros;
}

/* --- one try --- */

static struct peer *peer_of(const struct engine *engine,
			    const struct lane_run *run)
{
	return &engine->peers[run->slab->peer];
}

/* What ends a try before it began: waited for here, so that the next one finds
 * it over.  -EAGAIN, or -ETIMEDOUT. */
static int await_slab(struct engine *engine, struct slab *slab,
		      uint64_t deadline_ns)
{
	int rc = slab_wait(&engine->slabs, slab, deadline_ns);

	return rc ? rc : -EAGAIN;
}

static int await_peer(struct peer *peer, uint64_t deadline_ns)
{
	int rc = peer_wait(peer, deadline_ns);

	return rc ? rc : -EAGAIN;
}

/* Whether the slab that was entered is the one that a READ was planned for: it
 * may have been lost in between, and another one come in its place for other
 * pages, which knows nothing of these.  Now that it is entered that can happen
 * no more. */
static bool still_there(const struct engine *engine, const struct lane_run *run)
{
	return run->xfer.op == XFER_WRITE ||
	       (pagemap_get(&engine->pages, run->page) == PAGE_PRESENT &&
		pagemap_run(&engine->pages, run->page, run->pages) ==
			run->pages);
}

/* Enters the slab of RUN and holds the link to it.  On failure *WAIT_PEER is
 * the peer that was not up, or NULL where it was the slab. */
static bool enter_run(struct engine *engine, struct lane *lane,
		      struct lane_run *run, struct peer **wait_peer)
{
	struct peer *peer;

	*wait_peer = NULL;
	if (slab_enter(run->slab) != SLAB_LIVE)
		return false;
	run->entered = true;
	if (!still_there(engine, run))
		return false;
	peer = peer_of(engine, run);
	/* The state after the hold: a peer that breaks later aborts the link
	 * and waits for it to be let go. */
	if (!lane_link_hold(lane, peer->index) || peer_state(peer) != PEER_UP) {
		*wait_peer = peer;
		return false;
	}
	run->xfer.link = lane->links[peer->index].link;
	run->xfer.remote = run->slab->remote;
	return true;
}

static void leave_runs(struct engine *engine, struct lane *lane)
{
	lane_links_release(&engine->lanes, lane);
	for (size_t i = 0; i < lane->n_runs; i++) {
		if (lane->runs[i].entered)
			slab_leave(lane->runs[i].slab);
		lane->runs[i].entered = false;
	}
}

/* 0, -EAGAIN after a wait, or -ETIMEDOUT; nothing is held unless 0. */
static int enter_runs(struct engine *engine, struct lane *lane,
		      uint64_t deadline_ns)
{
	for (size_t i = 0; i < lane->n_runs; i++) {
		struct lane_run *run = &lane->runs[i];
		struct peer *peer;

		if (enter_run(engine, lane, run, &peer))
			continue;
		leave_runs(engine, lane);
		return peer ? await_peer(peer, deadline_ns)
			    : await_slab(engine, run->slab, deadline_ns);
	}
	return 0;
}

/* Copies the runs' transfers to lane->xfers, those of one channel together;
 * almost always there is only one. */
static void order_xfers(struct lane *lane)
{
	size_t n = 0;

	for (size_t i = 0; i < lane->n_runs; i++) {
		size_t at = n++;
		struct channel *channel = lane->runs[i].xfer.link->channel;

		while (at > 0 && lane->xfers[at - 1].link->channel > channel) {
			lane->xfers[at] = lane->xfers[at - 1];
			lane->run_of_xfer[at] = lane->run_of_xfer[at - 1];
			at--;
		}
		lane->xfers[at] = lane->runs[i].xfer;
		lane->run_of_xfer[at] = (uint8_t)i;
	}
}

/* How many transfers from xfers[I] are of the same channel. */
static size_t same_channel(const struct lane *lane, size_t i)
{
	size_t n = 1;

	while (i + n < lane->n_runs &&
	       lane->xfers[i + n].link->channel == lane->xfers[i].link->channel)
		n++;
	return n;
}

static void carry_out(struct lane *lane, uint64_t deadline_ns)
{
	for (size_t i = 0, n; i < lane->n_runs; i += n) {
		struct channel *channel = lane->xfers[i].link->channel;

		n = same_channel(lane, i);
		channel->ops->submit(channel, &lane->xfers[i], n, deadline_ns);
	}
	for (size_t i = 0, n; i < lane->n_runs; i += n) {
		struct channel *channel = lane->xfers[i].link->channel;

		n = same_channel(lane, i);
		channel->ops->wait(channel, &lane->xfers[i], n, deadline_ns);
	}
}

static const char *failure_text(int status)
{
	switch (status) {
	case -ETIMEDOUT:
		return "no answer to a request within its deadline";
	case -EREMOTEIO:
		return "it refused a request";
	default:
		return strerrordesc_np(-status);
	}
}

/* What came of a run, while its slab and link are still held. */
static int settle_run(struct engine *engine, struct lane_run *run, int status)
{
	bool write = run->xfer.op == XFER_WRITE;

	if (status == 0) {
		if (write) {
			run->unsure = false;
			engine_set_pages(engine, run->page, run->pages,
					 PAGE_PRESENT);
		}
		return 0;
	}
	run->unsure = write;
	peer_break(peer_of(engine, run), failure_text(status));
	return status == -ETIMEDOUT || status == -EREMOTEIO ? status : -EAGAIN;
}

/* 0, -EAGAIN (try again), or what ends the request. */
static int try_runs(struct engine *engine, struct lane *lane,
		    uint64_t deadline_ns)
{
	int rc = enter_runs(engine, lane, deadline_ns);

	if (rc)
		return rc;
	order_xfers(lane);
	carry_out(lane, deadline_ns);
	for (size_t i = 0; i < lane->n_runs; i++) {
		struct lane_run *run = &lane->runs[lane->run_of_xfer[i]];
		int status = settle_run(engine, run, lane->xfers[i].status);

		if (status && rc != -ETIMEDOUT && rc != -EREMOTEIO)
			rc = status;
	}
	leave_runs(engine, lane);
	return rc;
}

/* --- pieces --- */

static void count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static int read_piece(struct engine *engine, struct lane *lane, char *buf,
		      uint64_t page, uint64_t n, uint64_t deadline_ns)
{
	int rc;

	for (;;) {
		rc = plan_read(engine, lane, buf, page, n);
		if (!rc && lane->n_runs > 0)
			rc = try_runs(engine, lane, deadline_ns);
		if (rc != -EAGAIN)
			return rc;
		if (clock_left_ns(deadline_ns) == 0)
			return -ETIMEDOUT;
		count(&lane->counters.retries, 1);
	}
}

/* Sees to a slab for every run, with none entered. */
static int place_runs(struct engine *engine, struct lane *lane,
		      uint64_t deadline_ns)
{
	for (size_t i = 0; i < lane->n_runs; i++) {
		int rc = place_slab(engine, lane->runs[i].slab, deadline_ns);

		if (rc)
			return rc;
	}
	return 0;
}

/* After a write has failed for good: where it was sent, nobody knows which
 * bytes its pages hold.  Pages that were absent stay so. */
static void disown_runs(struct engine *engine, struct lane *lane)
{
	for (size_t i = 0; i < lane->n_runs; i++) {
		struct lane_run *run = &lane->runs[i];

		if (run->unsure)
			engine_lose_pages(engine, run->page, run->pages);
	}
}

static int write_runs(struct engine *engine, struct lane *lane,
		      uint64_t deadline_ns)
{
	int rc;

	for (;;) {
		rc = place_runs(engine, lane, deadline_ns);
		if (!rc)
			rc = try_runs(engine, lane, deadline_ns);
		if (rc == -EAGAIN && clock_left_ns(deadline_ns) == 0)
			rc = -ETIMEDOUT;
		if (rc != -EAGAIN)
			break;
		count(&lane->counters.retries, 1);
	}
	if (rc)
		disown_runs(engine, lane);
	return rc;
}

/* The pages of a piece that no run has are zeros, and become absent. */
static void discard_gaps(struct engine *engine, const struct lane *lane,
			 uint64_t page, uint64_t n)
{
	uint64_t end = page + n;

	for (size_t i = 0; i < lane->n_runs; i++) {
		const struct lane_run *run = &lane->runs[i];

		engine_set_pages(engine, page, run->page - page, PAGE_ABSENT);
		page = run->page + run->pages;
	}
	engine_set_pages(engine, page, end - page, PAGE_ABSENT);
}

static int write_piece(struct engine *engine, struct lane *lane, char *buf,
		       uint64_t page, uint64_t n, uint64_t deadline_ns)
{
	uint64_t zeros = plan_write(engine, lane, buf, page, n);
	int rc = 0;

	if (lane->n_runs > 0)
		rc = write_runs(engine, lane, deadline_ns);
	if (!rc && zeros > 0) {
		discard_gaps(engine, lane, page, n);
		count(&engine->counters.zero_pages, zeros);
	}
	return rc;
}

/* --- the front end's side --- */

static int piece(struct engine *engine, struct lane *lane, enum lane_use use,
		 char *buf, uint64_t page, uint64_t n, uint64_t deadline_ns)
{
	return use == LANE_READ
		       ? read_piece(engine, lane, buf, page, n, deadline_ns)
		       : write_piece(engine, lane, buf, page, n, deadline_ns);
}

static int pieces(struct engine *engine, struct lane *lane, enum lane_use use,
		  char *buf, uint64_t page, uint64_t n, uint64_t deadline_ns)
{
	while (n > 0) {
		uint64_t now = n < LANE_PAGES ? n : LANE_PAGES;
		int rc = piece(engine, lane, use, buf, page, now, deadline_ns);

		if (rc)
			return rc;
		page += now;
		n -= now;
		buf += now * PAGE_BYTES;
	}
	return 0;
}

/* A read of absent pages, or a write of zeros, is served here and now: it goes
 * on whatever has become of the servers, and takes no lane. */
static bool read_locally(struct engine *engine, char *buf, uint64_t page,
			 uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		if (pagemap_get(&engine->pages, page + i) != PAGE_ABSENT)
			return false;
	}
	memset(buf, 0, n * PAGE_BYTES);
	count(&engine->counters.local_reads, 1);
	return true;
}

static bool write_locally(struct engine *engine, const char *buf, uint64_t page,
			  uint64_t n)
{
	for (uint64_t i = 0; i < n; i++) {
		if (!page_is_zero(buf + i * PAGE_BYTES))
			return false;
	}
	engine_set_pages(engine, page, n, PAGE_ABSENT);
	count(&engine->counters.zero_pages, n);
	count(&engine->counters.local_writes, 1);
	return true;
}

static bool run_locally(struct engine *engine, enum lane_use use, char *buf,
			uint64_t page, uint64_t n)
{
	return use == LANE_READ ? read_locally(engine, buf, page, n)
				: write_locally(engine, buf, page, n);
}

static int run_request(struct engine *engine, enum lane_use use, char *buf,
		       uint64_t bytes, uint64_t offset)
{
	uint64_t page = offset / PAGE_BYTES, n = bytes / PAGE_BYTES;
	uint64_t deadline_ns;
	struct lane *lane;
	int rc;

	if (run_locally(engine, use, buf, page, n))
		return 0;
	deadline_ns = clock_now_ns() + engine->config.timeout_ns;
	lane = lane_get(&engine->lanes, use, deadline_ns);
	if (!lane) {
		count(&engine->counters.errors, 1);
		return -EIO;
	}
	rc = pieces(engine, lane, use, buf, page, n, deadline_ns);
	count(use == LANE_READ ? &lane->counters.reads : &lane->counters.writes,
	      1);
	count(use == LANE_READ ? &lane->counters.read_bytes
			       : &lane->counters.write_bytes,
	      bytes);
	lane_put(&engine->lanes, lane, use);
	if (rc)
		count(&engine->counters.errors, 1);
	return rc == 0 || rc == -ENOSPC ? rc : -EIO;
}

int engine_read(struct engine *engine, void *buf, uint64_t count_bytes,
		uint64_t offset)
{
	return run_request(engine, LANE_READ, buf, count_bytes, offset);
}

int engine_write(struct engine *engine, const void *buf, uint64_t count_bytes,
		 uint64_t offset)
{
	/* Transfers have one kind of buffer; a WRITE only reads it. */
	return run_request(engine, LANE_WRITE, (char *)(uintptr_t)buf,
			   count_bytes, offset);
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

	/* Each page is looked at once: it may change meanwhile. */
	*absent = pagemap_get(pages, page) == PAGE_ABSENT;
	while (done < n &&
	       (pagemap_get(pages, page + done) == PAGE_ABSENT) == *absent)
		done++;
	return done * PAGE_BYTES;
}
