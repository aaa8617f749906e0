#include "attempt.h"

#include <errno.h>

#include "clock.h"
#include "transfer.h"
#include "wait.h"

/* How long a read waits before it asks one more server: the usual time plus
 * four times the usual deviation, like TCP's retransmission timer (RFC 6298),
 * within these bounds. */
#define HEDGE_MIN_NS (2 * NS_PER_MS)
#define HEDGE_MAX_NS (40 * NS_PER_MS)

/* One read in EXPLORE_READS asks the slowest server first.  So the plugin
 * notices a server that has become fast again. */
#define EXPLORE_READS 32

/* --- which shards to ask --- */

static uint32_t count_bits(uint32_t bits)
{
	return (uint32_t)__builtin_popcount(bits);
}

/* The shards that have answered or may still answer. */
static uint32_t shards_asked(const struct io_run *run)
{
	return run->sent & ~run->failed;
}

/* The read asks the shard with the lowest score; where WORST is true, the shard
 * with the highest.  Among servers that are about equally fast, each is the
 * first choice for some slabs, so that all share the load.  The score of a last
 * resort makes every other server come first. */
static uint64_t score(const struct engine *engine, const struct io_run *run,
		      uint32_t i, bool worst)
{
	const struct server *server =
		server_of_shard(engine, &run->slab->shards[i]);
	uint64_t number = slab_number(&engine->slabs, run->slab);
	uint64_t ns = atomic_load_explicit(&server->shared.usual_ns,
					   memory_order_relaxed);

	if (number % engine->slabs.n_shards == i)
		ns -= ns / 4;
	if (server_is_last_resort(server))
		return worst ? 0 : UINT64_MAX;
	return ns;
}

/* Returns the shard of RUN to ask next: the shard with the best score, or where
 * WORST is true with the worst score.  Returns -1 where there is none.  Sets
 * OBSTACLE to a RECOVERING server that holds RUN, if there is one. */
static int choose(const struct engine *engine, const struct io_run *run,
		  bool worst, struct obstacle *obstacle)
{
	uint32_t indexes = slab_indexes(run->slab, shards_asked(run));
	uint64_t best_score = 0;
	int best = -1;

	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		const struct slab_shard *shard = &run->slab->shards[i];
		enum server_state state;
		uint64_t s;

		if (!(run->holders & ~run->sent & 1u << i) ||
		    indexes & 1u << shard->index)
			continue;
		state = server_state(server_of_shard(engine, shard));
		if (state == SERVER_RECOVERING)
			obstacle->server = server_of_shard(engine, shard);
		if (state != SERVER_UP)
			continue;
		s = score(engine, run, i, worst);
		if (best < 0 || (worst ? s > best_score : s < best_score)) {
			best = (int)i;
			best_score = s;
		}
	}
	return best;
}

/* Asks one more shard for a run.  False where no shard is left, or the lane has
 * no room. */
static bool ask_one(struct io *io, size_t number, bool worst,
		    struct obstacle *obstacle)
{
	const struct engine *engine = io->engine;
	struct io_run *run = &io->runs[number];
	uint64_t bytes = run->pages * (uint64_t)engine->redundancy.chunk_bytes;

	for (;;) {
		int i = choose(engine, run, worst, obstacle);
		uint8_t *buf = run->units;

		if (i < 0)
			return false;
		if (!attempt_hold(io, &run->slab->shards[i])) {
			obstacle->server =
				server_of_shard(engine, &run->slab->shards[i]);
			run->sent |= 1u << i;
			run->failed |= 1u << i;
			continue;
		}
		/* With only one shard no transfer is ever left as late, so the
		 * transfer can use the caller's memory. */
		if (redundancy_can_spare(&engine->redundancy))
			buf = attempt_scratch(io, bytes);
		return buf &&
		       attempt_add(io, number, (uint32_t)i, XFER_READ, buf);
	}
}

static bool complete(const struct engine *engine, const struct io_run *run)
{
	return count_bits(run->have) >= engine->redundancy.need;
}

/* Asks shards until enough have answered or may still answer for every run.
 * Returns 0; -EAGAIN with the obstacle where a server is RECOVERING or has
 * failed in this attempt; or -EIO where no shard has the run. */
static int ask_enough(struct io *io, bool worst)
{
	struct obstacle *obstacle = &io->obstacle;

	for (size_t i = 0; i < io->n_runs; i++) {
		const struct io_run *run = &io->runs[i];

		while (count_bits(shards_asked(run)) <
		       io->engine->redundancy.need) {
			if (!ask_one(io, i, worst, obstacle))
				return obstacle->server || run->failed ? -EAGAIN
								       : -EIO;
		}
	}
	return 0;
}

static bool all_complete(const struct io *io)
{
	for (size_t i = 0; i < io->n_runs; i++) {
		if (!complete(io->engine, &io->runs[i]))
			return false;
	}
	return true;
}

/* Asks one more shard for each run that is not complete.  False where no shard
 * was left to ask. */
static bool hedge(struct io *io)
{
	struct obstacle ignored = { 0 };
	bool asked = false;

	for (size_t i = 0; i < io->n_runs; i++) {
		if (!complete(io->engine, &io->runs[i]))
			asked |= ask_one(io, i, false, &ignored);
	}
	if (asked)
		latency_count(&io->lane->counters->hedges, 1);
	return asked;
}

/* --- one attempt --- */

static uint64_t hedge_after_ns(const struct io *io)
{
	const struct engine *engine = io->engine;
	uint64_t longest_ns = HEDGE_MIN_NS;

	if (!redundancy_can_spare(&engine->redundancy))
		return UINT64_MAX / 2;
	for (size_t i = 0; i < io->n_runs; i++) {
		const struct io_run *run = &io->runs[i];

		for (uint32_t p = 0; p < engine->slabs.n_shards; p++) {
			uint64_t ns;

			if (!(run->sent & 1u << p))
				continue;
			ns = server_patience_ns(
				server_of_shard(engine, &run->slab->shards[p]));
			if (ns > longest_ns)
				longest_ns = ns;
		}
	}
	return longest_ns < HEDGE_MAX_NS ? longest_ns : HEDGE_MAX_NS;
}

/* Marks the transfers that are still in flight as late: the read does not wait
 * for them any more.  Their servers take at least as long as this read took. */
static void leave_late(struct io *io, uint64_t begin_ns)
{
	for (size_t t = 0; t < N_TRANSPORTS; t++) {
		struct lane_set *set = &io->lane->sets[t];

		for (uint32_t i = 0; i < set->submitted; i++) {
			struct lane_tag *tag = &set->tags[i];
			uint64_t now_ns;

			/* A transfer that ended just now is marked, too,
			 * because its result does not belong to the next plan's
			 * runs. */
			if (tag->late || tag->over)
				continue;
			tag->late = true;
			if (!xfer_in_progress(&set->xfers[i]))
				continue;
			now_ns = clock_now_ns();
			attempt_count(io, tag, &set->xfers[i], now_ns);
			server_took_at_least(&io->engine->servers[tag->server],
					     now_ns - begin_ns);
		}
	}
}

/* Waits until the transfers of this attempt end, and aborts them at UNTIL_NS.
 */
static void cut_short(struct io *io, uint64_t until_ns)
{
	wait_transfers_end(io->lane, until_ns);
	attempt_harvest(io, 0);
}

/* How long a silent server may take where too many lanes already wait for such
 * servers. lane_reap allows the same time then. */
#define SHORTAGE_NS (300 * NS_PER_MS)

/* Ends an attempt that cannot succeed.  With one shard the transfers write into
 * the caller's memory, so they must end before the request does. */
static void drop_attempt(struct io *io, uint64_t begin_ns, uint64_t until_ns)
{
	uint64_t soon_ns = clock_now_ns() + SHORTAGE_NS;

	if (!redundancy_can_spare(&io->engine->redundancy))
		cut_short(io, until_ns);
	else if (!lane_in_flight(io->lane) ||
		 lane_may_park(&io->engine->lanes, io->lane))
		leave_late(io, begin_ns);
	else
		cut_short(io, soon_ns < until_ns ? soon_ns : until_ns);
}

/* Where a read can choose between servers, each read is timed, because the
 * times decide.  Otherwise the times are only shown, so a sample is enough. */
static bool is_timed(const struct io *io)
{
	return redundancy_can_spare(&io->engine->redundancy) ||
	       io->lane->turn % EXPLORE_READS == 0;
}

/* While lanes wait for late servers, no read asks a slow server only to measure
 * it. */
static bool explores(struct io *io)
{
	return ++io->lane->turn % EXPLORE_READS == 0 &&
	       atomic_load(&io->engine->lanes.n_may_park) == 0;
}

/* Asks one more shard for each run that is not complete, if one more lane may
 * be parked with late transfers.  Otherwise reaps the parked lanes, so that the
 * silent servers are given up soon.  False where the caller should call again
 * later: the other servers may be away only for a moment. */
static bool attempt_hedge(struct io *io)
{
	struct lane_pool *lanes = &io->engine->lanes;
	bool allowed = io->lane->may_park;

	if (!lane_may_park(lanes, io->lane)) {
		lane_reap(lanes, true);
		return false;
	}
	if (hedge(io))
		return true;
	if (!allowed)
		lane_no_parking(lanes, io->lane);
	return false;
}

/* Reads enough shares of every run. */
static int fetch(struct io *io)
{
	uint64_t until_ns = attempt_until(io), hedge_at_ns;
	bool worst = explores(io), hedged = false;
	uint64_t begin_ns = is_timed(io) ? clock_now_ns() : 0;
	int failed = 0, rc;

	rc = ask_enough(io, worst);
	hedge_at_ns = begin_ns + hedge_after_ns(io);
	while (!rc) {
		attempt_submit(io, until_ns);
		wait_transfers(io->lane, hedged,
			       hedged || until_ns < hedge_at_ns ? until_ns
								: hedge_at_ns);
		failed = attempt_harvest(io, begin_ns);
		if (all_complete(io)) {
			leave_late(io, begin_ns);
			return 0;
		}
		if (clock_left_ns(until_ns) == 0) {
			cut_short(io, until_ns);
			return all_complete(io) ? 0 : -EAGAIN;
		}
		rc = ask_enough(io, false);
		if (failed) /* perhaps the extra shard failed */
			hedged = false;
		if (rc || hedged || clock_left_ns(hedge_at_ns) > 0)
			continue;
		hedged = attempt_hedge(io);
		if (!hedged)
			hedge_at_ns = clock_now_ns() + HEDGE_MIN_NS;
	}
	attempt_submit(io, until_ns);
	drop_attempt(io, begin_ns, until_ns);
	/* A refusal ends the request only where no RECOVERING server may still
	 * have the run. */
	return failed == -EREMOTEIO && !io->obstacle.server ? failed : rc;
}

/* Whether the units can stay where the share was read to.  Pages that are their
 * units, and units that the caller keeps, have their own place. */
static bool stays(const struct io *io)
{
	return redundancy_shares_units(&io->engine->redundancy) &&
	       !io->engine->codec.direct && !io->units;
}

/* Decodes the shares that were read into stored units. */
static void decode_run(const struct io *io, struct io_run *run)
{
	const struct engine *engine = io->engine;
	const uint8_t *shares[REDUNDANCY_MAX_SHARDS];
	uint32_t indexes[REDUNDANCY_MAX_SHARDS];
	uint32_t n = 0;

	for (uint32_t i = 0; n < engine->redundancy.need; i++) {
		if (!(run->have & 1u << i))
			continue;
		indexes[n] = run->slab->shards[i].index;
		shares[n++] = run->shares[i];
	}
	if (stays(io))
		run->units = run->shares[__builtin_ctz(run->have)];
	else
		redundancy_decode(&engine->redundancy, indexes, shares,
				  run->pages, run->units);
}

int transfer_read(struct io *io)
{
	int rc;

	if (attempt_is_too_late(io))
		return -ETIMEDOUT;
	if (!attempt_begin(io))
		return -EAGAIN;
	for (size_t i = 0; i < io->n_runs; i++) {
		struct io_run *run = &io->runs[i];

		run->sent = run->have = run->failed = 0;
		if (!attempt_place_units(io, run))
			return -EIO; /* lane_scratch_bytes rules this out */
	}
	rc = fetch(io);
	if (rc == -EAGAIN && io->unsent)
		io->obstacle.transfers = true;
	for (size_t i = 0; !rc && i < io->n_runs; i++)
		decode_run(io, &io->runs[i]);
	return rc;
}
