#include "verify.h"

#include <errno.h>

#include "clock.h"
#include "plan.h"
#include "transfer.h"

/* Decodes the units that were read into the pages of RUN.  Returns how many
 * pages are right before the first wrong page. */
static uint32_t decode(const struct io *io, const struct io_run *run)
{
	const struct engine *engine = io->engine;

	return codec_decode(&engine->codec,
			    lane_number(&engine->lanes, io->lane), run->page,
			    run->pages, run->units, run->buf);
}

/* --- which shards are wrong --- */

/* The search for the wrong shards of a page.  The page is locked meanwhile.
 * Sets of shards are bits. */
struct search {
	struct engine *engine;
	struct io *request; /* this request found the page to be wrong */
	struct io io;	    /* reads only this page, over the same lane */
	uint32_t holders;   /* the shards that have the page */
	uint32_t wrong;	    /* shards of sets that gave a wrong page */
	int unread;	    /* 0, or the errno of a set that was not read */
};

/* The page of the search, as a run. */
static const struct io_run *page_of(const struct search *s)
{
	return &s->io.runs[0];
}

static struct slab_shard *shard_of(const struct search *s, uint32_t i)
{
	return &page_of(s)->slab->shards[i];
}

/* Whether a page can be read from the shards in SET, and needs all of them. */
static bool is_source(const struct search *s, uint32_t set)
{
	uint32_t indexes = slab_indexes(page_of(s)->slab, set);
	int need = (int)s->engine->redundancy.need;

	return __builtin_popcount(set) == need &&
	       __builtin_popcount(indexes) == need;
}

/* Reads the page from the shards in SET and from no other shards.  0 where the
 * page is right, -EILSEQ where it is wrong, or the errno of the read. */
static int read_from(struct search *s, uint32_t set)
{
	struct io_run *run = &s->io.runs[0];
	int rc;

	if (clock_left_ns(s->io.deadline_ns) == 0)
		return -ETIMEDOUT;
	/* A session waits until the links to its server are released.  It must
	 * not wait for this request's reads from other servers.
	 */
	lane_links_release(&s->engine->lanes, s->io.lane);
	run->holders = set;
	s->io.obstacle = (struct obstacle){ 0 };
	s->request->read_again++;
	rc = transfer_read(&s->io);
	if (s->io.obstacle.server)
		s->request->obstacle = s->io.obstacle;
	if (!rc && decode(&s->io, run) == 0)
		rc = -EILSEQ;
	return rc;
}

/* The first set of shards from which the page is right, or 0. */
static uint32_t find_right(struct search *s)
{
	for (uint32_t set = s->holders; set; set = (set - 1) & s->holders) {
		int rc;

		if (!is_source(s, set))
			continue;
		rc = read_from(s, set);
		if (!rc)
			return set;
		if (rc == -EILSEQ)
			s->wrong |= set;
		/* -EAGAIN stays: the caller then reads again. */
		else if (s->unread != -EAGAIN)
			s->unread = rc;
	}
	return 0;
}

/* The set RIGHT, with shard I in place of one of its shards. */
static uint32_t with_shard(const struct search *s, uint32_t right, uint32_t i)
{
	for (uint32_t j = 0; j < s->engine->slabs.n_shards; j++) {
		uint32_t set = (right & ~(1u << j)) | 1u << i;

		if (right & 1u << j && is_source(s, set))
			return set;
	}
	return 0; /* not reached: such a shard always exists */
}

/* Marks the page's chunk as stale in shard I: the chunk is wrong, and the page
 * is right without the shard. */
static void condemn(const struct search *s, uint32_t i)
{
	struct slab_shard *shard = shard_of(s, i);

	atomic_fetch_add(
		&server_of_shard(s->engine, shard)->shared.wrong_chunks, 1);
	shard_mark(shard,
		   slab_chunk_of_page(&s->engine->slabs, page_of(s)->page), 1,
		   true);
	wake_up(&s->engine->wake);
}

/* Condemns each suspect that makes the page wrong together with shards of
 * RIGHT.  Returns how many shards were condemned. */
static uint32_t condemn_wrong(struct search *s, uint32_t right)
{
	uint32_t suspects = s->wrong & ~right, n = 0;

	for (uint32_t i = 0; i < s->engine->slabs.n_shards; i++) {
		if (!(suspects & 1u << i) ||
		    read_from(s, with_shard(s, right, i)) != -EILSEQ)
			continue;
		condemn(s, i);
		n++;
	}
	return n;
}

/* The page becomes LOST: no server has the right bytes any more. */
static void lose(const struct search *s)
{
	struct engine *engine = s->engine;

	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		/* With several shares it is unknown which share is wrong, so no
		 * server is blamed. */
		if (redundancy_blames(&engine->redundancy) &&
		    s->wrong & 1u << i)
			atomic_fetch_add(
				&server_of_shard(engine, shard_of(s, i))
					 ->shared.wrong_chunks,
				1);
	}
	atomic_fetch_add(
		&engine->counters.wrong_lost,
		(uint64_t)engine_lose_pages(engine, page_of(s)->page, 1));
	wake_up(&engine->wake);
}

/* The shards that RUN was decoded from: the first shards that answered
 * (decode_run). */
static uint32_t shards_used(const struct engine *engine,
			    const struct io_run *run)
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

/* Page I of RUN is locked, and its bytes are wrong.  Reads the page again from
 * every shard that has the page, because the transfer may have damaged the
 * bytes: only a chunk that is wrong twice is given up. */
static int judge(struct io *io, const struct io_run *run, uint32_t i)
{
	struct engine *engine = io->engine;
	uint64_t page = run->page + i;
	struct search s;
	uint32_t right;

	atomic_fetch_add(&engine->counters.wrong_reads, 1);
	s.engine = engine;
	s.request = io;
	io_begin(&s.io, engine, io->lane, io->deadline_ns);
	io_one_run(&s.io, run->slab, page, 1,
		   run->buf + (uint64_t)i * PAGE_BYTES);
	s.holders = plan_holders(engine, run->slab, page, 1);
	s.wrong = shards_used(engine, run);
	s.unread = 0;
	right = find_right(&s);
	if (right)
		return condemn_wrong(&s, right) ? -ESTALE : -EAGAIN;
	if (s.unread)
		return s.unread;
	lose(&s);
	return -ESTALE;
}

/* Judges page I of a RUN that was read without locking its pages. */
static int lock_and_judge(struct io *io, const struct io_run *run, uint32_t i)
{
	struct pagemap *pages = &io->engine->pages;
	uint64_t page = run->page + i;
	int rc = -ESTALE;

	/* A deadline of 0, because the request must not wait inside slabs. */
	if (pagemap_lock(pages, page, 0)) {
		io->obstacle.page_locked = true;
		io->obstacle.page = page;
		return -EAGAIN;
	}
	/* Where the page has changed since the plan, the bytes that were read
	 * are not those of the present chunks. */
	if (pagemap_unchanged(pages, page, run->versions[i], true))
		rc = judge(io, run, i);
	pagemap_unlock(pages, page);
	return rc;
}

int verify_run(struct io *io, const struct io_run *run)
{
	uint32_t wrong = decode(io, run);

	if (wrong == run->pages)
		return plan_is_unchanged(io, run) ? 0 : -ESTALE;
	if (run->versions)
		return lock_and_judge(io, run, wrong);
	return judge(io, run, wrong);
}
