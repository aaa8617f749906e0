#include "verify.h"

#include <errno.h>

#include "clock.h"

bool verify_unchanged(const struct engine *engine, const struct lane_run *run)
{
	for (uint32_t i = 0; run->versions && i < run->pages; i++) {
		if (!pagemap_unchanged(&engine->pages, run->page + i,
				       run->versions[i], false))
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

/* --- which shards are wrong --- */

/* The search for the wrong shards of a page.  The page is locked meanwhile.
 * Sets of shards are bits. */
struct search {
	struct engine *engine;
	struct lane *lane;
	struct lane_run page; /* alone */
	uint64_t deadline_ns;
	struct obstacle *obstacle;
	uint32_t holders; /* that have the page */
	uint32_t wrong;	  /* were in a set from which the page is wrong */
	int unread;	  /* 0, or the errno of a set not read */
};

static struct slab_shard *shard_of(const struct search *s, uint32_t i)
{
	return &s->page.slab->shards[i];
}

static uint32_t holders_of(const struct search *s)
{
	uint32_t chunk = slab_chunk_of_page(&s->engine->slabs, s->page.page);
	uint32_t bits = 0;

	for (uint32_t i = 0; i < s->engine->slabs.n_shards; i++) {
		if (shard_is_live(shard_of(s, i)) &&
		    !shard_is_stale(shard_of(s, i), chunk) &&
		    !(s->page.banned & 1u << i))
			bits |= 1u << i;
	}
	return bits;
}

/* Whether a page can be read from the shards in SET, all of them needed. */
static bool is_source(const struct search *s, uint32_t set)
{
	uint32_t indexes = 0;

	for (uint32_t i = 0; i < s->engine->slabs.n_shards; i++) {
		if (set & 1u << i)
			indexes |= 1u << shard_of(s, i)->index;
	}
	return (uint32_t)__builtin_popcount(set) ==
		       s->engine->redundancy.need &&
	       (uint32_t)__builtin_popcount(indexes) ==
		       s->engine->redundancy.need;
}

/* Reads the page from the shards in SET and from no other shards.  0 where the
 * page is right, -EILSEQ where it is wrong, or the errno of the read. */
static int read_from(struct search *s, uint32_t set)
{
	struct obstacle obstacle = { 0 };
	int rc;

	if (clock_left_ns(s->deadline_ns) == 0)
		return -ETIMEDOUT;
	/* A session that waits for its link must not wait for other servers.
	 */
	lane_links_release(&s->engine->lanes, s->lane);
	/* Alone in the plan, because transfer_read reads all runs of the plan.
	 */
	s->lane->n_runs = 1;
	s->lane->runs[0] = s->page;
	s->lane->runs[0].banned = ~set;
	s->lane->read_again++;
	rc = transfer_read(s->engine, s->lane, s->deadline_ns, &obstacle);
	if (obstacle.server)
		*s->obstacle = obstacle;
	if (!rc && !engine_checksum_fits(s->engine, s->page.page, s->page.buf))
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
		else if (s->unread != -EAGAIN) /* which is no reason to end */
			s->unread = rc;
	}
	return 0;
}

/* RIGHT with shard I in place of one of its shards. */
static uint32_t with_shard(const struct search *s, uint32_t right, uint32_t i)
{
	for (uint32_t j = 0; j < s->engine->slabs.n_shards; j++) {
		uint32_t set = (right & ~(1u << j)) | 1u << i;

		if (right & 1u << j && is_source(s, set))
			return set;
	}
	return 0; /* there always is such a shard */
}

/* Marks the page's chunk as stale in shard I: the chunk is wrong, and the page
 * is right without the shard. */
static void condemn(const struct search *s, uint32_t i)
{
	struct slab_shard *shard = shard_of(s, i);

	atomic_fetch_add(&server_of_shard(s->engine, shard)->wrong_chunks, 1);
	shard_mark(shard, slab_chunk_of_page(&s->engine->slabs, s->page.page),
		   1, true);
	wake_up(&s->engine->wake);
}

/* Condemns each shard that is wrong by itself beside shards that are RIGHT.
 * Returns how many shards. */
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

/* No server has the page any more. */
static void lose(const struct search *s)
{
	struct engine *engine = s->engine;

	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		/* Of several shares it is unknown which share is wrong. */
		if (engine->redundancy.need == 1 && s->wrong & 1u << i)
			atomic_fetch_add(
				&server_of_shard(engine, shard_of(s, i))
					 ->wrong_chunks,
				1);
	}
	atomic_fetch_add(&engine->counters.wrong_lost,
			 (uint64_t)engine_lose_pages(engine, s->page.page, 1));
	wake_up(&engine->wake);
}

/* The shards that RUN was decoded from: the first of those at hand. */
static uint32_t shards_used(const struct engine *engine,
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

/* Page I of RUN, which is locked, came out wrong.  Asks every shard that has
 * the page again, because the way from the shard may have been wrong: only a
 * chunk that is wrong twice is given up. */
static int judge(struct engine *engine, struct lane *lane,
		 const struct lane_run *run, uint32_t i, uint64_t deadline_ns,
		 struct obstacle *obstacle)
{
	struct search s = { .engine = engine,
			    .lane = lane,
			    .page = *run,
			    .deadline_ns = deadline_ns,
			    .obstacle = obstacle,
			    .wrong = shards_used(engine, run) };
	const struct lane_run first = lane->runs[0]; /* RUN, perhaps */
	const size_t n_runs = lane->n_runs;
	uint32_t right;
	int rc;

	atomic_fetch_add(&engine->counters.wrong_reads, 1);
	s.page.page += i;
	s.page.pages = 1;
	s.page.buf += (uint64_t)i * PAGE_BYTES;
	s.holders = holders_of(&s);
	right = find_right(&s);
	if (right) {
		rc = condemn_wrong(&s, right) ? -ESTALE : -EAGAIN;
	} else if (s.unread) {
		rc = s.unread;
	} else {
		lose(&s);
		rc = -ESTALE;
	}
	lane->runs[0] = first;
	lane->n_runs = n_runs;
	return rc;
}

/* Judges page I of a RUN that was read without locking its pages. */
static int lock_and_judge(struct engine *engine, struct lane *lane,
			  const struct lane_run *run, uint32_t i,
			  uint64_t deadline_ns, struct obstacle *obstacle)
{
	uint64_t page = run->page + i;
	int rc = -ESTALE;

	/* Without waiting, as the lane is inside slabs. */
	if (pagemap_lock(&engine->pages, page, 0)) {
		obstacle->busy = true;
		obstacle->page = page;
		return -EAGAIN;
	}
	/* Where the page changed since, the bytes that were read say nothing of
	 * the chunks that are there now. */
	if (pagemap_unchanged(&engine->pages, page, run->versions[i], true))
		rc = judge(engine, lane, run, i, deadline_ns, obstacle);
	pagemap_unlock(&engine->pages, page);
	return rc;
}

int verify_run(struct engine *engine, struct lane *lane, struct lane_run *run,
	       uint64_t deadline_ns, struct obstacle *obstacle)
{
	uint32_t wrong = first_wrong(engine, run);

	if (wrong == run->pages)
		return verify_unchanged(engine, run) ? 0 : -ESTALE;
	if (run->versions)
		return lock_and_judge(engine, lane, run, wrong, deadline_ns,
				      obstacle);
	return judge(engine, lane, run, wrong, deadline_ns, obstacle);
}
