#include "attempt.h"

#include <errno.h>

#include "clock.h"
#include "transfer.h"
#include "wait.h"

uint64_t attempt_until(const struct io *io)
{
	uint64_t until_ns = clock_tick_ns() + io->engine->attempt_ns;

	return until_ns < io->deadline_ns ? until_ns : io->deadline_ns;
}

/* The part of an attempt's time that a server gets at least. */
#define LEAST_PART 4

bool attempt_is_too_late(const struct io *io)
{
	uint64_t least_ns = io->engine->attempt_ns / LEAST_PART;

	return clock_tick_ns() + least_ns > io->deadline_ns;
}

/* Whether the transfers in flight may leave too little room for the largest
 * read. */
static bool is_short_of_room(const struct io *io)
{
	const struct redundancy *r = &io->engine->redundancy;
	const struct lane *lane = io->lane;
	uint64_t bytes = (uint64_t)r->need * LANE_PAGES * r->chunk_bytes +
			 codec_scratch_bytes(&io->engine->codec, LANE_PAGES);
	uint32_t xfers = r->need * io_max_runs(io->engine);
	bool is_short = lane->scratch_used + bytes >
			io->engine->lanes.config.scratch_bytes;

	for (size_t t = 0; t < N_TRANSPORTS; t++)
		is_short = is_short ||
			   lane->sets[t].n + xfers > TRANSPORT_MAX_XFERS;
	return is_short;
}

/* How long to wait for late transfers whose memory is needed.  A server that is
 * merely busy has answered by then. */
#define ROOM_NS (300 * NS_PER_MS)

/* Breaks the servers of the transfers in flight, and waits until these
 * transfers end. */
static void give_up(struct engine *engine, struct lane *lane)
{
	for (size_t t = 0; t < N_TRANSPORTS; t++) {
		struct lane_set *set = &lane->sets[t];

		for (uint32_t i = 0; i < set->submitted; i++) {
			if (xfer_in_progress(&set->xfers[i]))
				server_break(
					&engine->servers[set->tags[i].server],
					transfer_failure_text(-ETIMEDOUT));
		}
	}
	wait_transfers_end(lane, 0);
}

void attempt_abandon(struct engine *engine, struct lane *lane)
{
	if (lane_in_flight(lane))
		give_up(engine, lane);
	lane_links_release(&engine->lanes, lane);
}

/* Makes room in the lane, where late transfers leave too little. */
static void make_room(struct io *io)
{
	struct lane *lane = io->lane;

	if (lane_in_flight(lane)) {
		if (!is_short_of_room(io))
			return;
		wait_late(lane, clock_now_ns() + ROOM_NS);
		if (lane_in_flight(lane))
			give_up(io->engine, lane);
	}
	for (size_t t = 0; t < N_TRANSPORTS; t++)
		lane->sets[t].n = lane->sets[t].submitted = 0;
	lane->scratch_used = 0;
	lane_no_parking(&io->engine->lanes, lane);
}

bool attempt_begin(struct io *io)
{
	bool is_free;

	io->unsent = false;
	make_room(io);
	is_free = lane_scratch_is_free(io->lane);
	io->obstacle.lane = !is_free;
	return is_free;
}

uint8_t *attempt_scratch(struct io *io, uint64_t bytes)
{
	struct lane *lane = io->lane;
	uint8_t *at = lane->scratch + lane->scratch_used;

	if (lane->scratch_used + bytes > io->engine->lanes.config.scratch_bytes)
		return NULL;
	lane->scratch_used += bytes;
	return at;
}

bool attempt_place_units(struct io *io, struct io_run *run)
{
	const struct codec *codec = &io->engine->codec;

	if (codec->direct)
		run->units = run->buf;
	else if (io->units)
		run->units = io->units;
	else
		run->units =
			attempt_scratch(io, codec_bytes(codec, run->pages));
	return run->units != NULL;
}

static struct lane_set *set_of(struct lane *lane, const struct link *link)
{
	size_t t = 0;

	while (lane->channels[t] != link->channel)
		t++;
	return &lane->sets[t];
}

/* The state is read after the link is held.  Where the server breaks later, its
 * session aborts the link and waits until the link is released. */
bool attempt_hold(struct io *io, const struct slab_shard *shard)
{
	return lane_link_hold(io->lane, shard->server) &&
	       server_state(server_of_shard(io->engine, shard)) == SERVER_UP;
}

bool attempt_add(struct io *io, size_t run_number, uint32_t shard_number,
		 enum xfer_op op, uint8_t *buf)
{
	struct engine *engine = io->engine;
	struct io_run *run = &io->runs[run_number];
	struct slab_shard *shard = &run->slab->shards[shard_number];
	struct link *link = io->lane->links[atomic_load(&shard->server)].link;
	struct lane_set *set = set_of(io->lane, link);

	if (set->n == TRANSPORT_MAX_XFERS)
		return false;
	set->tags[set->n] = (struct lane_tag){ .run = (uint16_t)run_number,
					       .shard = (uint8_t)shard_number,
					       .server = shard->server };
	set->xfers[set->n++] = (struct xfer){
		.link = link,
		.op = op,
		.bytes = run->pages * engine->redundancy.chunk_bytes,
		.remote = shard->remote,
		.offset_bytes = slab_offset_of_page(&engine->slabs, run->page),
		.buf = buf,
		.status = -EINPROGRESS,
	};
	run->sent |= 1u << shard_number;
	run->shares[shard_number] = buf;
	return true;
}

void attempt_submit(struct io *io, uint64_t deadline_ns)
{
	uint64_t now_ns = clock_now_ns();

	for (size_t t = 0; t < N_TRANSPORTS; t++) {
		struct lane_set *set = &io->lane->sets[t];

		for (uint32_t i = set->submitted; i < set->n; i++)
			set->tags[i].sent_ns = now_ns;
	}
	wait_submit(io->lane, deadline_ns);
}

static struct lane_transfers *transfers_of(const struct io *io,
					   const struct lane_tag *tag,
					   const struct xfer *x)
{
	enum lane_use use = x->op == XFER_READ ? LANE_READ : LANE_WRITE;

	return &io->lane->counters->transfers[tag->server][use];
}

void attempt_count(struct io *io, const struct lane_tag *tag,
		   const struct xfer *x, uint64_t now_ns)
{
	struct lane_transfers *t = transfers_of(io, tag, x);

	latency_add(&t->latency, now_ns - tag->sent_ns);
	latency_count(&t->bytes, x->bytes);
}

static void fail(struct io *io, const struct lane_tag *tag, int status)
{
	struct io_run *run = &io->runs[tag->run];

	run->failed |= 1u << tag->shard;
	if (status == XFER_UNSENT)
		run->unsent |= 1u << tag->shard;
}

/* Records the result of one transfer that is over.  A late transfer was counted
 * when it became late. */
static void take_over(struct io *io, const struct lane_tag *tag,
		      const struct xfer *x, int *worst)
{
	struct server *server = &io->engine->servers[tag->server];
	int status = xfer_status(x);

	if (status == XFER_UNSENT) {
		io->unsent = true;
	} else if (status) {
		latency_count(&transfers_of(io, tag, x)->errors, 1);
		server_break(server, transfer_failure_text(status));
		/* The server hangs, so it will not be back in a moment. */
		if (status == -ETIMEDOUT)
			server_stays_away(server);
	}
	if (!status || tag->late)
		return;
	fail(io, tag, status);
	if (status == XFER_UNSENT ? !*worst : *worst != -EREMOTEIO)
		*worst = status;
}

int attempt_harvest(struct io *io, uint64_t begin_ns)
{
	uint64_t now_ns = clock_now_ns();
	int worst = 0;

	for (size_t t = 0; t < N_TRANSPORTS; t++) {
		struct lane_set *set = &io->lane->sets[t];

		for (uint32_t i = 0; i < set->submitted; i++) {
			struct lane_tag *tag = &set->tags[i];
			const struct xfer *x = &set->xfers[i];

			if (tag->over || xfer_in_progress(x))
				continue;
			tag->over = true;
			take_over(io, tag, x, &worst);
			if (xfer_status(x) || tag->late)
				continue;
			io->runs[tag->run].have |= 1u << tag->shard;
			attempt_count(io, tag, x, now_ns);
			if (begin_ns)
				server_took(&io->engine->servers[tag->server],
					    now_ns - begin_ns);
		}
	}
	return worst;
}
