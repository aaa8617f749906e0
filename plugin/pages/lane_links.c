/* The links of a lane and its transfers (pages/lane.h), without the pool. */
#include "lane.h"

bool lane_in_flight(const struct lane *lane)
{
	for (size_t t = 0; t < N_TRANSPORTS; t++) {
		const struct lane_set *set = &lane->sets[t];

		for (uint32_t i = 0; i < set->submitted; i++) {
			if (xfer_in_progress(&set->xfers[i]))
				return true;
		}
	}
	return false;
}

bool lane_is_usable(const struct lane *lane)
{
	for (size_t t = 0; t < N_TRANSPORTS; t++) {
		const struct channel *channel = lane->channels[t];

		if (channel && !channel_is_usable(channel))
			return false;
	}
	return true;
}

bool lane_scratch_is_free(const struct lane *lane)
{
	for (size_t t = 0; t < N_TRANSPORTS; t++) {
		const struct channel *channel = lane->channels[t];

		if (channel && channel->ops->in_place &&
		    !channel_is_usable(channel))
			return false;
	}
	return true;
}

void lane_wait(struct lane *lane, uint64_t deadline_ns)
{
	for (size_t t = 0; t < N_TRANSPORTS; t++) {
		struct lane_set *set = &lane->sets[t];
		struct channel *channel = lane->channels[t];

		if (set->submitted > 0)
			channel->ops->wait_until(channel, set->xfers,
						 set->submitted, set->submitted,
						 deadline_ns);
	}
}

bool lane_link_hold(struct lane *lane, uint32_t server)
{
	struct lane_link *l = &lane->links[server];
	uint32_t word = LINK_UP;

	if (l->held) /* a late transfer may hold the link, and it may be broken
		      */
		return atomic_load(&l->word) & LINK_UP;
	l->held = atomic_compare_exchange_strong(&l->word, &word,
						 LINK_UP | LINK_BUSY);
	return l->held;
}

static bool link_in_flight(const struct lane *lane, uint32_t server)
{
	for (size_t t = 0; t < N_TRANSPORTS; t++) {
		const struct lane_set *set = &lane->sets[t];

		for (uint32_t i = 0; i < set->submitted; i++) {
			if (set->tags[i].server == server &&
			    xfer_in_progress(&set->xfers[i]))
				return true;
		}
	}
	return false;
}

void lane_links_release(struct lane_pool *pool, struct lane *lane)
{
	bool in_flight = lane_in_flight(lane);

	/* Over RDMA a transfer is over only when a thread polls. */
	if (in_flight) {
		lane_wait(lane, 0);
		in_flight = lane_in_flight(lane);
	}
	for (uint32_t server = 0; server < pool->config.servers; server++) {
		struct lane_link *l = &lane->links[server];

		if (l->held && !(in_flight && link_in_flight(lane, server))) {
			l->held = false;
			atomic_fetch_and(&l->word, ~LINK_BUSY);
		}
	}
}

void lane_links_up(struct lane_pool *pool, uint32_t server)
{
	for (uint32_t i = 0; i < pool->n; i++)
		atomic_fetch_or(&pool->lanes[i].links[server].word, LINK_UP);
}

void lane_links_break(struct lane_pool *pool, uint32_t server)
{
	for (uint32_t i = 0; i < pool->n; i++) {
		struct lane_link *l = &pool->lanes[i].links[server];

		atomic_fetch_and(&l->word, ~LINK_UP);
		if (l->link)
			l->link->ops->link_abort(l->link);
	}
}

bool lane_links_busy(const struct lane_pool *pool, uint32_t server)
{
	for (uint32_t i = 0; i < pool->n; i++) {
		if (atomic_load(&pool->lanes[i].links[server].word) & LINK_BUSY)
			return true;
	}
	return false;
}

void lane_links_close(struct lane_pool *pool, uint32_t server)
{
	for (uint32_t i = 0; i < pool->n; i++) {
		struct lane_link *l = &pool->lanes[i].links[server];

		if (l->link)
			l->link->ops->link_close(l->link);
		l->link = NULL;
	}
}
