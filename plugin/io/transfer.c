#include "transfer.h"

#include <errno.h>
#include <string.h>

#include "clock.h"

/* How long to wait at a time for a page, for a slab, or for the repairer to add
 * shards to a slab.  The thread that is waited for may itself wait for a server
 * that heals, and the server's session for the link of a late transfer of this
 * lane.  The lane lets go of the link only when it checks its transfers. */
#define AT_A_TIME_NS (20 * NS_PER_MS)

/* The pause before another attempt where there is nothing known to wait for: a
 * real-time thread must not loop without a pause. */
#define MOMENT_NS (NS_PER_MS / 10)

/* With one shard a page's bytes are where the caller has them. */
uint64_t lane_scratch_bytes(const struct redundancy *r)
{
	return r->shards == 1
		       ? 0
		       : (uint64_t)(r->shards + 1) * LANE_PAGES * r->unit_bytes;
}

uint64_t lane_channel_bytes(const struct redundancy *r)
{
	return (uint64_t)(r->shards + 1) * LANE_PAGES * r->unit_bytes;
}

uint32_t io_max_runs(const struct engine *engine)
{
	uint32_t n = TRANSPORT_MAX_XFERS / (engine->redundancy.shards + 1);

	return n < LANE_PAGES ? n : LANE_PAGES;
}

const char *transfer_failure_text(int status)
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

static void await_server(const struct obstacle *obstacle, uint64_t soon_ns,
			 uint64_t deadline_ns)
{
	/* until_ns was set for this very server.  Without it another server
	 * that would do as well may be back sooner. */
	if (obstacle->until_ns)
		server_wait_return(obstacle->server,
				   obstacle->until_ns < deadline_ns
					   ? obstacle->until_ns
					   : deadline_ns);
	else
		server_wait(obstacle->server, soon_ns);
}

/* Waits until the lane's late transfers are over.  Where none is in flight,
 * waits for a moment: then a link has to be closed before more can be sent. */
static void await_lane(struct lane *lane, uint64_t soon_ns)
{
	if (lane_in_flight(lane))
		lane_wait(lane, soon_ns);
	else
		clock_sleep_ns(NS_PER_MS);
}

int wait_obstacle(struct engine *engine, const struct obstacle *obstacle,
		  uint64_t deadline_ns)
{
	uint64_t soon_ns = clock_now_ns() + AT_A_TIME_NS;

	if (soon_ns > deadline_ns)
		soon_ns = deadline_ns;
	if (obstacle->busy)
		pagemap_wait_free(&engine->pages, obstacle->page, soon_ns);
	else if (obstacle->server)
		await_server(obstacle, soon_ns, deadline_ns);
	else if (obstacle->slab && slab_state(obstacle->slab) != SLAB_LIVE)
		slab_wait(&engine->slabs, obstacle->slab, soon_ns);
	else if (obstacle->slab)
		wake_wait_pass(&engine->wake, soon_ns);
	else if (obstacle->lane)
		await_lane(obstacle->lane, soon_ns);
	else
		clock_sleep_ns(MOMENT_NS);
	return clock_left_ns(deadline_ns) == 0 ? -ETIMEDOUT : -EAGAIN;
}

void io_leave(struct engine *engine, struct lane *lane)
{
	lane_links_release(&engine->lanes, lane);
	for (size_t i = 0; i < lane->n_runs; i++) {
		if (lane->runs[i].entered)
			slab_leave(lane->runs[i].slab);
		lane->runs[i].entered = false;
	}
}
