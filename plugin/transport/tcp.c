/* The TCP transport: a transfer is one frame each way, on a multiplexed
 * connection (transport/mux.h) that several lanes share.
 *
 * A server has multiplexed connections in pairs, one for READs and one for
 * WRITEs, so that a read never stands behind megabytes that are swapped out.
 * There are few pairs, so that several requests share a system call: a pair for
 * every four processors, and at most four.
 *
 * There is no bounce buffer.  WRITEs are sent from the caller's own memory.  A
 * small READ is copied once, from the buffer that one receive filled for all
 * requests.  The rest of a large READ is received in place.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "mux.h"
#include "transport.h"
#include "watch.h"

/* A wait for the first of several multiplexed connections waits on each in turn
 * for this long, at first and at most. */
#define SLICE_NS     (50 * NS_PER_US)
#define SLICE_MAX_NS (800 * NS_PER_US)

/* A wait for all multiplexed connections also takes turns, for this long each.
 * Else every thread might wait for a server that hangs.  Then no thread would
 * receive the other servers' answers, or send the ops queued behind them. */
#define SLICE_ALL_NS (20 * NS_PER_MS)

#define PAIRS_MAX	    4u
#define PROCESSORS_PER_PAIR 4u

struct link_group {
	struct link_group **home; /* where the session keeps it */
	uint32_t links;
	struct tcp_link *closed;	 /* freed with the group */
	struct mux *muxes[PAIRS_MAX][2]; /* [pair][enum xfer_op] */
};

struct tcp_link {
	struct link base;
	struct link_group *group;
	struct mux **muxes;	      /* [enum xfer_op], a pair */
	struct mux_waiter waiters[2]; /* [enum xfer_op] */
	uint64_t next_cookie;
	struct tcp_link *next_closed;
};

struct tcp_channel {
	struct channel base;
	uint64_t spin_ns;
	struct mux_op ops[TRANSPORT_MAX_XFERS];
};

static struct tcp_link *tcp_link(struct link *link)
{
	return (struct tcp_link *)link;
}

static uint32_t pairs_here;

static void count_pairs(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	pairs_here =
		processors < 0 ? 1 : (uint32_t)processors / PROCESSORS_PER_PAIR;
}

/* The processors are counted once: a session has as many connections as were
 * asked for when it was opened, also where more processors come later. */
static uint32_t pairs(uint32_t lanes)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	uint32_t n;

	pthread_once(&once, count_pairs);
	n = pairs_here;
	if (n > PAIRS_MAX)
		n = PAIRS_MAX;
	if (n > lanes)
		n = lanes;
	return n > 0 ? n : 1;
}

static bool tcp_available(struct error *why)
{
	(void)why;
	return true;
}

static uint32_t tcp_connections(uint32_t lanes)
{
	return 2 * pairs(lanes);
}

static size_t tcp_links_bytes(uint32_t lanes)
{
	return sizeof(struct link_group) +
	       tcp_connections(lanes) * mux_bytes() +
	       lanes * sizeof(struct tcp_link);
}

static int tcp_channel_create(const struct channel_config *config,
			      struct channel **channel, struct error *why)
{
	struct tcp_channel *tcp = calloc(1, sizeof *tcp);

	if (!tcp) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	tcp->base.ops = &transport_tcp;
	tcp->spin_ns = config->spin_ns;
	*channel = &tcp->base;
	return 0;
}

static void tcp_channel_destroy(struct channel *channel)
{
	free(channel);
}

/* --- links --- */

static struct link_group *group_get(struct link_group **home)
{
	if (!*home) {
		*home = calloc(1, sizeof **home);
		if (!*home)
			return NULL;
		(*home)->home = home;
	}
	(*home)->links++;
	return *home;
}

static void group_put(struct link_group *group)
{
	if (--group->links > 0)
		return;
	for (size_t i = 0; i < PAIRS_MAX; i++) {
		for (size_t op = 0; op < 2; op++) {
			if (group->muxes[i][op])
				mux_close(group->muxes[i][op]);
		}
	}
	while (group->closed) {
		struct tcp_link *link = group->closed;

		group->closed = link->next_closed;
		free(link);
	}
	*group->home = NULL;
	free(group);
}

static int open_mux(const struct link_target *target, uint64_t deadline_ns,
		    struct mux **mux, struct error *why)
{
	struct wire_join token;
	int rc = target->new_token(target->owner, &token, why);

	return rc ? rc
		  : mux_open(&target->addr, &token, target->timeout_ns,
			     deadline_ns, mux, why);
}

static int open_pair(const struct link_target *target, uint64_t deadline_ns,
		     struct mux **pair, struct error *why)
{
	for (size_t op = 0; op < 2; op++) {
		int rc = pair[op] ? 0
				  : open_mux(target, deadline_ns, &pair[op],
					     why);

		if (rc)
			return rc;
	}
	return 0;
}

static int tcp_link_connect(struct channel *channel,
			    const struct link_target *target,
			    uint64_t deadline_ns, struct link **link,
			    struct error *why)
{
	struct tcp_link *tcp = calloc(1, sizeof *tcp);
	int rc;

	if (!tcp) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	tcp->base = (struct link){ &transport_tcp, channel };
	tcp->next_cookie = (uint64_t)target->lane << 48;
	tcp->waiters[XFER_READ].bit = tcp->waiters[XFER_WRITE].bit =
		1u << target->lane % 32;
	tcp->group = group_get(target->group);
	if (!tcp->group) {
		free(tcp);
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	tcp->muxes = tcp->group->muxes[target->lane % pairs(target->lanes)];
	rc = open_pair(target, deadline_ns, tcp->muxes, why);
	if (rc) {
		group_put(tcp->group);
		free(tcp);
		return rc;
	}
	*link = &tcp->base;
	return 0;
}

static void tcp_link_abort(struct link *link)
{
	mux_abort(tcp_link(link)->muxes[XFER_READ]);
	mux_abort(tcp_link(link)->muxes[XFER_WRITE]);
}

/* Another lane's thread may still read the link's waiters (transport/mux.h). */
static void tcp_link_close(struct link *base)
{
	struct tcp_link *link = tcp_link(base);
	struct link_group *group = link->group;

	link->next_closed = group->closed;
	group->closed = link;
	group_put(group);
}

/* --- transfers --- */

static bool same_mux(const struct xfer *a, const struct xfer *b)
{
	return a->link == b->link && a->op == b->op;
}

/* Whether xfers[I] is the first on its multiplexed connection. */
static bool leads_mux(const struct xfer *xfers, size_t i)
{
	for (size_t j = 0; j < i; j++) {
		if (same_mux(&xfers[j], &xfers[i]))
			return false;
	}
	return true;
}

static void fill_op(struct mux_op *op, struct tcp_link *link, struct xfer *x)
{
	op->busy = true;
	op->xfer = x;
	op->waiter = &link->waiters[x->op];
	op->waker = link->base.channel->waker;
	op->cookie = link->next_cookie++;
	op->verdict = 0;
	op->ends_batch = false;
	op->frame = (struct wire_data_request){
		.magic = WIRE_DATA_MAGIC,
		.op = x->op == XFER_READ ? WIRE_READ : WIRE_WRITE,
		.slab = x->remote.slab,
		.bytes = x->bytes,
		.offset = x->offset_bytes,
		.cookie = op->cookie,
	};
}

/* The first op from *AT on that is free, or NULL. */
static struct mux_op *free_op(struct tcp_channel *tcp, size_t *at)
{
	while (*at < TRANSPORT_MAX_XFERS) {
		struct mux_op *op = &tcp->ops[(*at)++];

		if (!op->busy)
			return op;
	}
	return NULL;
}

/* All of a set's transfers that share a multiplexed connection with
 * xfers[FIRST].  *AT: where to look for free ops. */
static void submit_mux(struct tcp_channel *tcp, struct xfer *xfers, size_t n,
		       size_t first, size_t *at)
{
	struct tcp_link *link = tcp_link(xfers[first].link);
	struct mux_op *head = NULL, **tail = &head, *last = NULL;

	for (size_t i = first; i < n; i++) {
		struct mux_op *op;

		if (!same_mux(&xfers[i], &xfers[first]))
			continue;
		op = free_op(tcp, at);
		if (!op) {
			xfers[i].status = XFER_UNSENT;
			continue;
		}
		fill_op(op, link, &xfers[i]);
		*tail = last = op;
		tail = &op->next;
	}
	if (last && tcp->base.waker)
		mux_queue(link->muxes[xfers[first].op], head, last);
	else if (last)
		mux_submit(link->muxes[xfers[first].op], head, last);
}

static void tcp_submit(struct channel *channel, struct xfer *xfers, size_t n,
		       uint64_t deadline_ns)
{
	struct tcp_channel *tcp = (struct tcp_channel *)channel;
	size_t at = 0;

	(void)deadline_ns; /* nothing is waited for here */
	for (size_t i = 0; i < n; i++)
		xfers[i].status = -EINPROGRESS;
	for (size_t i = 0; i < n; i++) {
		if (leads_mux(xfers, i))
			submit_mux(tcp, xfers, n, i, &at);
	}
}

/* How many transfers from xfers[I] on are in progress on the multiplexed
 * connection of xfers[I]. */
static size_t in_progress(const struct xfer *xfers, size_t n, size_t i)
{
	size_t count = 0;

	for (size_t j = i; j < n; j++)
		count += same_mux(&xfers[j], &xfers[i]) &&
			 xfers[j].status == -EINPROGRESS;
	return count;
}

/* Waits on the multiplexed connection of xfers[I] until WANT of the N are over,
 * or all transfers on this connection. */
static void wait_mux(const struct tcp_channel *tcp, const struct xfer *xfers,
		     size_t n, size_t i, size_t want, uint64_t deadline_ns)
{
	struct tcp_link *link = tcp_link(xfers[i].link);
	enum xfer_op op = xfers[i].op;
	/* In this order, because a transfer that ends in between must not be
	 * counted twice: then the wait would be for transfers of other
	 * multiplexed connections. */
	size_t over = transport_over(xfers, n);
	size_t here = in_progress(xfers, n, i);

	if (here == 0)
		return;
	if (want > over + here)
		want = over + here;
	mux_wait(link->muxes[op], &link->waiters[op], xfers, n, want,
		 deadline_ns, tcp->spin_ns);
}

/* Waits on each multiplexed connection in turn, for slice_ns at most
 * (UINT64_MAX: until the deadline), as long as fewer than WANT are over. */
static void wait_in_turn(const struct tcp_channel *tcp,
			 const struct xfer *xfers, size_t n, size_t want,
			 uint64_t deadline_ns, uint64_t slice_ns)
{
	for (size_t i = 0; i < n && transport_over(xfers, n) < want; i++) {
		uint64_t until_ns = deadline_ns;

		if (!leads_mux(xfers, i))
			continue;
		if (slice_ns < clock_left_ns(deadline_ns))
			until_ns = clock_now_ns() + slice_ns;
		wait_mux(tcp, xfers, n, i, want, until_ns);
	}
}

/* Whether all transfers in progress share a multiplexed connection. */
static bool on_one_mux(const struct xfer *xfers, size_t n)
{
	const struct xfer *first = NULL;

	for (size_t i = 0; i < n; i++) {
		if (xfers[i].status != -EINPROGRESS)
			continue;
		if (!first)
			first = &xfers[i];
		if (!same_mux(&xfers[i], first))
			return false;
	}
	return true;
}

static uint64_t longer(uint64_t slice_ns)
{
	if (slice_ns == 0)
		return SLICE_NS;
	return slice_ns < SLICE_MAX_NS ? 2 * slice_ns : slice_ns;
}

static size_t tcp_wait_until(struct channel *channel, struct xfer *xfers,
			     size_t n, size_t want, uint64_t deadline_ns)
{
	const struct tcp_channel *tcp = (const struct tcp_channel *)channel;
	bool one = on_one_mux(xfers, n);
	/* Where a transfer on any connection is enough, one connection may be
	 * silent. */
	bool any = want < n && !one;
	uint64_t slice_ns = 0; /* at first, does not wait */

	while (transport_over(xfers, n) < want) {
		bool late = clock_left_ns(deadline_ns) == 0;

		wait_in_turn(tcp, xfers, n, want, deadline_ns,
			     one   ? UINT64_MAX
			     : any ? slice_ns
				   : SLICE_ALL_NS);
		if (late)
			break;
		slice_ns = longer(slice_ns);
	}
	return transport_over(xfers, n);
}

/* Kills the multiplexed connection of xfers[I], and waits until its transfers
 * are over.  Their status is -ETIMEDOUT, also where the connection died of
 * another error. */
static void cut_short(const struct tcp_channel *tcp, struct xfer *xfers,
		      size_t n, size_t i)
{
	mux_abort(tcp_link(xfers[i].link)->muxes[xfers[i].op]);
	while (in_progress(xfers, n, i) > 0)
		wait_mux(tcp, xfers, n, i, n, clock_now_ns() + NS_PER_S);
	for (size_t j = i; j < n; j++) {
		if (same_mux(&xfers[j], &xfers[i]) &&
		    xfers[j].status == -ECONNRESET)
			xfers[j].status = -ETIMEDOUT;
	}
}

static void tcp_wait(struct channel *channel, struct xfer *xfers, size_t n,
		     uint64_t deadline_ns)
{
	const struct tcp_channel *tcp = (const struct tcp_channel *)channel;

	tcp_wait_until(channel, xfers, n, n, deadline_ns);
	for (size_t i = 0; i < n; i++) {
		if (leads_mux(xfers, i) && in_progress(xfers, n, i) > 0)
			cut_short(tcp, xfers, n, i);
	}
}

/* The transfers end by themselves when the socket is shut down. */
static void tcp_abandon(struct channel *channel, struct xfer *xfers, size_t n)
{
	tcp_wait(channel, xfers, n, 0);
}

/* --- for a thread with many requests --- */

static void tcp_watch(const struct xfer *x, struct watch *watch)
{
	struct mux *mux = tcp_link(x->link)->muxes[x->op];
	short events;
	int fd = mux_poll(mux, &events);

	watch_add(watch, &transport_tcp, mux, fd, events);
}

static void tcp_flush(struct watch_source *source)
{
	mux_flush(source->source);
	mux_poll(source->source, &source->poll.events);
}

static void tcp_look(const struct watch_source *source)
{
	mux_look(source->source);
}

const struct transport_ops transport_tcp = {
	.name = "tcp",
	.wire_bit = WIRE_TRANSPORT_TCP,
	.available = tcp_available,
	.connections = tcp_connections,
	.links_bytes = tcp_links_bytes,
	.channel_create = tcp_channel_create,
	.channel_destroy = tcp_channel_destroy,
	.link_connect = tcp_link_connect,
	.link_abort = tcp_link_abort,
	.link_close = tcp_link_close,
	.submit = tcp_submit,
	.wait_until = tcp_wait_until,
	.wait = tcp_wait,
	.abandon = tcp_abandon,
	.watch = tcp_watch,
	.flush = tcp_flush,
	.look = tcp_look,
};
