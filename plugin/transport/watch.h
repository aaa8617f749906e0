/* What a thread with many requests waits on: the sources of their transfers in
 * progress.  A source is a multiplexed connection, or an RDMA completion
 * channel.  The list is made anew in each turn, because a source lives only as
 * long as the link of a transfer is held. */
#ifndef RSWAP_WATCH_H
#define RSWAP_WATCH_H

#include <poll.h>
#include <stddef.h>

#include "clock.h"
#include "transport.h"

/* The most sources of one turn.  Where there are more, the thread sleeps for a
 * short time only. */
#define WATCH_MAX 256

/* How long a thread sleeps, at most, before it looks again at a source that has
 * `rest`.  The kernel drops the event of a completion for which it has no
 * memory (ib_uverbs_comp_handler), and it has none just when this machine
 * swaps. */
#define WATCH_LOOK_NS (20 * NS_PER_MS)

struct watch_source {
	const struct transport_ops *ops;
	void *source;
	struct pollfd poll; /* revents: the thread's */
};

struct watch {
	size_t n;
	bool overflow;
	struct watch_source sources[WATCH_MAX];
};

static inline void watch_add(struct watch *watch,
			     const struct transport_ops *ops, void *source,
			     int fd, short events)
{
	/* Most transfers are on the connections of the last few. */
	for (size_t i = watch->n; i > 0; i--) {
		if (watch->sources[i - 1].source == source &&
		    watch->sources[i - 1].poll.fd == fd)
			return;
	}
	if (watch->n == WATCH_MAX) {
		watch->overflow = true;
		return;
	}
	watch->sources[watch->n++] =
		(struct watch_source){ .ops = ops,
				       .source = source,
				       .poll = { .fd = fd, .events = events } };
}

#endif
