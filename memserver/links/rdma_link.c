/* Closing a link destroys its queue pair on the teardown thread.  That may take
 * long, and rdma_destroy_id waits until the main loop has acknowledged the id's
 * events.  Once the queue pair is destroyed, nothing that the client sent
 * reaches memory any more.  If the device refuses, the link is not gone: its
 * session waits, FENCED waits with it, and the server tries again. */
#include "rdma_link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "loops/container.h"
#include "output/output.h"
#include "rdma_device.h"

/* Between two attempts to destroy a queue pair. */
#define DESTROY_AGAIN_S 0.25

struct peer_name rdma_id_peer(struct rdma_cm_id *id, const char *identity)
{
	const struct sockaddr *sa = rdma_get_peer_addr(id);
	struct net_addr addr = { .length =
					 sa->sa_family == AF_INET6
						 ? sizeof(struct sockaddr_in6)
						 : sizeof(struct sockaddr_in) };

	memcpy(&addr.storage, sa, addr.length);
	return peer_name(identity, net_addr_format(&addr).text);
}

/* --- closing a link --- */

/* rdma_destroy_qp does not say whether the queue pair is gone.  0, or an errno:
 * the id still has the queue pair. */
static int destroy_qp(struct rdma_cm_id *id)
{
	int err = ibv_destroy_qp(id->qp);

	if (!err)
		id->qp = NULL;
	return err;
}

static void teardown_run(struct work *work)
{
	struct rdma_link *l = container_of(work, struct rdma_link, teardown);

	/* Tells the client, which may have disconnected first. */
	if (!l->disconnected)
		rdma_disconnect(l->id);
	l->disconnected = true;
	l->destroy_err = destroy_qp(l->id);
	if (!l->destroy_err && rdma_destroy_id(l->id) < 0)
		log_error("%s: rdma_destroy_id: %s", l->peer.text,
			  strerror(errno));
}

static void destroy_again_cb(struct ev_loop *loop, ev_timer *watcher,
			     int events)
{
	struct rdma_link *l = container_of(watcher, struct rdma_link, again);

	(void)loop;
	(void)events;
	workq_submit(l->link.set->links->teardown, &l->teardown);
}

static void teardown_done(struct work *work)
{
	struct rdma_link *l = container_of(work, struct rdma_link, teardown);
	struct links *links = l->link.set->links;

	if (l->destroy_err) {
		links->errors++;
		output_peer(&l->peer,
			    "session %u, lane %u: ibv_destroy_qp: %s; the "
			    "session waits until that succeeds",
			    l->link.set->key, l->link.number,
			    strerror(l->destroy_err));
		ev_timer_init(&l->again, destroy_again_cb, DESTROY_AGAIN_S, 0.);
		ev_timer_start(links->loop, &l->again);
		return;
	}
	link_gone(&l->link);
	free(l);
}

void rdma_link_close(struct link *link)
{
	struct rdma_link *l = container_of(link, struct rdma_link, link);

	workq_submit(link->set->links->teardown, &l->teardown);
}

/* --- opening a link --- */

/* The first link decides on which device the session's slabs are registered. */
static bool choose_domain(struct link_set *set, struct ibv_context *verbs,
			  struct error *why)
{
	if (!set->domain && rdma_device_fits(verbs->device, why))
		set->domain = rdma_domain_new(verbs, why);
	if (!set->domain)
		return false;
	if (set->domain->verbs == verbs)
		return true;
	error_set(why, "came in on device %s, its session's is %s",
		  ibv_get_device_name(verbs->device),
		  ibv_get_device_name(set->domain->verbs->device));
	return false;
}

static bool create_qp(struct rdma_cm_id *id, struct link_domain *domain,
		      struct error *why)
{
	struct ibv_qp_init_attr attr = {
		.send_cq = domain->cq,
		.recv_cq = domain->cq,
		.cap = { .max_send_wr = 1,
			 .max_recv_wr = 1,
			 .max_send_sge = 1,
			 .max_recv_sge = 1 },
		.qp_type = IBV_QPT_RC,
	};

	if (rdma_create_qp(id, domain->pd, &attr) == 0)
		return true;
	error_set(why, "rdma_create_qp: %s", strerror(errno));
	return false;
}

/* The server starts no transfers, so it needs no initiator depth.  It serves as
 * many READs at a time as the client wants, and at most what the device can. */
static bool accept_link(const struct rdma_event *e, struct link_domain *domain,
			struct error *why)
{
	struct rdma_conn_param param = { .rnr_retry_count = 7 };

	param.responder_resources = e->wants_reads;
	if (param.responder_resources > domain->max_reads)
		param.responder_resources = domain->max_reads;
	if (!param.responder_resources)
		param.responder_resources = 1;
	if (rdma_accept(e->id, &param) == 0)
		return true;
	error_set(why, "rdma_accept: %s", strerror(errno));
	return false;
}

struct rdma_link *rdma_link_new(struct link_set *set,
				const struct rdma_event *e, struct error *why)
{
	struct rdma_link *l;

	if (!choose_domain(set, e->id->verbs, why))
		return NULL;
	l = calloc(1, sizeof *l);
	if (!l) {
		error_set(why, "out of memory");
		return NULL;
	}
	l->teardown.run = teardown_run;
	l->teardown.done = teardown_done;
	l->id = e->id;
	l->peer = rdma_id_peer(e->id, set->identity);
	if (create_qp(e->id, set->domain, why)) {
		e->id->context = l;
		if (accept_link(e, set->domain, why))
			return l;
		l->failed = destroy_qp(e->id) != 0;
		if (l->failed)
			return l;
		e->id->context = NULL;
	}
	free(l);
	return NULL;
}
