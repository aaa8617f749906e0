#include "wait.h"

#include <errno.h>

#include "clock.h"
#include "coroutine.h"

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

/* How long transfers may take to end after they were aborted: the flush of an
 * RDMA queue pair (transport/rdma_xfer.c). */
#define ABORTED_NS (2 * NS_PER_S)

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
	return a_ns < b_ns ? a_ns : b_ns;
}

/* --- in a coroutine --- */

/* Suspends until OVER(ARG).  False where UNTIL_NS came first. */
static bool suspend(bool (*over)(void *arg), void *arg, uint64_t until_ns)
{
	const struct suspension wait = { .over = over,
					 .arg = arg,
					 .until_ns = until_ns };

	while (!over(arg)) {
		if (clock_left_ns(until_ns) == 0)
			return false;
		coroutine_suspend(&wait);
	}
	return true;
}

struct want_lane {
	struct lane_pool *pool;
	enum lane_use use;
	struct lane *lane;
};

static bool has_lane(void *arg)
{
	struct want_lane *want = arg;

	if (!want->lane)
		want->lane = lane_get(want->pool, want->use, 0);
	/* The lanes may be parked, with late transfers. */
	if (!want->lane)
		lane_reap(want->pool, true);
	return want->lane != NULL;
}

struct want_page {
	struct pagemap *pages;
	uint64_t page;
	bool locked;
};

static bool has_locked(void *arg)
{
	struct want_page *want = arg;

	if (!want->locked)
		want->locked = !pagemap_lock(want->pages, want->page, 0);
	return want->locked;
}

static bool page_is_free(void *arg)
{
	const struct want_page *want = arg;

	return !pagemap_wait_free(want->pages, want->page, 0);
}

static bool slab_is_settled(void *arg)
{
	enum slab_state state = slab_state(arg);

	return state == SLAB_LIVE || state == SLAB_UNMAPPED;
}

struct want_pass {
	struct wake *wake;
	uint64_t passes; /* before */
};

static bool has_passed(void *arg)
{
	const struct want_pass *want = arg;

	return wake_passes(want->wake) != want->passes;
}

static bool server_is_settled(void *arg)
{
	return server_state(arg) != SERVER_RECOVERING;
}

static bool server_will_not_return(void *arg)
{
	const struct server *server = arg;

	return server_state(server) != SERVER_RECOVERING ||
	       atomic_load(&server->shared.may_return_ns) == 0;
}

/* --- lanes, pages, slabs, servers --- */

struct lane *wait_lane(struct engine *engine, enum lane_use use,
		       uint64_t deadline_ns)
{
	struct want_lane want = { .pool = &engine->lanes, .use = use };

	if (!coroutine_inside())
		return lane_get(&engine->lanes, use, deadline_ns);
	suspend(has_lane, &want, deadline_ns);
	return want.lane;
}

int wait_lock(struct engine *engine, uint64_t page, uint64_t deadline_ns)
{
	struct want_page want = { .pages = &engine->pages, .page = page };

	if (!coroutine_inside())
		return pagemap_lock(&engine->pages, page, deadline_ns);
	return suspend(has_locked, &want, deadline_ns) ? 0 : -ETIMEDOUT;
}

void wait_page(struct engine *engine, uint64_t page, uint64_t deadline_ns)
{
	struct want_page want = { .pages = &engine->pages, .page = page };

	if (!coroutine_inside())
		pagemap_wait_free(&engine->pages, page, deadline_ns);
	else
		suspend(page_is_free, &want, deadline_ns);
}

int wait_slab(struct engine *engine, struct slab *slab, uint64_t deadline_ns)
{
	if (!coroutine_inside())
		return slab_wait(&engine->slabs, slab, deadline_ns);
	return suspend(slab_is_settled, slab, deadline_ns) ? 0 : -ETIMEDOUT;
}

void wait_repair(struct engine *engine, uint64_t deadline_ns)
{
	struct want_pass want = { .wake = &engine->wake };

	if (!coroutine_inside()) {
		wake_wait_pass(&engine->wake, deadline_ns);
		return;
	}
	want.passes = wake_passes(&engine->wake);
	wake_up(&engine->wake);
	suspend(has_passed, &want, deadline_ns);
}

void wait_server(struct server *server, uint64_t deadline_ns)
{
	if (!coroutine_inside())
		server_wait(server, deadline_ns);
	else
		suspend(server_is_settled, server, deadline_ns);
}

void wait_server_return(struct server *server, uint64_t deadline_ns)
{
	if (!coroutine_inside())
		server_wait_return(server, deadline_ns);
	else
		suspend(server_will_not_return, server, deadline_ns);
}

void wait_pause(uint64_t ns)
{
	if (!coroutine_inside())
		clock_sleep_ns(ns);
	else
		coroutine_suspend(&(struct suspension){
			.until_ns = clock_now_ns() + ns });
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
		channel->waker = coroutine_waker();
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

struct want_transfers {
	const struct lane *lane;
	bool late;	  /* late transfers count, too */
	size_t in_flight; /* over once no more than these are */
};

static size_t count_in_flight(const struct want_transfers *want)
{
	size_t n = 0;

	for (size_t t = 0; t < N_TRANSPORTS; t++) {
		const struct lane_set *set = &want->lane->sets[t];

		for (uint32_t i = 0; i < set->submitted; i++)
			n += (want->late || !set->tags[i].late) &&
			     xfer_in_progress(&set->xfers[i]);
	}
	return n;
}

static bool are_over(void *arg)
{
	const struct want_transfers *want = arg;

	return count_in_flight(want) <= want->in_flight;
}

static void suspend_for(struct lane *lane, struct want_transfers *want,
			uint64_t until_ns)
{
	const struct suspension wait = { .over = are_over,
					 .arg = want,
					 .until_ns = until_ns,
					 .lane = lane };

	while (!are_over(want) && clock_left_ns(until_ns) > 0)
		coroutine_suspend(&wait);
}

/* Waits in this thread. */
static void block_for_some(struct lane *lane, bool any, uint64_t deadline_ns)
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

void wait_transfers(struct lane *lane, bool any, uint64_t deadline_ns)
{
	struct want_transfers want = { .lane = lane };
	size_t n;

	if (!coroutine_inside()) {
		block_for_some(lane, any, deadline_ns);
		return;
	}
	n = count_in_flight(&want);
	if (any && n > 0)
		want.in_flight = n - 1;
	suspend_for(lane, &want, deadline_ns);
}

/* Aborts the transfers in flight, whatever they wait for. */
static void abort_all(struct lane *lane)
{
	for (size_t t = 0; t < N_TRANSPORTS; t++) {
		struct lane_set *set = &lane->sets[t];

		for (uint32_t i = 0; i < set->submitted; i++) {
			struct link *link = set->xfers[i].link;

			if (!xfer_in_progress(&set->xfers[i]))
				continue;
			set->tags[i].aborted = true;
			link->ops->link_abort(link);
		}
	}
}

/* Ends what is still in flight though it was aborted.  All transfers that were
 * aborted ended because their time was over. */
static void settle_aborted(struct lane *lane)
{
	for (size_t t = 0; t < N_TRANSPORTS; t++) {
		struct lane_set *set = &lane->sets[t];
		struct channel *channel = lane->channels[t];

		if (set->submitted > 0)
			channel->ops->abandon(channel, set->xfers,
					      set->submitted);
		for (uint32_t i = 0; i < set->submitted; i++) {
			struct xfer *x = &set->xfers[i];

			if (set->tags[i].aborted && xfer_status(x) &&
			    xfer_status(x) != XFER_UNSENT)
				atomic_store(&x->status, -ETIMEDOUT);
		}
	}
}

/* The same as an op `wait` of each channel, without holding the thread. */
static void suspend_to_end(struct lane *lane, uint64_t deadline_ns)
{
	struct want_transfers want = { .lane = lane, .late = true };

	suspend_for(lane, &want, deadline_ns);
	if (are_over(&want))
		return;
	abort_all(lane);
	suspend_for(lane, &want, clock_now_ns() + ABORTED_NS);
	settle_aborted(lane);
}

static void block_to_end(struct lane *lane, uint64_t deadline_ns)
{
	for (size_t t = 0; t < N_TRANSPORTS; t++) {
		struct lane_set *set = &lane->sets[t];
		struct channel *channel = lane->channels[t];

		if (set->submitted > 0)
			channel->ops->wait(channel, set->xfers, set->submitted,
					   deadline_ns);
	}
}

void wait_transfers_end(struct lane *lane, uint64_t deadline_ns)
{
	if (coroutine_inside())
		suspend_to_end(lane, deadline_ns);
	else
		block_to_end(lane, deadline_ns);
}

void wait_late(struct lane *lane, uint64_t deadline_ns)
{
	struct want_transfers want = { .lane = lane, .late = true };

	if (!coroutine_inside())
		lane_wait(lane, deadline_ns);
	else
		suspend_for(lane, &want, deadline_ns);
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

/* Whether the request has another lane now.  It does not wait for one: it may
 * have locked pages that the holders of all lanes wait for. */
static bool exchange_lane(struct io *io)
{
	struct lane *lane = io->lane;

	io->lane = lane_exchange(&io->engine->lanes, lane);
	return io->lane != lane;
}

int wait_obstacle(struct io *io)
{
	const struct obstacle *o = &io->obstacle;
	struct engine *engine = io->engine;
	uint64_t soon_ns =
		earlier(clock_now_ns() + AT_A_TIME_NS, io->deadline_ns);

	if (o->lane && exchange_lane(io))
		return -EAGAIN;
	if (o->page_locked)
		wait_page(engine, o->page, soon_ns);
	else if (o->server)
		wait_recovering(io, soon_ns);
	else if (o->slab && slab_state(o->slab) != SLAB_LIVE)
		wait_slab(engine, o->slab, soon_ns);
	else if (o->slab)
		wait_repair(engine, soon_ns);
	else if (!o->transfers && !o->lane)
		wait_pause(MOMENT_NS);
	else if (lane_in_flight(io->lane))
		wait_late(io->lane, soon_ns);
	else
		wait_pause(LINK_CLOSE_NS);
	return clock_left_ns(io->deadline_ns) == 0 ? -ETIMEDOUT : -EAGAIN;
}
