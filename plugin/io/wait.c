#include "wait.h"

#include <errno.h>

#include "clock.h"

/* How long to wait at a time for a page, for a slab, or for the repairer.  The
 * other thread may itself wait for a server that recovers, and the server's
 * session may wait for a link that a late transfer of this lane holds.  The
 * lane releases the link only when a new attempt checks the lane's transfers,
 * so without this limit the threads would wait for each other. */
#define AT_A_TIME_NS (20 * NS_PER_MS)

/* The pause before another attempt where no event is known to wait for. */
#define MOMENT_NS (NS_PER_MS / 10)

/* The pause before another attempt while a session closes a link of the lane.
 */
#define LINK_CLOSE_NS NS_PER_MS

/* How long to wait at a time where several channels may answer. */
#define SLICE_NS (NS_PER_MS / 2)

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns < b_ns ? a_ns : b_ns;
}

/* --- lanes, pages, slabs, servers --- */

struct lane *wait_lane(struct engine *engine, enum lane_use use,
		       uint64_t deadline_ns)
{
	return lane_get(&engine->lanes, use, deadline_ns);
}

int wait_lock(struct engine *engine, uint64_t page, uint64_t deadline_ns)
{
	return pagemap_lock(&engine->pages, page, deadline_ns);
}

void wait_page(struct engine *engine, uint64_t page, uint64_t deadline_ns)
{
	pagemap_wait_free(&engine->pages, page, deadline_ns);
}

int wait_slab(struct engine *engine, struct slab *slab, uint64_t deadline_ns)
{
	return slab_wait(&engine->slabs, slab, deadline_ns);
}

void wait_repair(struct engine *engine, uint64_t deadline_ns)
{
	wake_wait_pass(&engine->wake, deadline_ns);
}

void wait_server(struct server *server, uint64_t deadline_ns)
{
	server_wait(server, deadline_ns);
}

void wait_server_return(struct server *server, uint64_t deadline_ns)
{
	server_wait_return(server, deadline_ns);
}

void wait_pause(uint64_t ns)
{
	clock_sleep_ns(ns);
}

/* --- transfers --- */

void wait_submit(struct lane *lane, uint64_t deadline_ns)
{
	for (size_t t = 0; t < N_TRANSPORTS; t++) {
		struct lane_set *set = &lane->sets[t];
		struct channel *channel = lane->channels[t];
		uint32_t from = set->submitted;

		if (set->n == from)
			continue;
		set->submitted = set->n;
		channel->ops->submit(channel, &set->xfers[from], set->n - from,
				     deadline_ns);
	}
}

/* Counts the transfers of a set that are over, and those that are in flight and
 * not late. */
static void count_set(const struct lane_set *set, size_t *over, size_t *pending)
{
	*over = *pending = 0;
	for (uint32_t i = 0; i < set->submitted; i++) {
		if (!xfer_in_progress(&set->xfers[i]))
			++*over;
		else if (!set->tags[i].late)
			++*pending;
	}
}

void wait_transfers(struct lane *lane, bool any, uint64_t deadline_ns)
{
	size_t sets = 0, over, pending;

	for (size_t t = 0; t < N_TRANSPORTS; t++) {
		count_set(&lane->sets[t], &over, &pending);
		sets += pending > 0;
	}
	if (any && sets > 1 && clock_left_ns(deadline_ns) > SLICE_NS)
		deadline_ns = clock_now_ns() + SLICE_NS;
	for (size_t t = 0; t < N_TRANSPORTS; t++) {
		struct lane_set *set = &lane->sets[t];
		struct channel *channel = lane->channels[t];

		count_set(set, &over, &pending);
		if (pending > 0)
			channel->ops->wait_until(
				channel, set->xfers, set->submitted,
				over + (any ? 1 : pending), deadline_ns);
	}
}

void wait_transfers_end(struct lane *lane, uint64_t deadline_ns)
{
	for (size_t t = 0; t < N_TRANSPORTS; t++) {
		struct lane_set *set = &lane->sets[t];
		struct channel *channel = lane->channels[t];

		if (set->submitted > 0)
			channel->ops->wait(channel, set->xfers, set->submitted,
					   deadline_ns);
	}
}

void wait_late(struct lane *lane, uint64_t deadline_ns)
{
	lane_wait(lane, deadline_ns);
}

/* --- obstacles --- */

static void wait_recovering(const struct io *io, uint64_t soon_ns)
{
	const struct obstacle *o = &io->obstacle;

	/* Where until_ns is set, a write waits for this very server.  Otherwise
	 * another server may be back sooner and do as well, so the wait is
	 * short. */
	if (o->until_ns)
		wait_server_return(o->server,
				   earlier(o->until_ns, io->deadline_ns));
	else
		wait_server(o->server, soon_ns);
}

int wait_obstacle(struct io *io)
{
	const struct obstacle *o = &io->obstacle;
	struct engine *engine = io->engine;
	uint64_t soon_ns =
		earlier(clock_now_ns() + AT_A_TIME_NS, io->deadline_ns);

	if (o->page_locked)
		wait_page(engine, o->page, soon_ns);
	else if (o->server)
		wait_recovering(io, soon_ns);
	else if (o->slab && slab_state(o->slab) != SLAB_LIVE)
		wait_slab(engine, o->slab, soon_ns);
	else if (o->slab)
		wait_repair(engine, soon_ns);
	else if (!o->transfers)
		wait_pause(MOMENT_NS);
	else if (lane_in_flight(io->lane))
		wait_late(io->lane, soon_ns);
	else
		wait_pause(LINK_CLOSE_NS);
	return clock_left_ns(io->deadline_ns) == 0 ? -ETIMEDOUT : -EAGAIN;
}
