/* RDMA: making and unmaking channels and links.  Never on the I/O path. */
#include "rdma.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "memory.h"
#include "private_data.h"
#include "rdma_device.h"
#include "rdma_env.h"
#include "rdma_reaper.h"

bool rdma_available(struct error *why)
{
	bool found = false;
	int n = 0;
	struct ibv_device **list;

	rdma_env_set();
	list = ibv_get_device_list(&n);
	if (n == 0)
		error_set(why, "this machine has no RDMA device");
	for (int i = 0; i < n && !found; i++)
		found = rdma_device_fits(list[i], why);
	if (list)
		ibv_free_device_list(list);
	return found;
}

int rdma_channel_create(const struct channel_config *config,
			struct channel **channel, struct error *why)
{
	struct rdma_channel *rdma = calloc(1, sizeof *rdma);
	int rc = -ENOMEM;

	if (!rdma)
		error_set(why, "out of memory");
	else
		rc = rdma_reaper_get(why);
	if (rc) {
		free(rdma);
		return rc;
	}
	/* The pages are the buffer's alone: registered memory is not inherited
	 * across fork, nor are its neighbours in a page. */
	rdma->buffer_bytes = config->outside_bytes;
	if (rdma->buffer_bytes)
		rdma->buffer = pages_map(rdma->buffer_bytes);
	if (rdma->buffer_bytes && !rdma->buffer) {
		rc = -errno;
		error_set(why, "a lane's buffer: %s", strerror(-rc));
		rdma_reaper_put();
		free(rdma);
		return rc;
	}
	rdma->memory = config->memory;
	rdma->memory_bytes = config->memory_bytes;
	rdma->in_progress_max_bytes = config->buffer_bytes;
	rdma->spin_ns = config->spin_ns;
	*channel = &rdma->base;
	return 0;
}

static int deregister(struct ibv_mr **mr)
{
	int err = *mr ? ibv_dereg_mr(*mr) : 0;

	if (!err)
		*mr = NULL;
	return err;
}

/* Frees the objects of a domain, the last first.  0, and D is empty; or the
 * errno of the first object that the device does not free, and then this object
 * and all below it stay in D. */
static int domain_close(struct rdma_domain *d)
{
	int err = 0;

	if (d->cq) {
		ibv_ack_cq_events(d->cq, d->unacked);
		d->unacked = 0;
		err = ibv_destroy_cq(d->cq);
		d->cq = err ? d->cq : NULL;
	}
	if (!err && d->events) {
		err = ibv_destroy_comp_channel(d->events);
		d->events = err ? d->events : NULL;
	}
	if (!err)
		err = deregister(&d->buffer_mr);
	if (!err)
		err = deregister(&d->memory_mr);
	if (!err && d->pd) {
		err = ibv_dealloc_pd(d->pd);
		d->pd = err ? d->pd : NULL;
	}
	return err;
}

/* --- closing a link --- */

/* Guards the list of links that wait for their queue pair's end: sessions of
 * several servers close and connect links of one channel side by side. */
static pthread_mutex_t undestroyed_lock = PTHREAD_MUTEX_INITIALIZER;

static void keep_for_later(struct rdma_channel *rdma, struct rdma_link *link)
{
	pthread_mutex_lock(&undestroyed_lock);
	link->next = rdma->undestroyed;
	rdma->undestroyed = link;
	pthread_mutex_unlock(&undestroyed_lock);
}

/* rdma_destroy_qp does not say whether the queue pair is gone, so its part in
 * libibverbs is called.  0 or an errno; then the id has the queue pair still.
 */
static int destroy_queue_pair(struct rdma_cm_id *id)
{
	int err = id->qp ? ibv_destroy_qp(id->qp) : 0;

	if (!err)
		id->qp = NULL;
	return err;
}

/* Frees LINK, 0, its id a little later; or leaves it whole and returns an
 * errno. Until its queue pair is gone a stuck link keeps the channel closed, as
 * the device may still write to the memory. */
static int free_link(struct rdma_link *link)
{
	int err = link->id ? destroy_queue_pair(link->id) : 0;

	if (err)
		return err;
	if (link->stuck)
		atomic_fetch_sub(&rdma_channel(link->base.channel)->stuck, 1);
	rdma_reaper_take(link);
	return 0;
}

/* Frees the links whose queue pairs can be destroyed by now.  The others
 * stay. */
static void free_undestroyed(struct rdma_channel *rdma)
{
	struct rdma_link *link, *next;

	pthread_mutex_lock(&undestroyed_lock);
	link = rdma->undestroyed;
	rdma->undestroyed = NULL;
	pthread_mutex_unlock(&undestroyed_lock);
	for (; link; link = next) {
		next = link->next;
		if (free_link(link))
			keep_for_later(rdma, link);
	}
}

void rdma_link_close(struct link *base)
{
	struct rdma_link *link = rdma_link(base);
	int err = free_link(link);

	if (!err)
		return;
	log_error("ibv_destroy_qp on %s: %s; trying again with the next "
		  "connection",
		  ibv_get_device_name(link->id->verbs->device), strerror(err));
	keep_for_later(rdma_channel(base->channel), link);
}

/* --- channels --- */

static void tell_of_memory(const struct rdma_channel *rdma, const char *why)
{
	log_error("an RDMA device does not free a lane's objects: %s; the "
		  "lane's memory of %zu KiB stays until this process ends",
		  why, (rdma->memory_bytes + rdma->buffer_bytes) >> 10);
}

void rdma_channel_destroy(struct channel *channel)
{
	struct rdma_channel *rdma = rdma_channel(channel);

	free_undestroyed(rdma);
	if (rdma->undestroyed) {
		tell_of_memory(rdma, "a queue pair cannot be destroyed");
		return;
	}
	/* Also the domain that was not made in full. */
	for (unsigned i = 0; i < MAX_DOMAINS; i++) {
		int err = domain_close(&rdma->domains[i]);

		if (err) {
			tell_of_memory(rdma, strerror(err));
			return;
		}
	}
	pages_unmap(rdma->buffer, rdma->buffer_bytes);
	rdma_reaper_put();
	free(rdma);
}

/* Registers memory, if there is any.  False with errno. */
static bool register_memory(const struct rdma_domain *d, void *memory,
			    size_t bytes, struct ibv_mr **mr)
{
	if (bytes)
		*mr = ibv_reg_mr(d->pd, memory, bytes, IBV_ACCESS_LOCAL_WRITE);
	return !bytes || *mr;
}

/* Makes the objects of D, which is empty or holds what is left of an attempt
 * that failed. */
static int domain_open(struct rdma_channel *rdma, struct rdma_domain *d,
		       struct ibv_context *verbs, struct error *why)
{
	const char *what = "what an earlier attempt left";
	int rc;

	errno = domain_close(d);
	if (errno)
		goto fail;
	d->verbs = verbs;
	what = "a protection domain";
	d->pd = ibv_alloc_pd(verbs);
	if (!d->pd)
		goto fail;
	what = "a memory region (is the locked-memory limit too low?)";
	if (!register_memory(d, rdma->memory, rdma->memory_bytes,
			     &d->memory_mr) ||
	    !register_memory(d, rdma->buffer, rdma->buffer_bytes,
			     &d->buffer_mr))
		goto fail;
	what = "a completion channel";
	d->events = ibv_create_comp_channel(verbs);
	if (!d->events)
		goto fail;
	what = "a completion queue";
	/* Room for a completion of every transfer, as all may fail, and for as
	 * many completions of earlier transfers that were given up. */
	d->cq = ibv_create_cq(verbs, 2 * TRANSPORT_MAX_XFERS, NULL, d->events,
			      0);
	if (d->cq)
		return 0;
fail:
	rc = errno ? -errno : -EIO;
	error_set(why, "%s on %s: %s", what, ibv_get_device_name(verbs->device),
		  strerror(-rc));
	domain_close(d);
	return rc;
}

/* The sessions of several servers build their links of one lane side by side.
 */
static pthread_mutex_t domains_lock = PTHREAD_MUTEX_INITIALIZER;

/* The channel's domain on the device of VERBS, made at the first use; under
 * domains_lock. */
static int find_or_open_domain(struct rdma_channel *rdma,
			       struct ibv_context *verbs,
			       struct rdma_domain **found, struct error *why)
{
	unsigned n = atomic_load(&rdma->n_domains);
	int rc;

	for (unsigned i = 0; i < n; i++) {
		if (rdma->domains[i].verbs == verbs) {
			*found = &rdma->domains[i];
			return 0;
		}
	}
	if (n == MAX_DOMAINS) {
		error_set(why, "more than %d RDMA devices in use", MAX_DOMAINS);
		return -ENOSPC;
	}
	rc = domain_open(rdma, &rdma->domains[n], verbs, why);
	if (rc)
		return rc;
	*found = &rdma->domains[n];
	atomic_store(&rdma->n_domains, n + 1);
	return 0;
}

static int domain_get(struct rdma_channel *rdma, struct ibv_context *verbs,
		      struct rdma_domain **found, struct error *why)
{
	int rc;

	pthread_mutex_lock(&domains_lock);
	rc = find_or_open_domain(rdma, verbs, found, why);
	pthread_mutex_unlock(&domains_lock);
	return rc;
}

/* A refused connection's private data is the server's ERROR message. */
static void tell_rejection(const struct rdma_cm_event *event, struct error *why)
{
	const struct rdma_conn_param *param = &event->param.conn;
	struct wire_message message;

	if (private_data_decode(param->private_data, param->private_data_len,
				WIRE_ERROR, &message) == WIRE_OK)
		error_set(why, "refused: %s", message.error.text);
	else
		error_set(why, "refused (rdma_cm status %d)", event->status);
}

/* Waits for the event WANTED on the link's channel and acknowledges it. */
static int cm_expect(struct rdma_link *link, enum rdma_cm_event_type wanted,
		     uint64_t deadline_ns, struct error *why)
{
	struct rdma_cm_event *event;
	enum rdma_cm_event_type got;
	int rc = net_wait(link->cm_events->fd, POLLIN, deadline_ns);

	if (rc) {
		error_set(why, "no answer to the RDMA connection (%s): %s",
			  rdma_event_str(wanted), strerror(-rc));
		return rc;
	}
	if (rdma_get_cm_event(link->cm_events, &event)) {
		error_set(why, "rdma_get_cm_event: %s", strerror(errno));
		return -errno;
	}
	got = event->event;
	if (got == RDMA_CM_EVENT_REJECTED)
		tell_rejection(event, why);
	else if (got != wanted)
		error_set(why, "%s (status %d)", rdma_event_str(got),
			  event->status);
	rdma_ack_cm_event(event);
	if (got == wanted)
		return 0;
	return got == RDMA_CM_EVENT_REJECTED ? -EREMOTEIO : -ECONNREFUSED;
}

static int resolve(struct rdma_link *link, const struct link_target *target,
		   uint64_t deadline_ns, struct error *why)
{
	struct net_addr addr = target->addr;
	int rc;

	net_addr_set_port(&addr, target->rdma_port);
	if (rdma_resolve_addr(link->id, NULL, (struct sockaddr *)&addr.storage,
			      clock_left_ms(deadline_ns))) {
		error_set(why, "rdma_resolve_addr: %s", strerror(errno));
		return -errno;
	}
	rc = cm_expect(link, RDMA_CM_EVENT_ADDR_RESOLVED, deadline_ns, why);
	if (rc)
		return rc;
	if (rdma_resolve_route(link->id, clock_left_ms(deadline_ns))) {
		error_set(why, "rdma_resolve_route: %s", strerror(errno));
		return -errno;
	}
	return cm_expect(link, RDMA_CM_EVENT_ROUTE_RESOLVED, deadline_ns, why);
}

static int create_queue_pair(struct rdma_link *link, struct error *why)
{
	struct ibv_qp_init_attr attr = {
		.qp_type = IBV_QPT_RC,
		.send_cq = link->domain->cq,
		.recv_cq = link->domain->cq,
		.cap = { .max_send_wr = TRANSPORT_MAX_XFERS,
			 .max_recv_wr = 1,
			 .max_send_sge = 1,
			 .max_recv_sge = 1 },
	};

	if (!rdma_create_qp(link->id, link->domain->pd, &attr))
		return 0;
	error_set(why, "a queue pair: %s", strerror(errno));
	return -errno;
}

/* The most READs in flight that the device allows.  A READ beyond that would
 * wait for another READ, which costs a round trip. */
static int read_depth(struct ibv_context *verbs, uint8_t *depth,
		      struct error *why)
{
	struct ibv_device_attr attr;
	int rc = ibv_query_device(verbs, &attr), most;

	if (rc) {
		error_set(why, "ibv_query_device: %s", strerror(rc));
		return -rc;
	}
	most = attr.max_qp_init_rd_atom < RDMA_MAX_INIT_DEPTH - 1
		       ? attr.max_qp_init_rd_atom
		       : RDMA_MAX_INIT_DEPTH - 1;
	*depth = (uint8_t)(most > 0 ? most : 1);
	return 0;
}

static int connect_queue_pair(struct rdma_link *link,
			      const struct link_target *target,
			      uint64_t deadline_ns, struct error *why)
{
	struct wire_message join = { .type = WIRE_JOIN };
	char private_data[WIRE_MESSAGE_MAX];
	struct rdma_conn_param param = {
		.private_data = private_data,
		/* The most that rdma_cm's 3-bit fields take: a link whose
		 * packets are lost is retried by the device first. */
		.retry_count = 7,
		.rnr_retry_count = 7,
	};
	int rc = read_depth(link->id->verbs, &param.initiator_depth, why);

	if (!rc)
		rc = target->new_token(target->owner, &join.join, why);
	if (rc)
		return rc;
	param.private_data_len = (uint8_t)wire_encode(&join, private_data);
	if (rdma_connect(link->id, &param)) {
		error_set(why, "rdma_connect: %s", strerror(errno));
		return -errno;
	}
	return cm_expect(link, RDMA_CM_EVENT_ESTABLISHED, deadline_ns, why);
}

uint32_t rdma_connections(uint32_t lanes)
{
	return lanes;
}

static int open_link(struct rdma_link *link, const struct link_target *target,
		     uint64_t deadline_ns, struct error *why)
{
	int rc;

	link->cm_events = rdma_create_event_channel();
	if (!link->cm_events ||
	    rdma_create_id(link->cm_events, &link->id, link, RDMA_PS_TCP)) {
		error_set(why, "rdma_cm: %s", strerror(errno));
		return -errno;
	}
	rc = resolve(link, target, deadline_ns, why);
	if (!rc && !rdma_device_fits(link->id->verbs->device, why))
		rc = -EOPNOTSUPP;
	if (!rc)
		rc = domain_get(rdma_channel(link->base.channel),
				link->id->verbs, &link->domain, why);
	if (!rc)
		rc = create_queue_pair(link, why);
	if (!rc)
		rc = connect_queue_pair(link, target, deadline_ns, why);
	return rc;
}

int rdma_link_connect(struct channel *channel, const struct link_target *target,
		      uint64_t deadline_ns, struct link **out,
		      struct error *why)
{
	struct rdma_link *link = calloc(1, sizeof *link);
	int rc;

	if (!link) {
		error_set(why, "out of memory");
		return -ENOMEM;
	}
	free_undestroyed(rdma_channel(channel));
	link->base = (struct link){ channel->ops, channel };
	rc = open_link(link, target, deadline_ns, why);
	if (rc) {
		rdma_link_close(&link->base);
		return rc;
	}
	*out = &link->base;
	return 0;
}

/* What a device does not tell is left out: it is for people. */
void rdma_link_describe(const struct link *link, struct link_path *path)
{
	const struct rdma_cm_id *id = ((const struct rdma_link *)link)->id;
	struct ibv_qp_init_attr init;
	struct ibv_qp_attr attr;
	union ibv_gid gid;

	*path = (struct link_path){ .port = id->port_num };
	snprintf(path->device, sizeof path->device, "%s",
		 ibv_get_device_name(id->verbs->device));
	if (ibv_query_qp(id->qp, &attr, IBV_QP_PATH_MTU | IBV_QP_AV, &init))
		return;
	/* IBV_MTU_256 is 1, and each next one is twice as much */
	path->mtu_bytes = 128u << attr.path_mtu;
	path->gid_index = attr.ah_attr.grh.sgid_index;
	if (ibv_query_gid(id->verbs, id->port_num, (int)path->gid_index, &gid))
		return;
	inet_ntop(AF_INET6, &gid, path->gid, sizeof path->gid);
}
