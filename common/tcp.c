/* The TCP transport: a transfer is one frame each way, on a trunk (trunk.h)
 * that several lanes share.
 *
 * A server has trunks in pairs, one for READs and one for WRITEs, so that a
 * read never stands behind megabytes that are swapped out.  There are few
 * pairs, so that requests meet in them: a pair for every four processors.
 *
 * No bounce buffer: WRITEs are gathered from the caller's own memory; what is
 * read is copied to it once from what a receive brought for all.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "transport.h"
#include "trunk.h"

#define PAIRS_MAX	    4u
#define PROCESSORS_PER_PAIR 4u

struct link_group {
	struct link_group **home; /* where the session keeps it */
	uint32_t links;
	struct trunk *trunks[PAIRS_MAX][2]; /* [pair][enum xfer_op] */
};

struct tcp_link {
	struct link base;
	struct link_group *group;
	struct trunk **trunks;		/* [enum xfer_op], a pair */
	struct trunk_waiter waiters[2]; /* [enum xfer_op] */
	uint64_t next_cookie;
};

struct tcp_channel {
	struct channel base;
	uint64_t spin_ns;
	struct trunk_op ops[TRANSPORT_MAX_XFERS];
};

static struct tcp_link *tcp_link(struct link *link)
{
	return (struct tcp_link *)link;
}

static uint32_t pairs(uint32_t lanes)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	uint32_t n =
		processors < 0 ? 1 : (uint32_t)processors / PROCESSORS_PER_PAIR;

	if (n > PAIRS_MAX)
		n = PAIRS_MAX;
	if (n > lanes)
		n = lanes;
	return n > 0 ? n : 1;
}

static bool tcp_available(struct reason *why)
{
	(void)why;
	return true;
}

static uint32_t tcp_connections(uint32_t lanes)
{
	return 2 * pairs(lanes);
}

static int tcp_channel_create(const struct channel_config *config,
			      struct channel **channel, struct reason *why)
{
	struct tcp_channel *tcp = calloc(1, sizeof *tcp);

	if (!tcp) {
		reason_set(why, "out of memory");
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
			if (group->trunks[i][op])
				trunk_close(group->trunks[i][op]);
		}
	}
	*group->home = NULL;
	free(group);
}

static int open_trunk(const struct link_target *target, uint64_t deadline_ns,
		      struct trunk **trunk, struct reason *why)
{
	struct wire_join token;
	int rc = target->new_token(target->owner, &token, why);

	return rc ? rc
		  : trunk_open(&target->addr, &token, target->timeout_ns,
			       deadline_ns, trunk, why);
}

static int open_pair(const struct link_target *target, uint64_t deadline_ns,
		     struct trunk **pair, struct reason *why)
{
	for (size_t op = 0; op < 2; op++) {
		int rc = pair[op] ? 0
				  : open_trunk(target, deadline_ns, &pair[op],
					       why);

		if (rc)
			return rc;
	}
	return 0;
}

static int tcp_link_connect(struct channel *channel,
			    const struct link_target *target,
			    uint64_t deadline_ns, struct link **link,
			    struct reason *why)
{
	struct tcp_link *tcp = calloc(1, sizeof *tcp);
	int rc;

	if (!tcp) {
		reason_set(why, "out of memory");
		return -ENOMEM;
	}
	tcp->base = (struct link){ &transport_tcp, channel };
	tcp->next_cookie = (uint64_t)target->lane << 48;
	tcp->waiters[XFER_READ].bit = tcp->waiters[XFER_WRITE].bit =
		1u << target->lane % 32;
	tcp->group = group_get(target->group);
	if (!tcp->group) {
		free(tcp);
		reason_set(why, "out of memory");
		return -ENOMEM;
	}
	tcp->trunks = tcp->group->trunks[target->lane % pairs(target->lanes)];
	rc = open_pair(target, deadline_ns, tcp->trunks, why);
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
	trunk_abort(tcp_link(link)->trunks[XFER_READ]);
	trunk_abort(tcp_link(link)->trunks[XFER_WRITE]);
}

static void tcp_link_close(struct link *link)
{
	group_put(tcp_link(link)->group);
	free(link);
}

/* --- transfers --- */

/* Whether xfers[I] is the first on its trunk. */
static bool leads_trunk(const struct xfer *xfers, size_t i)
{
	for (size_t j = 0; j < i; j++) {
		if (xfers[j].link == xfers[i].link &&
		    xfers[j].op == xfers[i].op)
			return false;
	}
	return true;
}

static void fill_op(struct trunk_op *op, struct tcp_link *link, struct xfer *x)
{
	struct wire_data_request request = {
		.magic = WIRE_DATA_MAGIC,
		.op = x->op == XFER_READ ? WIRE_READ : WIRE_WRITE,
		.slab = x->remote.slab,
		.bytes = x->bytes,
		.offset = x->offset_bytes,
		.cookie = link->next_cookie++,
	};

	op->xfer = x;
	op->waiter = &link->waiters[x->op];
	op->cookie = request.cookie;
	op->verdict = 0;
	op->ends_batch = false;
	wire_encode_request(&request, &op->frame);
}

/* All of a set's transfers that share a trunk with xfers[FIRST]. */
static void submit_trunk(struct tcp_channel *tcp, struct xfer *xfers, size_t n,
			 size_t first)
{
	struct tcp_link *link = tcp_link(xfers[first].link);
	enum xfer_op op = xfers[first].op;
	struct trunk_op *last = NULL;
	uint32_t count = 0;

	for (size_t i = first; i < n; i++) {
		if (xfers[i].link != &link->base || xfers[i].op != op)
			continue;
		fill_op(&tcp->ops[i], link, &xfers[i]);
		if (last)
			last->next = &tcp->ops[i];
		last = &tcp->ops[i];
		last->next = NULL;
		count++;
	}
	trunk_submit(link->trunks[op], &link->waiters[op], &tcp->ops[first],
		     last, count);
}

static void tcp_submit(struct channel *channel, struct xfer *xfers, size_t n,
		       uint64_t deadline_ns)
{
	struct tcp_channel *tcp = (struct tcp_channel *)channel;

	(void)deadline_ns; /* nothing is waited for here */
	for (size_t i = 0; i < n; i++)
		xfers[i].status = -EINPROGRESS;
	for (size_t i = 0; i < n; i++) {
		if (leads_trunk(xfers, i))
			submit_trunk(tcp, xfers, n, i);
	}
}

/* What the deadline has cut short is told as that, whatever the trunk died of
 * in the end. */
static void time_out(struct xfer *xfers, size_t n, size_t first)
{
	for (size_t i = first; i < n; i++) {
		if (xfers[i].link == xfers[first].link &&
		    xfers[i].op == xfers[first].op &&
		    xfers[i].status == -ECONNRESET)
			xfers[i].status = -ETIMEDOUT;
	}
}

static void tcp_wait(struct channel *channel, struct xfer *xfers, size_t n,
		     uint64_t deadline_ns)
{
	struct tcp_channel *tcp = (struct tcp_channel *)channel;

	for (size_t i = 0; i < n; i++) {
		struct tcp_link *link = tcp_link(xfers[i].link);
		enum xfer_op op = xfers[i].op;

		if (leads_trunk(xfers, i) &&
		    !trunk_wait(link->trunks[op], &link->waiters[op],
				deadline_ns, tcp->spin_ns))
			time_out(xfers, n, i);
	}
}

const struct transport_ops transport_tcp = {
	.name = "tcp",
	.wire_bit = WIRE_TRANSPORT_TCP,
	.available = tcp_available,
	.connections = tcp_connections,
	.channel_create = tcp_channel_create,
	.channel_destroy = tcp_channel_destroy,
	.link_connect = tcp_link_connect,
	.link_abort = tcp_link_abort,
	.link_close = tcp_link_close,
	.submit = tcp_submit,
	.wait = tcp_wait,
};
