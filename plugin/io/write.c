#include "attempt.h"

#include <errno.h>

#include "clock.h"
#include "transfer.h"
#include "wait.h"

/* How long a write waits for a server that broke before the write goes on
 * without that server: long enough to fence the server and to rebuild its
 * links. */
#define RETURN_NS (200 * NS_PER_MS)

/* Whether SERVER may be back at any moment.  Then sets the obstacle, with the
 * time until which to wait.  A write waits in this way only before its first
 * attempt ends, so it does not wait for a server that comes back and fails
 * again. */
static bool may_return(struct io *io, struct server *server)
{
	uint64_t until_ns =
		atomic_load(&server->shared.may_return_ns) + RETURN_NS;

	if (io->attempts > 0 || server_state(server) != SERVER_RECOVERING ||
	    clock_left_ns(until_ns) == 0)
		return false;
	io->obstacle =
		(struct obstacle){ .server = server, .until_ns = until_ns };
	return true;
}

/* Takes the links to all shards of a run whose servers are UP, and sets the
 * shards' bits in run->sent.  False, with the obstacle, where these shards are
 * too few to keep the run's pages, or where another server may be UP in a
 * moment. */
static bool hold_shards(struct io *io, struct io_run *run)
{
	const struct engine *engine = io->engine;
	uint32_t indexes = 0;

	run->sent = run->have = run->failed = run->unsent = 0;
	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		const struct slab_shard *shard = &run->slab->shards[i];

		if (!shard_is_live(shard))
			continue;
		if (attempt_hold(io, shard)) {
			run->sent |= 1u << i;
			indexes |= 1u << shard->index;
		} else if (may_return(io, server_of_shard(engine, shard))) {
			return false;
		} else if (server_state(server_of_shard(engine, shard)) !=
			   SERVER_DOWN) {
			io->obstacle.server = server_of_shard(engine, shard);
		}
	}
	if (redundancy_is_enough(&engine->redundancy, indexes))
		return true;
	io->obstacle.slab = run->slab;
	return false;
}

/* Encodes a run's units into shares, and sets BY_INDEX to where each share is,
 * by shard index.  False where the lane has no room for the shares. */
static bool make_shares(struct io *io, const struct io_run *run,
			uint8_t **by_index)
{
	const struct redundancy *r = &io->engine->redundancy;
	uint64_t bytes = redundancy_room_bytes(r, run->pages);
	uint8_t *room = bytes ? attempt_scratch(io, bytes) : NULL;

	if (bytes && !room)
		return false;
	redundancy_encode(r, run->units, run->pages, room, by_index);
	return true;
}

/* Encodes a run, and adds its transfers.  False where no page can be encoded
 * any more.  io_max_runs rules out that the lane has no room. */
static bool add_shards(struct io *io, size_t number)
{
	const struct engine *engine = io->engine;
	struct io_run *run = &io->runs[number];
	uint8_t *by_index[REDUNDANCY_MAX_SHARDS];
	uint32_t shards = run->sent;

	if (!attempt_place_units(io, run))
		return false;
	if (!codec_encode(&engine->codec, lane_number(&engine->lanes, io->lane),
			  run->page, run->pages, run->buf, run->units,
			  &run->generation))
		return false;
	if (!make_shares(io, run, by_index))
		return false;
	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		if (shards & 1u << i &&
		    !attempt_add(io, number, i, XFER_WRITE,
				 by_index[run->slab->shards[i].index]))
			return false;
	}
	return true;
}

/* Whether shard I did not get what was written. */
static bool missed(const struct io_run *run, uint32_t i)
{
#ifdef RSWAP_BREAK_ACK
	/* A deliberate bug for tests/torture/break-ack.sh, which has to find
	 * it: the write is acknowledged although not every copy has the page,
	 * and no copy is marked as stale. */
	(void)run;
	(void)i;
	return false;
#else
	return !(run->have & 1u << i);
#endif
}

/* Marks the run's chunks in each shard: current where written, else stale. */
static void mark_shards(struct engine *engine, const struct io_run *run)
{
	uint32_t chunk = slab_chunk_of_page(&engine->slabs, run->page);

	for (uint32_t i = 0; i < engine->slabs.n_shards; i++) {
		struct slab_shard *shard = &run->slab->shards[i];

		if (shard_is_live(shard))
			shard_mark(shard, chunk, run->pages, missed(run, i));
	}
}

/* A transfer that was sent and did not succeed may still have reached the
 * server. */
static void be_unsure(struct io_run *run)
{
	if (run->sent & ~run->unsent)
		run->unsure = true;
}

/* Records the results of a run's transfers.  True where enough shards have the
 * run. */
static bool settle_write(struct engine *engine, struct io_run *run)
{
	bool kept = redundancy_is_enough(&engine->redundancy,
					 slab_indexes(run->slab, run->have));

	if (!kept) {
		be_unsure(run);
		return false;
	}
	mark_shards(engine, run);
	codec_keep(&engine->codec, run->page, run->pages, run->generation,
		   run->units);
	engine_set_pages(engine, run->page, run->pages, PAGE_PRESENT);
	run->unsure = false;
	return true;
}

/* Whether a server that failed in this attempt may be back in a moment; then
 * sets the obstacle. */
static bool any_may_return(struct io *io)
{
	const struct engine *engine = io->engine;

	for (size_t i = 0; i < io->n_runs; i++) {
		const struct io_run *run = &io->runs[i];

		for (uint32_t p = 0; p < engine->slabs.n_shards; p++) {
			const struct slab_shard *shard = &run->slab->shards[p];

			if (run->failed & 1u << p &&
			    may_return(io, server_of_shard(engine, shard)))
				return true;
		}
	}
	return false;
}

int transfer_write(struct io *io)
{
	struct engine *engine = io->engine;
	uint64_t until_ns = attempt_until(io);
	bool kept = true, wait;
	int rc;

	if (attempt_is_too_late(io))
		return -ETIMEDOUT;
	if (!attempt_begin(io))
		return -EAGAIN;
	for (size_t i = 0; i < io->n_runs; i++) {
		if (!hold_shards(io, &io->runs[i]))
			return -EAGAIN;
	}
	for (size_t i = 0; i < io->n_runs; i++) {
		if (!add_shards(io, i))
			return -EIO;
	}
	attempt_submit(io, until_ns);
	wait_transfers_end(io->lane, until_ns);
	rc = attempt_harvest(io, 0);
	wait = rc && rc != -EREMOTEIO && any_may_return(io);
	/* A transfer was not sent because this machine lacks room.  One more
	 * attempt, so that a copy does not miss the page for that.
	 */
	if (io->unsent && io->attempts == 0) {
		io->obstacle.transfers = true;
		wait = true;
	}
	for (size_t i = 0; i < io->n_runs; i++) {
		struct io_run *run = &io->runs[i];

		if (wait && run->failed) {
			be_unsure(run);
			continue;
		}
		kept = settle_write(engine, run) && kept;
	}
	io->attempts++;
	if (wait)
		return -EAGAIN;
	if (rc)
		wake_up(&engine->wake);
	io->obstacle = (struct obstacle){ .transfers = io->unsent };
	/* A refusal ends the request where no other server could take the run.
	 */
	return kept ? 0
	       : rc == -EREMOTEIO && !redundancy_can_spare(&engine->redundancy)
		       ? rc
		       : -EAGAIN;
}

int transfer_fill(struct io *io, uint32_t shard)
{
	struct io_run *run = &io->runs[0];
	uint8_t *by_index[REDUNDANCY_MAX_SHARDS];

	if (!attempt_begin(io))
		return -EAGAIN;
	run->sent = run->have = run->failed = run->unsent = 0;
	if (!attempt_hold(io, &run->slab->shards[shard]))
		return -EAGAIN;
	if (!make_shares(io, run, by_index) ||
	    !attempt_add(io, 0, shard, XFER_WRITE,
			 by_index[run->slab->shards[shard].index]))
		return -ENOBUFS;
	attempt_submit(io, io->deadline_ns);
	wait_transfers_end(io->lane, io->deadline_ns);
	return attempt_harvest(io, 0);
}
