/* RDMA: transfers, which is the I/O path. */
#include "rdma.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "clock.h"
#include "watch.h"

/* How long a flush may take after the queue pair was put into error. */
#define FLUSH_NS (2 * NS_PER_S)

/* Completions per poll. */
#define POLL_BATCH 16

static void rdma_link_abort(struct link *link)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };

	ibv_modify_qp(rdma_link(link)->id->qp, &attr, IBV_QP_STATE);
}

/* Closes the channel until LINK is closed, which destroys its queue pair:
 * it is unknown when the device stops using the memory. */
static void give_up(struct rdma_link *link)
{
	if (!link->stuck) {
		link->stuck = true;
		atomic_fetch_add(&rdma_channel(link->base.channel)->stuck, 1);
	}
}

static bool in_progress(const struct xfer *x)
{
	return x->status == -EINPROGRESS;
}

/* Whether X is from or to the lane's memory, so that it needs no copy. */
static bool is_in_place(const struct rdma_channel *rdma, const struct xfer *x)
{
	const char *buf = x->buf;

	return rdma->memory && buf >= rdma->memory &&
	       buf + x->bytes <= rdma->memory + rdma->memory_bytes;
}

/* Gives the transfer in slot I back, with STATUS. */
static void settle(struct rdma_channel *rdma, size_t i, int status)
{
	struct xfer *x = rdma->xfers[i];

	rdma->xfers[i] = NULL;
	rdma->in_flight--;
	if (x->op == XFER_READ && status == 0 && !is_in_place(rdma, x))
		memcpy(x->buf, (void *)(uintptr_t)rdma->sge[i].addr, x->bytes);
	x->status = status;
}

/* Gives the transfers of the set back that are on LINK and in progress. */
static void settle_set(struct rdma_channel *rdma, const struct rdma_link *link,
		       const struct xfer *xfers, size_t n, int status)
{
	for (size_t i = 0; i < rdma->used; i++) {
		const struct xfer *x = rdma->xfers[i];

		if (x && x->link == &link->base && x >= xfers && x < xfers + n)
			settle(rdma, i, status);
	}
}

/* --- submit --- */

/* Whether the channel has room.  A channel that is idle takes all room back
 * first. */
static bool has_room(struct rdma_channel *rdma, const struct xfer *xfers,
		     size_t n)
{
	size_t bytes = 0, buffer_bytes = 0;

	if (rdma->in_flight == 0)
		rdma->used = rdma->used_bytes = rdma->buffer_used_bytes = 0;
	for (size_t i = 0; i < n; i++) {
		bytes += xfers[i].bytes;
		if (!is_in_place(rdma, &xfers[i]))
			buffer_bytes += xfers[i].bytes;
	}
	return n <= TRANSPORT_MAX_XFERS - rdma->used &&
	       bytes <= rdma->in_progress_max_bytes - rdma->used_bytes &&
	       buffer_bytes <= rdma->buffer_bytes - rdma->buffer_used_bytes;
}

/* Where the device finds the bytes of X, or puts them. */
static struct ibv_sge place(struct rdma_channel *rdma, const struct xfer *x)
{
	const struct rdma_domain *domain =
		((const struct rdma_link *)x->link)->domain;
	char *bounce;

	if (is_in_place(rdma, x))
		return (struct ibv_sge){ .addr = (uintptr_t)x->buf,
					 .length = x->bytes,
					 .lkey = domain->memory_mr->lkey };
	bounce = rdma->buffer + rdma->buffer_used_bytes;
	rdma->buffer_used_bytes += x->bytes;
	if (x->op == XFER_WRITE)
		memcpy(bounce, x->buf, x->bytes);
	return (struct ibv_sge){ .addr = (uintptr_t)bounce,
				 .length = x->bytes,
				 .lkey = domain->buffer_mr->lkey };
}

/* Gives X the next slot, and makes its work request. */
static void take_slot(struct rdma_channel *rdma, struct xfer *x)
{
	size_t i = rdma->used++;
	struct ibv_send_wr *wr = &rdma->wr[i];

	x->status = -EINPROGRESS;
	rdma->xfers[i] = x;
	rdma->in_flight++;
	rdma->used_bytes += x->bytes;
	rdma->sge[i] = place(rdma, x);
	*wr = (struct ibv_send_wr){
		.wr_id = (uint64_t)rdma->round << 32 | i,
		.sg_list = &rdma->sge[i],
		.num_sge = 1,
		.opcode = x->op == XFER_READ ? IBV_WR_RDMA_READ
					     : IBV_WR_RDMA_WRITE,
	};
	wr->wr.rdma.remote_addr = x->offset_bytes;
	wr->wr.rdma.rkey = x->remote.rkey;
}

/* Chains the work requests of all transfers from xfers[FIRST] on that are on
 * its link, and posts them at once.  WR is that of the first of the set. */
static void post_link(struct rdma_channel *rdma, struct ibv_send_wr *wr,
		      struct xfer *xfers, size_t n, size_t first)
{
	struct rdma_link *link = rdma_link(xfers[first].link);
	struct ibv_send_wr *last = &wr[first], *bad;
	int rc;

	for (size_t i = first + 1; i < n; i++) {
		if (xfers[i].link == &link->base) {
			last->next = &wr[i];
			last = &wr[i];
		}
	}
	last->send_flags = IBV_SEND_SIGNALED;
	rc = ibv_post_send(link->id->qp, &wr[first], &bad);
	if (!rc)
		return;
	/* The work requests before BAD were posted unsignalled, so no
	 * completion tells when they end. */
	if (bad != &wr[first])
		give_up(link);
	rdma_link_abort(&link->base);
	settle_set(rdma, link, xfers, n, rc > 0 ? -rc : -EIO);
}

static void fail_all(struct xfer *xfers, size_t n, int status)
{
	for (size_t i = 0; i < n; i++)
		xfers[i].status = status;
}

/* Whether xfers[I] is the first transfer on its link. */
static bool leads_link(const struct xfer *xfers, size_t i)
{
	for (size_t j = 0; j < i; j++) {
		if (xfers[j].link == xfers[i].link)
			return false;
	}
	return true;
}

static bool rdma_usable(const struct channel *channel)
{
	return atomic_load(&((const struct rdma_channel *)channel)->stuck) == 0;
}

static void rdma_submit(struct channel *channel, struct xfer *xfers, size_t n,
			uint64_t deadline_ns)
{
	struct rdma_channel *rdma = rdma_channel(channel);
	struct ibv_send_wr *wr;

	(void)deadline_ns;
	/* Not even the bounce buffer may be written to: a WRITE that did not
	 * flush could still send those bytes to its own slab. */
	if (!rdma_usable(channel) || !has_room(rdma, xfers, n)) {
		fail_all(xfers, n, XFER_UNSENT);
		return;
	}
	rdma->round++;
	wr = &rdma->wr[rdma->used];
	for (size_t i = 0; i < n; i++)
		take_slot(rdma, &xfers[i]);
	for (size_t i = 0; i < n; i++) {
		if (leads_link(xfers, i))
			post_link(rdma, wr, xfers, n, i);
	}
}

/* --- completions --- */

/* The completion of slot LAST stands for every earlier one on its link. */
static void settle_until(struct rdma_channel *rdma, size_t last, int status)
{
	const struct link *link = rdma->xfers[last]->link;

	for (size_t i = 0; i <= last; i++) {
		if (rdma->xfers[i] && rdma->xfers[i]->link == link)
			settle(rdma, i, status);
	}
}

static int status_of(enum ibv_wc_status status)
{
	switch (status) {
	case IBV_WC_SUCCESS:
		return 0;
	case IBV_WC_WR_FLUSH_ERR:
		return -ECONNABORTED;
	case IBV_WC_REM_ACCESS_ERR:
	case IBV_WC_REM_INV_REQ_ERR:
	case IBV_WC_REM_OP_ERR:
		return -EREMOTEIO;
	default:
		return -ECONNRESET;
	}
}

/* On a failed completion only wr_id, status, qp_num and vendor_err hold. */
static void complete(struct rdma_channel *rdma, const struct ibv_wc *wc)
{
	size_t i = (uint32_t)wc->wr_id;

	if (i >= rdma->used || !rdma->xfers[i] ||
	    rdma->wr[i].wr_id != wc->wr_id)
		return; /* of an earlier, stuck submit */
	/* The transfers before the failed one had succeeded, unsignalled.  They
	 * fail as well: they are repeated, and need no special case. */
	settle_until(rdma, i, status_of(wc->status));
}

/* Takes all completions that have come.  False where there was none. */
static bool poll_domain(struct rdma_channel *rdma, struct rdma_domain *d)
{
	struct ibv_wc wc[POLL_BATCH];
	int got = ibv_poll_cq(d->cq, POLL_BATCH, wc);

	for (int i = 0; i < got; i++)
		complete(rdma, &wc[i]);
	return got > 0;
}

static bool poll_domains(struct rdma_channel *rdma)
{
	unsigned n_domains = atomic_load(&rdma->n_domains);
	bool got = false;

	for (unsigned i = 0; i < n_domains; i++)
		got |= poll_domain(rdma, &rdma->domains[i]);
	return got;
}

/* --- waiting --- */

/* Takes one event off the completion channel.  Acknowledging takes a mutex in
 * libibverbs, so that is left for later (ibv_get_cq_event(3)).  0 or a negative
 * errno, where the device is gone: the channel would be ready for ever. */
static int take_event(struct rdma_domain *d)
{
	struct ibv_cq *cq;
	void *context;

	if (ibv_get_cq_event(d->events, &cq, &context))
		return errno == EIO ? -EIO : 0;
	if (++d->unacked == 1u << 30) {
		ibv_ack_cq_events(d->cq, d->unacked);
		d->unacked = 0;
	}
	return 0;
}

/* Whether a transfer in flight is on the device of D. */
static bool is_waited_for(const struct rdma_channel *rdma,
			  const struct rdma_domain *d)
{
	for (size_t i = 0; i < rdma->used; i++) {
		const struct xfer *x = rdma->xfers[i];

		if (x && ((const struct rdma_link *)x->link)->domain == d)
			return true;
	}
	return false;
}

/* Sleeps until a completion comes, and for WATCH_LOOK_NS at most.  Arms the
 * queue and polls once more first, because a completion that came in between
 * makes no event.  A device that no transfer is on may be gone. */
static int sleep_for_event(struct rdma_channel *rdma, uint64_t deadline_ns)
{
	unsigned n_domains = atomic_load(&rdma->n_domains);
	uint64_t look_ns = clock_now_ns() + WATCH_LOOK_NS;
	struct pollfd fds[MAX_DOMAINS];
	int rc;

	for (unsigned i = 0; i < n_domains; i++) {
		struct rdma_domain *d = &rdma->domains[i];

		fds[i] = (struct pollfd){ .fd = -1 };
		if (!is_waited_for(rdma, d))
			continue;
		rc = ibv_req_notify_cq(d->cq, 0);
		if (rc)
			return -rc;
		fds[i] = (struct pollfd){ .fd = d->events->fd,
					  .events = POLLIN };
	}
	if (poll_domains(rdma))
		return 0;
	rc = net_poll(fds, n_domains,
		      look_ns < deadline_ns ? look_ns : deadline_ns);
	for (unsigned i = 0; i < n_domains && !rc; i++) {
		if (fds[i].revents)
			rc = take_event(&rdma->domains[i]);
	}
	return rc;
}

/* Polls for as long as it pays, until WANT of the N are over. */
static void spin(struct rdma_channel *rdma, const struct xfer *xfers, size_t n,
		 size_t want, uint64_t deadline_ns)
{
	uint64_t until_ns = clock_now_ns() + rdma->spin_ns;
	bool over;

	if (until_ns > deadline_ns)
		return;
	do {
		poll_domains(rdma);
		over = transport_over(xfers, n) >= want;
	} while (!over && clock_now_ns() < until_ns);
	spin_learn(&rdma->spin, over);
}

/* Returns 0 when WANT of the N are over, or a negative errno when waiting
 * longer is of no use. */
static int await(struct rdma_channel *rdma, const struct xfer *xfers, size_t n,
		 size_t want, uint64_t deadline_ns)
{
	if (rdma->spin_ns && transport_over(xfers, n) < want &&
	    spin_pays(&rdma->spin))
		spin(rdma, xfers, n, want, deadline_ns);
	while (transport_over(xfers, n) < want) {
		int rc;

		if (poll_domains(rdma))
			continue;
		if (clock_left_ns(deadline_ns) == 0)
			return -ETIMEDOUT;
		rc = sleep_for_event(rdma, deadline_ns);
		if (rc && rc != -ETIMEDOUT)
			return rc;
	}
	return 0;
}

/* Gives up the transfers of the set that are in progress. */
static void give_up_set(struct rdma_channel *rdma, struct xfer *xfers, size_t n,
			int status)
{
	for (size_t i = 0; i < n; i++) {
		struct rdma_link *link = rdma_link(xfers[i].link);

		if (in_progress(&xfers[i])) {
			give_up(link);
			settle_set(rdma, link, xfers, n, status);
		}
	}
}

/* Aborts the transfers that are in progress, and waits for the flush.  RC
 * becomes their status. */
static void flush(struct rdma_channel *rdma, struct xfer *xfers, size_t n,
		  int rc)
{
	bool late[TRANSPORT_MAX_XFERS];

	for (size_t i = 0; i < n; i++) {
		late[i] = in_progress(&xfers[i]);
		if (late[i])
			rdma_link_abort(xfers[i].link);
	}
	await(rdma, xfers, n, n, clock_now_ns() + FLUSH_NS);
	give_up_set(rdma, xfers, n, rc);
	for (size_t i = 0; i < n; i++) {
		if (late[i] && xfers[i].status)
			xfers[i].status = rc;
	}
}

static size_t rdma_wait_until(struct channel *channel, struct xfer *xfers,
			      size_t n, size_t want, uint64_t deadline_ns)
{
	struct rdma_channel *rdma = rdma_channel(channel);
	int rc = await(rdma, xfers, n, want, deadline_ns);

	/* Waiting has failed, so no later wait would end these transfers. */
	if (rc && rc != -ETIMEDOUT)
		flush(rdma, xfers, n, rc);
	return transport_over(xfers, n);
}

static void rdma_wait(struct channel *channel, struct xfer *xfers, size_t n,
		      uint64_t deadline_ns)
{
	if (rdma_wait_until(channel, xfers, n, n, deadline_ns) < n)
		flush(rdma_channel(channel), xfers, n, -ETIMEDOUT);
}

static void rdma_abandon(struct channel *channel, struct xfer *xfers, size_t n)
{
	give_up_set(rdma_channel(channel), xfers, n, -ETIMEDOUT);
}

/* --- for a thread with many requests --- */

static void rdma_watch(const struct xfer *x, struct watch *watch)
{
	const struct rdma_link *link = (const struct rdma_link *)x->link;

	watch_add(watch, &transport_rdma, link->base.channel,
		  link->domain->events->fd, POLLIN);
}

/* Submit has posted everything. */
static void rdma_flush(struct watch_source *source)
{
	(void)source;
}

static struct rdma_domain *domain_of(const struct watch_source *source)
{
	struct rdma_channel *rdma = source->source;
	size_t i = 0;

	while (rdma->domains[i].events->fd != source->poll.fd)
		i++;
	return &rdma->domains[i];
}

/* Ends all transfers on D, whose device is gone: no completion comes, and a
 * thread that slept until one does would never sleep. */
static void lose_domain(struct rdma_channel *rdma, const struct rdma_domain *d)
{
	for (size_t i = 0; i < rdma->used; i++) {
		struct rdma_link *link;

		if (!rdma->xfers[i])
			continue;
		link = rdma_link(rdma->xfers[i]->link);
		if (link->domain != d)
			continue;
		give_up(link);
		settle(rdma, i, -EIO);
	}
}

static void rdma_look(const struct watch_source *source)
{
	struct rdma_domain *d = domain_of(source);
	bool lost = source->poll.revents && take_event(d);

	poll_domains(source->source);
	if (lost)
		lose_domain(source->source, d);
}

/* The queue is armed and then polled, because a completion that came in between
 * makes no event. */
static void rdma_rest(const struct watch_source *source)
{
	struct rdma_domain *d = domain_of(source);
	bool lost = ibv_req_notify_cq(d->cq, 0);

	poll_domains(source->source);
	if (lost)
		lose_domain(source->source, d);
}

static int create_channel(const struct channel_config *config,
			  struct channel **channel, struct error *why)
{
	int rc = rdma_channel_create(config, channel, why);

	if (!rc)
		(*channel)->ops = &transport_rdma;
	return rc;
}

const struct transport_ops transport_rdma = {
	.name = "rdma",
	.wire_bit = WIRE_TRANSPORT_RDMA,
	.bound_to_address = true, /* slabs are registered with its device */
	.in_place = true,
	.apart = true, /* faster with soft-RoCE: docs/performance.md */
	.available = rdma_available,
	.channel_create = create_channel,
	.channel_destroy = rdma_channel_destroy,
	.connections = rdma_connections,
	.link_connect = rdma_link_connect,
	.link_describe = rdma_link_describe,
	.link_abort = rdma_link_abort,
	.link_close = rdma_link_close,
	.submit = rdma_submit,
	.wait_until = rdma_wait_until,
	.wait = rdma_wait,
	.abandon = rdma_abandon,
	.usable = rdma_usable,
	.watch = rdma_watch,
	.flush = rdma_flush,
	.look = rdma_look,
	.rest = rdma_rest,
};
