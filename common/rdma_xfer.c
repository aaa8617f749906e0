/* RDMA: transfers, which is the I/O path. */
#include "rdma.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "clock.h"

/* How long a flush may take after the queue pair was put into error. */
#define FLUSH_NS (2 * NS_PER_S)

/* Completions per poll. */
#define POLL_BATCH 16

static void rdma_link_abort(struct link *link)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_ERR };

	ibv_modify_qp(rdma_link(link)->id->qp, &attr, IBV_QP_STATE);
}

static uint64_t wr_id(const struct rdma_channel *rdma, size_t i)
{
	return (uint64_t)rdma->round << 32 | i;
}

/* Closes the channel until LINK is closed: nobody can tell any more when the
 * device stops to use the buffer. */
static void give_up(struct rdma_link *link)
{
	if (!link->stuck) {
		link->stuck = true;
		atomic_fetch_add(&rdma_channel(link->base.channel)->stuck, 1);
	}
}

/* Makes the work request of xfers[I], whose bytes stand at BOUNCE. */
static struct ibv_send_wr *build_wr(struct rdma_channel *rdma,
				    const struct xfer *x, size_t i,
				    char *bounce)
{
	const struct rdma_link *link = (const struct rdma_link *)x->link;
	struct ibv_send_wr *wr = &rdma->wr[i];

	if (x->op == XFER_WRITE)
		memcpy(bounce, x->buf, x->bytes);
	rdma->sge[i] = (struct ibv_sge){ .addr = (uintptr_t)bounce,
					 .length = x->bytes,
					 .lkey = link->domain->mr->lkey };
	*wr = (struct ibv_send_wr){
		.wr_id = wr_id(rdma, i),
		.sg_list = &rdma->sge[i],
		.num_sge = 1,
		.opcode = x->op == XFER_READ ? IBV_WR_RDMA_READ
					     : IBV_WR_RDMA_WRITE,
	};
	wr->wr.rdma.remote_addr = x->remote.address + x->offset_bytes;
	wr->wr.rdma.rkey = x->remote.rkey;
	return wr;
}

/* Chains the work requests of all transfers on the link of xfers[FIRST] and
 * posts them at once. */
static void post_link(struct rdma_channel *rdma, struct xfer *xfers, size_t n,
		      size_t first)
{
	struct rdma_link *link = rdma_link(xfers[first].link);
	struct ibv_send_wr *last = &rdma->wr[first], *bad;
	int rc;

	for (size_t i = first + 1; i < n; i++) {
		if (xfers[i].link == &link->base) {
			last->next = &rdma->wr[i];
			last = &rdma->wr[i];
		}
	}
	last->send_flags = IBV_SEND_SIGNALED;
	rc = ibv_post_send(link->id->qp, &rdma->wr[first], &bad);
	if (!rc)
		return;
	/* What stands before BAD was posted, unsignalled: when it is over
	 * cannot be told. */
	if (bad != &rdma->wr[first])
		give_up(link);
	transport_fail_link(&link->base, xfers, n, rc > 0 ? -rc : -EIO);
}

static void rdma_submit(struct channel *channel, struct xfer *xfers, size_t n,
			uint64_t deadline_ns)
{
	struct rdma_channel *rdma = rdma_channel(channel);
	char *bounce = rdma->buffer;

	(void)deadline_ns;
	rdma->round++;
	if (atomic_load(&rdma->stuck)) {
		/* Not even the bounce buffer may be written to: a WRITE that
		 * did not flush could carry those bytes to its own slab. */
		for (size_t i = 0; i < n; i++)
			xfers[i].status = -ECONNABORTED;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		xfers[i].status = -EINPROGRESS;
		build_wr(rdma, &xfers[i], i, bounce);
		bounce += xfers[i].bytes;
	}
	for (size_t i = 0; i < n; i++) {
		if (xfers[i].status == -EINPROGRESS &&
		    transport_leads_link(xfers, i))
			post_link(rdma, xfers, n, i);
	}
}

/* The completion of xfers[I] stands for every earlier one on its link: gives
 * them STATUS, and the bytes of a READ that succeeded to their reader. */
static void settle_until(struct rdma_channel *rdma, struct xfer *xfers,
			 size_t i, int status)
{
	for (size_t j = 0; j <= i; j++) {
		struct xfer *x = &xfers[j];

		if (x->link != xfers[i].link || x->status != -EINPROGRESS)
			continue;
		if (x->op == XFER_READ && status == 0)
			memcpy(x->buf, (void *)(uintptr_t)rdma->sge[j].addr,
			       x->bytes);
		x->status = status;
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
static void complete(struct rdma_channel *rdma, struct xfer *xfers, size_t n,
		     const struct ibv_wc *wc)
{
	size_t i = (uint32_t)wc->wr_id;

	if (wc->wr_id >> 32 != rdma->round || i >= n)
		return; /* of an earlier, stuck submit */
	/* The earlier ones of a failed transfer had succeeded, unsignalled; to
	 * fail them too costs a repetition and spares a special case. */
	settle_until(rdma, xfers, i, status_of(wc->status));
}

static bool any_in_progress(const struct rdma_domain *d,
			    const struct xfer *xfers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (xfers[i].status == -EINPROGRESS &&
		    rdma_link(xfers[i].link)->domain == d)
			return true;
	}
	return false;
}

/* Takes what completions there are.  False when there were none. */
static bool poll_domain(struct rdma_channel *rdma, struct rdma_domain *d,
			struct xfer *xfers, size_t n)
{
	struct ibv_wc wc[POLL_BATCH];
	int got = ibv_poll_cq(d->cq, POLL_BATCH, wc);

	for (int i = 0; i < got; i++)
		complete(rdma, xfers, n, &wc[i]);
	return got > 0;
}

/* Takes one event off the completion channel.  Acknowledging takes a mutex in
 * libibverbs, so that is left for later (ibv_get_cq_event(3)). */
static void take_event(struct rdma_domain *d)
{
	struct ibv_cq *cq;
	void *context;

	if (ibv_get_cq_event(d->events, &cq, &context))
		return;
	if (++d->unacked == 1u << 30) {
		ibv_ack_cq_events(d->cq, d->unacked);
		d->unacked = 0;
	}
}

/* Sleeps until a completion comes.  Armed first and polled once more, as one
 * that came in between makes no event. */
static int sleep_domain(struct rdma_channel *rdma, struct rdma_domain *d,
			struct xfer *xfers, size_t n, uint64_t deadline_ns)
{
	int rc = ibv_req_notify_cq(d->cq, 0);

	if (rc)
		return -rc;
	if (poll_domain(rdma, d, xfers, n))
		return 0;
	rc = net_wait(d->events->fd, POLLIN, deadline_ns);
	if (!rc)
		take_event(d);
	return rc;
}

/* Returns when none of the transfers in domain D is in progress: 0, or a
 * negative errno when waiting any longer is of no use. */
static int wait_domain(struct rdma_channel *rdma, struct rdma_domain *d,
		       struct xfer *xfers, size_t n, uint64_t deadline_ns)
{
	uint64_t spin_until =
		rdma->spin_ns ? clock_now_ns() + rdma->spin_ns : 0;

	while (any_in_progress(d, xfers, n)) {
		int rc;

		if (poll_domain(rdma, d, xfers, n))
			continue;
		if (spin_until && clock_now_ns() < spin_until)
			continue;
		rc = sleep_domain(rdma, d, xfers, n, deadline_ns);
		if (rc)
			return rc;
	}
	return 0;
}

/* After a deadline: aborts what is still in progress in domain D and waits for
 * the flush.  RC becomes the status of what was aborted. */
static void flush_domain(struct rdma_channel *rdma, struct rdma_domain *d,
			 struct xfer *xfers, size_t n, int rc)
{
	bool late[TRANSPORT_MAX_XFERS];

	for (size_t i = 0; i < n; i++) {
		late[i] = xfers[i].status == -EINPROGRESS &&
			  rdma_link(xfers[i].link)->domain == d;
		if (late[i])
			rdma_link_abort(xfers[i].link);
	}
	if (wait_domain(rdma, d, xfers, n, clock_now_ns() + FLUSH_NS)) {
		for (size_t i = 0; i < n; i++) {
			if (late[i] && xfers[i].status == -EINPROGRESS)
				give_up(rdma_link(xfers[i].link));
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (late[i] && xfers[i].status)
			xfers[i].status = rc;
	}
}

static void rdma_wait(struct channel *channel, struct xfer *xfers, size_t n,
		      uint64_t deadline_ns)
{
	struct rdma_channel *rdma = rdma_channel(channel);
	unsigned n_domains = atomic_load(&rdma->n_domains);

	for (unsigned i = 0; i < n_domains; i++) {
		struct rdma_domain *d = &rdma->domains[i];
		int rc = wait_domain(rdma, d, xfers, n, deadline_ns);

		if (rc)
			flush_domain(rdma, d, xfers, n, rc);
	}
}

const struct transport_ops transport_rdma = {
	.name = "rdma",
	.wire_bit = WIRE_TRANSPORT_RDMA,
	.available = rdma_available,
	.channel_create = rdma_channel_create,
	.channel_destroy = rdma_channel_destroy,
	.connections = rdma_connections,
	.link_connect = rdma_link_connect,
	.link_abort = rdma_link_abort,
	.link_close = rdma_link_close,
	.submit = rdma_submit,
	.wait = rdma_wait,
};
