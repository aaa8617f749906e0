#include "carry.h"

#include <errno.h>
#include <string.h>

#include "clock.h"
#include "keeper.h"

/* How long to wait at a time for the keeper to add parts to a slab. */
#define PARTS_NS (20 * NS_PER_MS)

/* With one part a page's bytes are where the caller has them. */
uint64_t carry_scratch_bytes(const struct redundancy *r)
{
	return r->parts == 1
		       ? 0
		       : (uint64_t)(r->parts + 1) * LANE_PAGES * r->unit_bytes;
}

uint64_t carry_channel_bytes(const struct redundancy *r)
{
	return (uint64_t)(r->parts + 1) * LANE_PAGES * r->unit_bytes;
}

uint32_t carry_max_runs(const struct engine *engine)
{
	uint32_t n = TRANSPORT_MAX_XFERS / (engine->redundancy.parts + 1);

	return n < LANE_PAGES ? n : LANE_PAGES;
}

const char *carry_failure_text(int status)
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

/* How long to wait at a time for one server: another one that would do as well
 * may be back sooner. */
#define PEER_NS (20 * NS_PER_MS)

static int await_peer(const struct obstacle *obstacle, uint64_t deadline_ns)
{
	uint64_t until_ns = clock_now_ns() + PEER_NS;

	if (until_ns > deadline_ns)
		until_ns = deadline_ns;
	if (obstacle->until_ns && obstacle->until_ns < until_ns)
		until_ns = obstacle->until_ns;
	if (obstacle->until_ns)
		peer_wait_return(obstacle->peer, until_ns);
	else
		peer_wait(obstacle->peer, until_ns);
	return clock_left_ns(deadline_ns) == 0 ? -ETIMEDOUT : 0;
}

int carry_await(struct engine *engine, const struct obstacle *obstacle,
		uint64_t deadline_ns)
{
	uint64_t soon_ns = clock_now_ns() + PARTS_NS;
	int rc = 0;

	if (obstacle->busy)
		rc = pagemap_wait_free(&engine->pages, obstacle->page,
				       deadline_ns);
	else if (obstacle->peer)
		rc = await_peer(obstacle, deadline_ns);
	else if (obstacle->slab && slab_state(obstacle->slab) != SLAB_LIVE)
		rc = slab_wait(&engine->slabs, obstacle->slab, deadline_ns);
	else if (obstacle->slab)
		keeper_wait(engine,
			    soon_ns < deadline_ns ? soon_ns : deadline_ns);
	return rc ? rc : -EAGAIN;
}

void carry_leave(struct engine *engine, struct lane *lane)
{
	lane_links_release(&engine->lanes, lane);
	for (size_t i = 0; i < lane->n_runs; i++) {
		if (lane->runs[i].entered)
			slab_leave(lane->runs[i].slab);
		lane->runs[i].entered = false;
	}
}
